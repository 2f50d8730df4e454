"""What is off draws nothing and changes nothing; what could have no effect is refused; a seed decides the rest."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from affectzoo.config import FramesInput, LogMelInput, SignalInput, StreamInput, TrainConfig, WaveformInput
from affectzoo.config.augment import AugmentConfig
from affectzoo.errors import ConfigError
from affectzoo.train.augment import augment, check_augment, effective

CROPS = FramesInput(frames=3, height=8, width=6)
MEL = LogMelInput(n_mels=16, frames=10)
WAVE = WaveformInput(samples=20, normalise=False)
INPUTS: dict[str, StreamInput] = {"visual": CROPS, "audio": MEL, "speech": WAVE, "pulse": SignalInput(channels=2, samples=5)}
EVERYTHING: dict[str, Any] = {
    "flip": 0.5,
    "rotate": 10.0,
    "crop": 0.3,
    "brightness": 0.2,
    "contrast": 0.2,
    "saturation": 0.2,
    "grey": 0.2,
    "jitter": 2,
    "frame_drop": 0.3,
    "blur": 0.5,
    "cutout": 0.4,
    "stretch": 0.2,
    "shift": 0.2,
    "pitch": 0.2,
    "time_masks": 1,
    "time_width": 0.2,
    "frequency_masks": 2,
    "frequency_width": 0.3,
    "gain_db": 6.0,
    "noise": {"audio": 0.1, "speech": 0.01, "pulse": 0.5},
}


def batch(size: int = 6, length: int = 2) -> dict[str, Any]:
    torch.manual_seed(0)
    inputs = {
        "visual": torch.rand(size, length, 3, 3, 8, 6) - 0.5,
        "audio": torch.randn(size, length, 1, 16, 10),
        "speech": torch.rand(size, length, 20) - 0.5,
        "pulse": torch.randn(size, length, 5, 2),
    }
    masks = {name: torch.ones(size, length, dtype=torch.bool) for name in inputs}
    return {"inputs": inputs, "masks": masks, "targets": torch.rand(size, length, 2), "valid": masks["visual"]}


def settings(**changes: Any) -> TrainConfig:
    return TrainConfig.parse({"augment": changes})


def test_every_change_is_tried_here():
    assert EVERYTHING.keys() == AugmentConfig.model_fields.keys()


def test_what_is_off_draws_nothing_and_changes_nothing():
    given, generator = batch(), torch.Generator().manual_seed(3)
    before = generator.get_state()
    found = augment(given, INPUTS, settings(noise={"audio": 0}), generator)
    assert torch.equal(generator.get_state(), before)
    assert all(found["inputs"][name] is given["inputs"][name] for name in INPUTS)
    assert all(found["masks"][name] is given["masks"][name] for name in INPUTS)


@pytest.mark.parametrize("option", EVERYTHING)
def test_a_change_alters_its_inputs_and_neither_the_batch_that_it_is_given_nor_labels(option):
    wanted = {option: EVERYTHING[option]}
    for axis in ("time", "frequency"):
        if option.startswith(axis):
            wanted = {name: EVERYTHING[name] for name in (f"{axis}_masks", f"{axis}_width")}
    given, kept = batch(), batch()
    found = augment(given, INPUTS, settings(**wanted), torch.Generator().manual_seed(1))
    altered = {name for name in INPUTS if not torch.equal(found["inputs"][name], kept["inputs"][name])}
    sound = {"gain_db": {"audio", "speech"}, "noise": {"audio", "speech", "pulse"}}
    of_mel = {"audio"} if option.startswith(("stretch", "shift", "pitch", "time", "frequency")) else {"visual"}
    assert altered == sound.get(option, of_mel)
    assert all(torch.equal(given["inputs"][name], kept["inputs"][name]) for name in INPUTS)
    assert found["targets"] is given["targets"]
    assert found["valid"] is given["valid"]


def test_a_seed_decides_every_draw_and_the_next_batch_draws_anew():
    def drawn(seed: int, count: int) -> list[dict[str, torch.Tensor]]:
        generator = torch.Generator().manual_seed(seed)
        return [augment(batch(), INPUTS, settings(**EVERYTHING), generator)["inputs"] for _ in range(count)]

    one, other, third = drawn(0, 2), drawn(0, 2), drawn(1, 1)
    for name in INPUTS:
        assert all(torch.equal(a[name], b[name]) for a, b in zip(one, other, strict=True))
        assert not torch.equal(one[0][name], one[1][name])
        assert not torch.equal(one[0][name], third[0][name])


def test_draws_go_on_where_a_saved_generator_stood():
    generator = torch.Generator().manual_seed(0)
    augment(batch(), INPUTS, settings(**EVERYTHING), generator)
    state = generator.get_state()
    after = augment(batch(), INPUTS, settings(**EVERYTHING), generator)["inputs"]
    resumed = torch.Generator()
    resumed.set_state(state)
    again = augment(batch(), INPUTS, settings(**EVERYTHING), resumed)["inputs"]
    assert all(torch.equal(after[name], again[name]) for name in INPUTS)


def test_faces_are_mirrored_one_modality_dropped_and_labels_left():
    given = batch(64)
    given = {**given, **{part: {name: given[part][name] for name in ("visual", "audio")} for part in ("inputs", "masks")}}
    train = TrainConfig(augment=AugmentConfig(flip=0.5), modality_dropout=0.5)
    changed = augment(given, INPUTS, train, torch.Generator().manual_seed(0))
    visual, mirrored = given["inputs"]["visual"], given["inputs"]["visual"].flip(-1)
    flips = [torch.equal(changed["inputs"]["visual"][i], mirrored[i]) for i in range(64)]
    kept = [torch.equal(changed["inputs"]["visual"][i], visual[i]) for i in range(64)]
    assert [one != other for one, other in zip(flips, kept, strict=True)] == [True] * 64
    assert 10 < sum(flips) < 54
    assert torch.equal(changed["inputs"]["audio"], given["inputs"]["audio"])
    gone = torch.stack([~mask.any(dim=1) for mask in changed["masks"].values()])
    assert gone.sum(0).max() == 1
    assert gone.any(dim=1).all()
    assert all(mask.all() for mask in given["masks"].values())
    alone = {**given, "inputs": {"visual": visual}, "masks": {"visual": given["masks"]["visual"]}}
    assert augment(alone, {}, train, torch.Generator().manual_seed(0))["masks"]["visual"].all()


@pytest.mark.parametrize(
    ("changes", "streams", "length", "words"),
    [
        ({"flip": 0.5}, {"audio": MEL}, 2, r"train\.augment\.flip has no effect: no stream reads face crops"),
        ({"cutout": 0.5}, {"audio": WAVE}, 2, "no stream reads face crops"),
        ({"grey": 0.5}, {"visual": FramesInput(colour="grey")}, 2, "the face crops are grey"),
        ({"jitter": 1}, {"visual": FramesInput(frames=1)}, 1, "a window is a single picture"),
        ({"frame_drop": 0.1}, {"visual": FramesInput(frames=1)}, 4, "a sub-sequence is a single picture"),
        ({"time_masks": 1, "time_width": 0.1}, {"audio": WAVE}, 2, "no stream reads log-mel"),
        ({"time_masks": 1, "time_width": 0.04}, {"audio": MEL}, 2, r"time_width .* less than one frame of the log-mel"),
        ({"frequency_masks": 1, "frequency_width": 0.05}, {"audio": MEL}, 2, r"frequency_width .* less than one mel band"),
        ({"stretch": 0.1}, {"audio": WAVE}, 2, r"train\.augment\.stretch has no effect: no stream reads log-mel"),
        ({"pitch": 0.1}, {"visual": CROPS}, 2, r"train\.augment\.pitch has no effect: no stream reads log-mel"),
        ({"stretch": 0.1}, {"audio": LogMelInput(frames=1)}, 1, "a window is a single frame of the log-mel"),
        ({"pitch": 0.1}, {"audio": LogMelInput(n_mels=1)}, 2, "the log-mel has one band"),
        ({"gain_db": 3}, {"visual": CROPS}, 2, "no stream reads sound whose loudness is kept"),
        ({"gain_db": 3}, {"audio": WaveformInput()}, 2, "no stream reads sound whose loudness is kept"),
        ({"noise": {"pulse": 1}}, {"audio": MEL}, 2, "noise names 'pulse', and the streams are audio"),
        ({"noise": {"visual": 1}}, {"visual": CROPS}, 2, "noise is for sound and signals, and visual reads face crops"),
    ],
)
def test_a_change_without_effect_is_refused(changes, streams, length, words):
    with pytest.raises(ConfigError, match=words):
        check_augment(AugmentConfig.parse(changes), streams, length, "train")


def test_what_has_an_effect_is_taken():
    check_augment(AugmentConfig.parse(EVERYTHING), INPUTS, 2, "train")
    check_augment(AugmentConfig(), {"audio": MEL}, 1, "train")


def test_a_stream_alone_keeps_the_changes_of_its_own_input():
    whole = AugmentConfig.parse(EVERYTHING)
    assert effective(whole, INPUTS, 2) == whole
    for name, kept in (("pulse", {"noise"}), ("speech", {"noise", "gain_db"})):
        alone = effective(whole, {name: INPUTS[name]}, 2)
        assert set(alone.asked()) == kept
        assert alone.noise == {name: EVERYTHING["noise"][name]}
        check_augment(alone, {name: INPUTS[name]}, 2, "train")
    assert "noise" not in effective(whole, {"visual": CROPS}, 2).asked()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"flip": 1.5}, "flip"),
        ({"crop": 1}, "crop"),
        ({"stretch": 1}, "stretch"),
        ({"pitch": -0.1}, "pitch"),
        ({"jitter": -1}, "jitter"),
        ({"jitter": 0.5}, "jitter"),
        ({"noise": {"audio": -1}}, r"noise\.audio"),
        ({"horizontal_flip": 0.5}, "unknown key 'horizontal_flip'"),
        ({"time_masks": 2}, "time_masks and time_width have an effect only together"),
        ({"frequency_width": 0.2}, "frequency_masks and frequency_width have an effect only together"),
    ],
)
def test_a_value_that_cannot_be_is_refused(changes, words):
    with pytest.raises(ConfigError, match=words):
        AugmentConfig.parse(changes)
