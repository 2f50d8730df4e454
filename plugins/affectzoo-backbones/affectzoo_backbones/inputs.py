"""What every backbone here does with its input: declare it from a few overrides, and check the shape that arrives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from torch import Tensor

from affectzoo import FramesInput, LogMelInput, StrictConfig
from affectzoo.errors import InputError

Declaration = TypeVar("Declaration", bound=StrictConfig)


def declare(default: Declaration, overrides: Mapping[str, Any] | None, *, where: str) -> Declaration:
    """`default` with some fields replaced.

    Raises:
        ConfigError: an unknown field or a value of the wrong type; the message begins with `where`.
    """
    return type(default).parse({**default.to_json(), **(overrides or {})}, where=where)


def check_frames(x: Tensor, wanted: FramesInput, *, exact_size: bool = False, exact_frames: bool = False) -> None:
    """Raise `InputError` unless `x` is float `[N, 3, T, H, W]`; T and H, W are held to `wanted` only where asked."""
    shape = list(x.shape)
    fits = (
        len(shape) == 5
        and shape[1] == 3
        and (shape[2] == wanted.frames if exact_frames else shape[2] > 0)
        and (not exact_size or shape[3:] == [wanted.height, wanted.width])
    )
    if not fits:
        time = str(wanted.frames) if exact_frames else "T"
        size = f"{wanted.height}, {wanted.width}" if exact_size else "H, W"
        raise InputError(f"frames must be [N, 3, {time}, {size}], not {shape}")
    _check_float(x)


def check_log_mel(x: Tensor, wanted: LogMelInput, *, exact_frames: bool = False) -> None:
    """Raise `InputError` unless `x` is float `[N, 1, M, F]` with the declared M, and the declared F where asked."""
    shape = list(x.shape)
    frames_fit = len(shape) == 4 and (shape[3] == wanted.frames if exact_frames else shape[3] > 0)
    if not frames_fit or shape[1:3] != [1, wanted.n_mels]:
        frames = str(wanted.frames) if exact_frames else "F"
        raise InputError(f"log-mel input must be [N, 1, {wanted.n_mels}, {frames}], not {shape}")
    _check_float(x)


def check_waveform(x: Tensor, shortest: int) -> None:
    """Raise `InputError` unless `x` is float `[N, S]` with at least `shortest` samples."""
    shape = list(x.shape)
    if len(shape) != 2 or shape[1] < shortest:
        raise InputError(f"waveforms must be [N, S] with at least {shortest} samples, not {shape}")
    _check_float(x)


def _check_float(x: Tensor) -> None:
    if not x.is_floating_point():
        raise InputError(f"a backbone takes normalised floating-point input, not {x.dtype}")
