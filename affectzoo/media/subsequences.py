"""What comes out of reading a file: one stretch of time, the faces in it and its sound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(slots=True)
class FaceCrops:
    """One face in one sub-sequence.

    Attributes:
        crops: `[T, H, W, 3]` uint8 RGB; a slot without the face repeats the nearest slot with it.
        present: `[T]` bool, true where the slot shows the face itself.
        frames: how many different video frames fill the slots; under T where the video is slow, too.
        box: `[4]` float32, mean of x0, y0, x1, y1 over the present slots, in pixels of the frame as displayed.
    """

    crops: np.ndarray
    present: np.ndarray
    frames: int
    box: np.ndarray


@dataclass(slots=True)
class SubSequence:
    """A stretch of `seconds` of a file.

    Attributes:
        index: 0, 1, 2, ...; start_s, end_s: seconds since the start of the file. The last may reach beyond the file's end.
        faces: face number -> crops; faces that are in none of the slots are left out.
        audio: `[S]` float32 mono in -1..1, `round(seconds * sample_rate)` samples, zeros where there is none; None
            where no audio was asked for.
        audio_present: at least half of this sub-sequence has sound (of the part that lies in the file, where the file is
            shorter than one sub-sequence), and it is not digital silence (a peak under -80 dBFS): a muted microphone says
            nothing about a person.
        frame_decoded: at least one slot has a video frame, with or without a face.
    """

    index: int
    start_s: float
    end_s: float
    faces: dict[int, FaceCrops]
    audio: np.ndarray | None
    audio_present: bool
    frame_decoded: bool


def fill_slots(slots: dict[int, tuple[np.ndarray, np.ndarray]], frames: int) -> FaceCrops:
    """Slot -> (crop, box) to `FaceCrops` of `frames` slots, empty ones repeating the nearest (of two, the earlier)."""
    held = np.array(sorted(slots))
    nearest = held[np.abs(np.arange(frames)[:, None] - held[None, :]).argmin(axis=1)]
    present = np.zeros(frames, dtype=bool)
    present[held] = True
    return FaceCrops(
        crops=np.stack([slots[slot][0] for slot in nearest]),
        present=present,
        # One frame is one crop, whichever slots it serves.
        frames=len({id(crop) for crop, _ in slots.values()}),
        box=np.stack([slots[slot][1] for slot in held]).mean(axis=0, dtype=np.float32),
    )
