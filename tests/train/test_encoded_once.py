"""Frozen backbones run once: the same training as without, and only where nothing can differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator, debug_launcher
from safetensors.torch import load_file

from affectzoo.config import ModelConfig
from affectzoo.data.windows import windows_over
from affectzoo.errors import ConfigError
from affectzoo.model.affect_model import AffectModel
from affectzoo.train import loop
from affectzoo.train.features import encode_windows
from affectzoo.train.fit import Fit
from affectzoo.train.loop import train
from affectzoo.train.runs import run_folder
from tests.train.test_processes import child, compare
from tests.train.toys import toy_dataset, toy_experiment, toy_rows, use_dataset

STREAMS = ("audio", "visual")
#: All that draws random numbers besides the backbones' dropout, which is off where they are frozen.
SETTINGS: dict[str, Any] = {"modality_dropout": 0.3, "time_masking": 0.2, "accumulate": 2, "ema": 0.9, "freeze": ["backbones"]}
SAID = "the backbones are frozen: they run once"


class Killed(BaseException):
    """What no code of the project may catch."""


@pytest.fixture(autouse=True)
def dataset(monkeypatch):
    use_dataset(monkeypatch, toy_dataset())


def frozen(folder: Path, **changes: Any) -> Any:
    norm = changes.pop("norm", True)
    return toy_experiment(folder, streams=STREAMS, dropout=0.3, norm=norm, train={**SETTINGS, **changes})


def weights(experiment: Any) -> dict[str, torch.Tensor]:
    return load_file(run_folder(experiment) / "model" / "model.safetensors")


def lines(experiment: Any) -> list[dict[str, Any]]:
    found = (run_folder(experiment) / "metrics.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in found]


def test_the_numbers_are_those_of_raw_input(tmp_path, monkeypatch, capsys):
    once, always = frozen(tmp_path / "once"), frozen(tmp_path / "always")
    results = [train(once)]
    assert SAID in capsys.readouterr().out
    monkeypatch.setattr(loop, "encoded_once", lambda *_: False)
    results.append(train(always))
    assert SAID not in capsys.readouterr().out
    # The same rows in other batches: a last digit of a feature may differ, and AdamW carries it on for 18 steps.
    close = 1e-5
    for split in ("val", "test"):
        assert results[0][split] == pytest.approx(results[1][split], abs=close)
    for one, other in zip(lines(once), lines(always), strict=True):
        assert one == pytest.approx(other, abs=close)
    for name, tensor in weights(once).items():
        torch.testing.assert_close(tensor, weights(always)[name], atol=close, rtol=0)


def test_a_killed_run_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    whole, cut = frozen(tmp_path / "whole", checkpoint_steps=2), frozen(tmp_path / "cut", checkpoint_steps=2)
    train(whole)
    real, calls = Fit._step, []

    def dying(self: Fit, *args: Any) -> float:
        calls.append(None)
        if len(calls) == 9:
            raise Killed
        return real(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Fit, "_step", dying)
        with pytest.raises(Killed):
            train(cut)
    train(cut, resume=True)
    assert lines(cut) == lines(whole)
    assert all(torch.equal(tensor, weights(whole)[name]) for name, tensor in weights(cut).items())


def test_a_run_does_not_go_on_with_other_frozen_weights(tmp_path, monkeypatch):
    start = toy_experiment(tmp_path / "start", streams=STREAMS, train={"epochs": 1})
    train(start)
    model = run_folder(start) / "model"
    experiment = toy_experiment(
        tmp_path / "own", streams=STREAMS, init=str(model), train={"freeze": ["backbones"], "checkpoint_steps": 2}
    )
    with monkeypatch.context() as patch:
        patch.setattr(Fit, "_validate", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            train(experiment)
    torch.manual_seed(5)
    AffectModel(experiment.model).save_pretrained(model)
    with pytest.raises(ConfigError, match=r"weights_of_backbones\.audio is .* when this run began"):
        train(experiment, resume=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"augment": {"noise": {"audio": 0.1}}},
        {"mixup": 0.4},  # of inputs, which is not a mixture of features
        {"freeze": ["backbones.audio"]},
        {"freeze": ["backbones.audio.linear", "backbones.visual"]},  # the norm's statistics move
        {"freeze": []},
    ],
)
def test_what_may_change_the_features_keeps_raw_input(tmp_path, capsys, changes):
    train(frozen(tmp_path, epochs=1, **changes))
    assert SAID not in capsys.readouterr().out


def test_a_split_that_is_streamed_stays_a_stream(tmp_path, monkeypatch, capsys):
    use_dataset(monkeypatch, toy_dataset(stream=True))
    train(frozen(tmp_path, epochs=1, epoch_steps=2))
    assert SAID not in capsys.readouterr().out


def test_teachers_with_other_backbones_keep_raw_input(tmp_path, capsys):
    teacher = toy_experiment(tmp_path / "teacher", streams=STREAMS, dropout=0.3, norm=True, seed=3, train={"epochs": 1})
    train(teacher)
    for init, once in ((None, False), (str(run_folder(teacher)), True)):
        taught = frozen(tmp_path / str(once), epochs=1, distil={"teachers": [str(run_folder(teacher))]})
        capsys.readouterr()
        train(taught.model_copy(update={"init": init}))
        assert (SAID in capsys.readouterr().out) is once
    # The same weights do not say that features are the same: pooling has none.
    path = run_folder(teacher) / "model" / "config.json"
    path.write_text(path.read_text().replace('"dropout": 0.3', '"dropout": 0.2', 1))
    assert '"dropout": 0.2' in path.read_text()
    other = frozen(tmp_path / "other", epochs=1, distil={"teachers": [str(run_folder(teacher))]})
    train(other.model_copy(update={"init": str(run_folder(taught))}))
    assert SAID not in capsys.readouterr().out


def toy_windows(counts: list[int]) -> tuple[AffectModel, Any]:
    torch.manual_seed(0)
    config: ModelConfig = toy_experiment("unused", streams=STREAMS, dropout=0.3, norm=True).model
    model = AffectModel(config)
    rows = [toy_rows(config, f"split{number}", 1, steps) for number, steps in enumerate(counts)]
    from datasets import concatenate_datasets

    return model, windows_over(concatenate_datasets(rows), model.config)


@pytest.mark.parametrize("workers", [0, 1])
def test_clips_are_batched_together_and_long_ones_are_cut(workers):
    counts = [1, 4, 130, 0, 3, 120, 2, 0]
    model, windows = toy_windows(counts)
    seen: list[int] = []
    model.backbones["audio"].register_forward_hook(lambda _, given, __: seen.append(len(given[0])))
    found = encode_windows(model, windows, Accelerator(cpu=True), workers=workers)
    assert seen == [128, 128, 4]
    for number, count in enumerate(counts):
        row, _ = windows.read_row(number)
        for name in STREAMS:
            if not count:
                assert found.features[number][name].shape == (0, 6)
                continue
            expected = model.encode(name, windows.steps(number, row, name, 0, count).unsqueeze(0))[0]
            # Another batch, another order of eight products.
            torch.testing.assert_close(found.features[number][name], expected, atol=1e-6, rtol=0)


def test_a_masked_sub_sequence_is_zero_and_never_encoded():
    model, windows = toy_windows([3, 2])
    hidden = torch.tensor([True, False, True]).numpy().tobytes()
    windows.rows = windows.rows.with_format(None).map(
        lambda row: {**row, "present.audio": hidden} if len(row["valid"]) == 3 else row
    )
    windows.rows.set_format("arrow")
    seen: list[int] = []
    model.backbones["audio"].register_forward_hook(lambda _, given, __: seen.append(len(given[0])))
    features = encode_windows(model, windows, Accelerator(cpu=True)).features
    assert seen == [4]
    assert features[0]["audio"].any(dim=1).tolist() == [True, False, True]
    assert features[0]["visual"].any(dim=1).all()


@pytest.mark.forks
def test_processes_share_the_encoding(tmp_path, monkeypatch, capsys):
    """Two chunks for training, one for validation, which leaves the second process nothing."""
    use_dataset(monkeypatch, toy_dataset({"train": 29, "val": 4, "test": 3}))
    two, one = (
        toy_experiment(tmp_path / str(size), streams=STREAMS, train={"epochs": 1, "freeze": ["backbones"], "batch_size": size})
        for size in (4, 8)
    )
    train(one)
    assert SAID in capsys.readouterr().out
    debug_launcher(child, args=(two,), num_processes=2)
    compare(one, two)
