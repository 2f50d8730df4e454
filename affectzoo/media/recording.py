"""The audio input of the sub-sequences of one recording, in order; used alike for prediction and for training."""

from __future__ import annotations

import torch
from torch import Tensor

from affectzoo.config import LogMelInput, WaveformInput
from affectzoo.media.audio import LogMel, loud_mean, prepare_waveform


class SoundOfRecording:
    """Samples of sub-sequences to what an audio backbone is fed.

    Where a log-mel input takes the means of its bands away (`cmn_seconds`), a sub-sequence waits for those that come within so
    many seconds after it; everything else comes out as it goes in. Sub-sequences without sound are not given and have no part
    in the means.

    Args:
        given: the input.
        seconds: of a sub-sequence.
        front: the front end of a log-mel input, where there is one already; it may serve many recordings.
    """

    def __init__(self, given: LogMelInput | WaveformInput, seconds: float, front: LogMel | None = None) -> None:
        self._front: LogMel | None = None
        self._wave: WaveformInput | None = None
        self._reach = 0
        if isinstance(given, LogMelInput):
            self._front = front or LogMel(given, seconds)
            self._reach = max(1, round(given.cmn_seconds / seconds)) if given.cmn_seconds else 0
        else:
            self._wave = given
        #: dB of what waits, after those of the `_before` sub-sequences that still count.
        self._decibels: list[Tensor] = []
        self._before = 0

    @torch.no_grad()
    def push(self, waveform: Tensor) -> Tensor:
        """`[n, S]`, the next n sub-sequences, to `[m, ...]`, the next m inputs; m may be 0, or more than n."""
        if self._wave is not None:
            return prepare_waveform(waveform, self._wave)
        assert self._front is not None
        if not self._reach:
            return self._front(waveform)
        self._decibels += self._front.decibels(waveform)
        return self._next(len(self._decibels) - self._before - self._reach)

    @torch.no_grad()
    def finish(self) -> Tensor:
        """What still waits when the recording ends, `[m, ...]`."""
        if self._wave is not None:
            return torch.zeros(0, self._wave.samples)
        return self._next(len(self._decibels) - self._before)

    def whole(self, waveform: Tensor) -> Tensor:
        """All sub-sequences of the recording at once, `[n, S]` to `[n, ...]`."""
        return torch.cat([self.push(waveform), self.finish()])

    def _next(self, count: int) -> Tensor:
        """The inputs `[count, 1, M, F]` of the first that wait; none for a count under 1."""
        front = self._front
        assert front is not None
        ready = [front.window.new_zeros(0, front.config.n_mels, front.config.frames)]
        for _ in range(count):
            around = torch.stack(self._decibels[: self._before + self._reach + 1])
            ready.append(front.normalise(around[self._before : self._before + 1], loud_mean(around).unsqueeze(0)))
            if self._before == self._reach:
                del self._decibels[0]
            else:
                self._before += 1
        return torch.cat(ready).unsqueeze(1)
