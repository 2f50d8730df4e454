"""Of the faces in a recording the one that is seen longest, when whoever it is about is not said."""

from __future__ import annotations

from collections import Counter
from typing import BinaryIO

import numpy as np

from affectzoo.media.faces import overlap
from affectzoo.media.subsequences import SubSequence

#: Intersection over union from which a face that comes back after a long absence, with nobody else seen since, is the same.
_SAME_PLACE = 0.5


class Faces:
    """Crops of every face on disk until it is known which was seen longest.

    A face that was away for too long comes back under a new number. It is taken for the same person where nobody else was
    seen in between and it is as large and in the same place; two who take turns in different places stay two.

    Args:
        spool: a file to write to and read from.
    """

    def __init__(self, spool: BinaryIO) -> None:
        self._slots: Counter[int] = Counter()
        self._area: Counter[int] = Counter()
        self._places: dict[int, list[tuple[int, int]]] = {}
        self._same: dict[int, int] = {}  # a number that came back -> the number it had before
        self._alone: tuple[int, np.ndarray] | None = None  # who was seen last and where, if nobody else was
        self._spool = spool

    def add(self, step: SubSequence) -> None:
        """Note the faces of the next sub-sequence."""
        if len(step.faces) == 1:
            ((number, face),) = step.faces.items()
            if self._alone is not None and number not in self._places:
                before, box = self._alone
                if overlap(box[None], face.box[None])[0, 0] >= _SAME_PLACE:
                    self._same[number] = before
            self._alone = number, face.box
        elif step.faces:
            self._alone = None
        for number, face in step.faces.items():
            self._places.setdefault(number, []).append((step.index, self._spool.tell()))
            self._spool.write(face.crops.tobytes())
            self._slots[number] += int(face.present.sum())
            self._area[number] += int((face.box[2:] - face.box[:2]).prod())

    @property
    def several(self) -> bool:
        """Whether more than one person was seen."""
        return len(self._people()) > 1

    def read_longest(self, crops: np.ndarray, present: np.ndarray) -> None:
        """Fill `[n, T, H, W, 3]` and `[n]` with the face in most slots; of two, the larger."""
        people = self._people()
        if not people:
            return
        longest = max(people, key=lambda numbers: [sum(count[n] for n in numbers) for count in (self._slots, self._area)])
        for index, place in (place for number in longest for place in self._places[number]):
            self._spool.seek(place)
            self._spool.readinto(crops[index])  # pyright: ignore[reportAttributeAccessIssue]
            present[index] = True

    def _people(self) -> list[list[int]]:
        """The numbers of each person."""
        people: dict[int, list[int]] = {}
        for number in self._places:
            before = self._same.get(number)
            # A number that was seen again after the other had come was hidden, not renamed.
            if before is not None and self._places[before][-1][0] < self._places[number][0][0]:
                people[number] = people[before]
                people[number].append(number)
            else:
                people[number] = [number]
        return [numbers for number, numbers in people.items() if numbers[0] == number]
