"""The command line in this process: what it prints and its exit code; a tiny model and little media files."""

from __future__ import annotations

import shutil
import sys
import wave
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import av
import numpy as np
import pytest
import torch

import affectzoo
from affectzoo.cli import main
from affectzoo.data.rendered import RenderedClip, write_clip

RATE = 16000


class Outcome(NamedTuple):
    """Exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def complaints(self) -> list[str]:
        """The lines of standard error that say what went wrong."""
        assert "Traceback" not in self.err
        return [line for line in self.err.splitlines() if line.startswith("affectzoo: ")]


@pytest.fixture
def affect(monkeypatch, capsys) -> Callable[..., Outcome]:
    """Run `affectzoo ARGUMENTS`."""

    def run(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["affectzoo", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """The folder of an untrained model that sees and hears."""
    torch.manual_seed(0)
    network = {"channels": [4, 4, 8, 8], "stem_width": 4}
    log_mel = {"sample_rate": 8000, "n_fft": 256, "win_length": 200, "hop_length": 80, "n_mels": 32, "frames": 50}
    model = affectzoo.create_model(
        visual={"backbone": {"name": "timm/resnet10t", "config": {"frames": 2, "image_size": 32, "model_args": network}}},
        audio={"backbone": {"name": "spectrogram/resnet10t", "config": {"log_mel": log_mel, "model_args": network}}},
        fusion="concat",
        sequence={"seconds": 0.5, "length": 2},
        head={"hidden": None},
    )
    return model.save_pretrained(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="session")
def media(tmp_path_factory) -> SimpleNamespace:
    """Good and bad files by name."""
    folder = tmp_path_factory.mktemp("media")
    good = write_clip(RenderedClip(3, 1, 2.0), folder / "good.mp4", size=(160, 120), fps=12)
    files = SimpleNamespace(folder=folder, good=good, missing=folder / "missing.mp4")
    files.empty = folder / "empty.mp4"
    files.empty.touch()
    files.text = folder / "text.mp4"
    files.text.write_text("Not a film, but a sentence about one.\n" * 50)
    files.truncated = folder / "truncated.mp4"
    files.truncated.write_bytes(good.read_bytes()[:2000])
    files.video_only = _without_sound(good, folder / "video_only.mp4")
    files.audio_only = _sound(folder / "audio_only.wav", 0.3 * np.sin(np.arange(2 * RATE) / 10))
    files.silent = _sound(folder / "silent.wav", np.zeros(2 * RATE))
    files.copy = folder / "other" / "good.mp4"
    files.copy.parent.mkdir()
    shutil.copy(good, files.copy)
    files.same_stem = shutil.copy(good, folder / "good.mov")
    return files


def _sound(path: Path, samples: np.ndarray) -> Path:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes((samples * 32000).astype("<i2").tobytes())
    return path


def _without_sound(source: Path, path: Path) -> Path:
    with av.open(str(source)) as given, av.open(str(path), "w") as out:
        video = out.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(given.streams.video[0]):
            if packet.dts is not None:
                packet.stream = video
                out.mux(packet)
    return path
