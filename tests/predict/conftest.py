"""A toy model, little clips and detectors that need no weights."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from torch import nn

import affectzoo
from affectzoo.config import FramesInput, LogMelInput, WaveformInput

SECONDS = 0.4
RATE = 8000


class ToyVisual(affectzoo.Backbone):
    """Colours of tiny crops; counts what it encodes."""

    def __init__(self):
        super().__init__()
        self.feature_dim = 5
        self.input = FramesInput(frames=2, height=8, width=8)
        self.linear = nn.Linear(3 * 2 * 8 * 8, 5)
        self.encoded = []

    def forward(self, x):
        self.encoded.append(len(x))
        return torch.tanh(self.linear(x.flatten(1)))


class ToyAudio(affectzoo.Backbone):
    """Energy per mel band; counts what it encodes."""

    def __init__(self):
        super().__init__()
        self.feature_dim = 4
        self.input = LogMelInput(sample_rate=RATE, n_fft=256, win_length=200, hop_length=80, n_mels=8, frames=40)
        self.linear = nn.Linear(8, 4)
        self.encoded = []

    def forward(self, x):
        self.encoded.append(len(x))
        return torch.tanh(self.linear(x.mean(-1).flatten(1)))


class ToyWaveform(affectzoo.Backbone):
    """A few numbers of a waveform."""

    def __init__(self):
        super().__init__()
        self.feature_dim = 3
        self.input = WaveformInput(sample_rate=RATE, samples=round(SECONDS * RATE))
        self.linear = nn.Linear(round(SECONDS * RATE), 3)

    def forward(self, x):
        return torch.tanh(self.linear(x))


class ToyFusion(affectzoo.Fusion):
    """Features beside their mean over the window, so that a prediction depends on its whole window."""

    def __init__(self, dims, seq_len):
        super().__init__()
        self.dims, self.seq_len = dict(dims), seq_len
        self.out_dim = 2 * sum(dims.values())

    def forward(self, features, masks=None, *, return_attention=False):
        features, masks = affectzoo.complete(features, masks, self.dims, self.seq_len)
        joint = torch.cat([features[name] for name in self.dims], dim=-1)
        fused = torch.cat([joint, joint.mean(dim=1, keepdim=True).expand_as(joint)], dim=-1)
        return (fused, {}) if return_attention else fused


@pytest.fixture
def make_model():
    # Anew for each test: another test may have emptied the registry or taken the names.
    affectzoo.register_backbone("toy-visual", modality="visual")(ToyVisual)
    affectzoo.register_backbone("toy-audio", modality="audio")(ToyAudio)
    affectzoo.register_backbone("toy-waveform", modality="audio")(ToyWaveform)
    affectzoo.register_fusion("toy-fusion")(ToyFusion)

    def make(visual="toy-visual", audio="toy-audio", targets=("valence", "arousal"), length=4, pool=None, **more):
        torch.manual_seed(3)
        return affectzoo.create_model(
            visual=visual,
            audio=audio,
            fusion="toy-fusion" if visual and audio else None,
            targets=targets,
            sequence={"seconds": SECONDS, "length": length},
            head={"hidden": None, "pool": pool},
            **more,
        ).eval()

    return make


class ColourDetector:
    """Takes red and green patches for faces."""

    def detect(self, image):
        found = []
        for channel, other in ((0, 1), (1, 0)):
            patch = (image[..., channel] > 150) & (image[..., other] < 110) & (image[..., 2] < 110)
            rows, columns = np.flatnonzero(patch.any(1)), np.flatnonzero(patch.any(0))
            if patch.sum() > 60:
                found.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1, 0.9])
        return np.array(found, np.float32).reshape(-1, 5)


@pytest.fixture
def detector():
    return ColourDetector()


@pytest.fixture
def make_clip(tmp_path):
    """Write a clip of grey frames with a red and a green patch at given times and a tone that may fall silent.

    `red`, `green`, `sound`: lists of (start, end) in seconds; None for no such patch, no audio track.
    """

    def make(
        name="clip.mkv",
        duration_s=4.0,
        red=((0, 99),),
        green=(),
        sound=((0, 99),),
        fps=15,
        size=(96, 64),
        times_s=None,
        video=True,
    ):
        path = tmp_path / name
        within = lambda spans, t: any(start <= t < end for start, end in spans)  # noqa: E731
        with av.open(str(path), "w") as container:
            stream = None
            if video:
                stream = container.add_stream("libx264", rate=fps)
                stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
                stream.options = {"crf": "12", "preset": "ultrafast"}
                stream.codec_context.time_base = Fraction(1, 1000)
            speaker = None
            if sound is not None:
                speaker = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
            if stream is not None:
                for t in times_s if times_s is not None else np.arange(round(duration_s * fps)) / fps:
                    image = np.full((size[1], size[0], 3), 90, np.uint8)
                    image[:, : size[0] // 2, 2] += np.uint8(10 * (t % 3))
                    if within(red, t):
                        image[16:40, 10:30] = (220, 40 + 8 * t, 40)
                    if within(green, t):
                        image[20:44, 60:80] = (40, 220, 40 + 8 * t)
                    frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                    frame.pts, frame.time_base = round(t * 1000), Fraction(1, 1000)
                    container.mux(stream.encode(frame))
                container.mux(stream.encode(None))
            if speaker is not None:
                t = np.arange(round(duration_s * RATE)) / RATE
                tone = 0.3 * np.sin(2 * np.pi * (200 + 60 * t) * t) * np.array([within(sound, x) for x in t])
                frame = av.AudioFrame.from_ndarray((tone * 32000).astype(np.int16)[None], format="s16", layout="mono")
                frame.sample_rate, frame.pts = RATE, 0
                container.mux(speaker.encode(frame))
                container.mux(speaker.encode(None))
        return path

    return make
