"""Which changes have an effect on the inputs of a model; those that have none are refused."""

from __future__ import annotations

from collections.abc import Mapping

from affectzoo.config import FramesInput, LogMelInput, StreamInput, WaveformInput
from affectzoo.config.augment import FRAMES, LOG_MEL, AugmentConfig
from affectzoo.errors import ConfigError


def check_augment(changes: AugmentConfig, inputs: Mapping[str, StreamInput], length: int, where: str) -> None:
    """Refuse a change that would be ignored.

    Args:
        changes: what is asked for; inputs: modality -> what its tensor is; length: L.
        where: `train` or `pretrain`.

    Raises:
        ConfigError: names the option and why it has no effect.
    """
    for option in changes.asked():
        if reason := _idle(option, changes, inputs, length):
            raise ConfigError(f"{where}.augment.{option} has no effect: {reason}; leave it out")
    for name in changes.noise:
        if name not in inputs:
            raise ConfigError(f"{where}.augment.noise names {name!r}, and the streams are {', '.join(inputs)}")
        if isinstance(inputs[name], FramesInput):
            raise ConfigError(f"{where}.augment.noise is for sound and signals, and {name} reads face crops; leave it out")


def effective(changes: AugmentConfig, inputs: Mapping[str, StreamInput], length: int) -> AugmentConfig:
    """The changes that act on these inputs, for a stream that is trained alone with the settings of all."""
    kept = {name: getattr(changes, name) for name in changes.asked() if not _idle(name, changes, inputs, length)}
    if "noise" in kept:
        kept["noise"] = {name: sd for name, sd in changes.noise.items() if name in inputs}
    return AugmentConfig.model_validate(kept)


def _idle(option: str, changes: AugmentConfig, inputs: Mapping[str, StreamInput], length: int) -> str | None:
    """Why a change does nothing to any of these inputs; None where it does."""
    crops = [given for given in inputs.values() if isinstance(given, FramesInput)]
    if option in FRAMES and not crops:
        return "no stream reads face crops"
    if option in ("saturation", "grey") and all(given.colour == "grey" for given in crops):
        return "the face crops are grey"
    if option == "jitter" and all(given.frames * length == 1 for given in crops):
        return "a window is a single picture"
    if option == "frame_drop" and all(given.frames == 1 for given in crops):
        return "a sub-sequence is a single picture"
    mels = [given for given in inputs.values() if isinstance(given, LogMelInput)]
    if option in LOG_MEL and not mels:
        return "no stream reads log-mel"
    if option in ("stretch", "shift") and all(given.frames * length == 1 for given in mels):
        return "a window is a single frame of the log-mel"
    if option == "pitch" and all(given.n_mels == 1 for given in mels):
        return "the log-mel has one band"
    if option == "time_width" and all(int(changes.time_width * given.frames * length) == 0 for given in mels):
        return "it is less than one frame of the log-mel"
    if option == "frequency_width" and all(int(changes.frequency_width * given.n_mels) == 0 for given in mels):
        return "it is less than one mel band"
    if option == "gain_db" and not any(_has_loudness(given) for given in inputs.values()):
        return "no stream reads sound whose loudness is kept"
    return None


def _has_loudness(given: StreamInput) -> bool:
    return isinstance(given, LogMelInput) or (isinstance(given, WaveformInput) and not given.normalise)
