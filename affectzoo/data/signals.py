"""Signals of a clip, such as a sensor's or somebody's features, as the inputs of its sub-sequences."""

from __future__ import annotations

import numpy as np

from affectzoo.config import ModelConfig, SignalInput
from affectzoo.data.corpus import Corpus
from affectzoo.data.schema import Signal
from affectzoo.errors import DataError
from affectzoo.media.windows import subsequence_count


def signal_inputs(config: ModelConfig, corpus: Corpus) -> dict[str, SignalInput]:
    """Stream -> its input, of the streams that take a signal.

    Raises:
        DataError: the corpus gives no signal of that name, or one of another number of channels.
    """
    wanted = {name: stream.input for name, stream in config.streams.items() if isinstance(stream.input, SignalInput)}
    for name, given in wanted.items():
        if name not in corpus.signals:
            held = f"it gives {', '.join(corpus.signals)}" if corpus.signals else "it gives none"
            raise DataError(f"this model takes a signal {name!r}, which {type(corpus).__name__} does not give; {held}")
        if corpus.signals[name] != given.channels:
            raise DataError(
                f"the signal {name!r} of {type(corpus).__name__} has {corpus.signals[name]} channels, and this model takes "
                f"{given.channels}; set channels of its backbone to {corpus.signals[name]}"
            )
    return wanted


def steps_covered(times_s: np.ndarray, seconds: float) -> int:
    """How many sub-sequences of `seconds` it takes to hold samples at `times_s` `[m]`; one row is one sub-sequence.

    The last sample lasts as long as most do. Samples that begin half of that after 0, or later, stand in the middle of what
    they last.
    """
    if len(times_s) < 2:
        return len(times_s)
    rising = np.sort(times_s)
    lasting = float(np.median(np.diff(rising)))
    return subsequence_count(float(rising[-1]) + lasting - min(max(0.0, float(rising[0])), lasting / 2), seconds)


def signal_steps(signal: Signal | None, given: SignalInput, count: int, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """A signal at the T instants of each sub-sequence, interpolated linearly; one row is repeated as it is.

    A gap is bridged if it is shorter than a sub-sequence, and the first and last samples are held for half of one. A
    sub-sequence in which a channel is unknown at any instant is not present.

    Args:
        signal: None where the clip has none.
        given: T and C.
        count: n.
        seconds: of a sub-sequence.

    Returns:
        `[n, T, C]` float32, zero where not present, and `[n]` bool.
    """
    shape = (count, given.samples, given.channels)
    if signal is None or not len(signal.values):
        return np.zeros(shape, np.float32), np.zeros(count, bool)
    if len(signal.values) == 1:
        sampled = np.broadcast_to(signal.values[0], shape).astype(np.float32)
    else:
        instants = (np.arange(count * given.samples) + 0.5) * seconds / given.samples
        channels = [_sampled(signal.times_s, values, instants, seconds) for values in signal.values.T]
        sampled = np.stack(channels, axis=1).reshape(shape).astype(np.float32)
    present = np.asarray(np.isfinite(sampled).all(axis=(1, 2)))
    sampled[~present] = 0
    return sampled, present


def _sampled(times: np.ndarray, values: np.ndarray, instants: np.ndarray, seconds: float) -> np.ndarray:
    """One channel `[m]` at `instants` `[i]`, NaN where it is unknown."""
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return np.full(len(instants), np.nan)
    held = times[known]
    found = np.interp(instants, held, values[known])
    after = np.searchsorted(held, instants, side="left")
    between = (after > 0) & (after < len(held))
    left, right = np.maximum(after - 1, 0), np.minimum(after, len(held) - 1)
    # A sensor slower than the sub-sequences has no gaps: only missing samples make one.
    bridged = (known[right] - known[left] == 1) | (held[right] - held[left] < seconds) | (held[right] == instants)
    near = np.minimum(np.abs(instants - held[left]), np.abs(instants - held[right])) <= seconds / 2
    return np.where(np.where(between, bridged, near), found, np.nan)
