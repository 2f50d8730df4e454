import io

import numpy as np
import pytest

from affectzoo.media.longest_face import Faces
from affectzoo.media.subsequences import FaceCrops, SubSequence

HERE, THERE = (0.0, 0.0), (300.0, 0.0)


def chosen(*steps):
    """Steps of number -> (value, place[, side]); the values that are taken, None where none is, and whether several are."""
    faces = Faces(io.BytesIO())
    for index, given in enumerate(steps):
        found = {}
        for number, (value, (x, y), *side) in given.items():
            size = side[0] if side else 100.0
            box = np.array([x, y, x + size, y + size], np.float32)
            found[number] = FaceCrops(np.full((2, 4, 4, 3), value, np.uint8), np.ones(2, bool), 2, box)
        faces.add(SubSequence(index, index, index + 1, found, None, False, True))
    crops, present = np.zeros((len(steps), 2, 4, 4, 3), np.uint8), np.zeros(len(steps), bool)
    faces.read_longest(crops, present)
    return [int(crop.max()) if there else None for crop, there in zip(crops, present, strict=True)], faces.several


def test_who_comes_back_to_the_same_place_is_the_same():
    assert chosen({0: (1, HERE)}, {}, {}, {}, {1: (2, HERE)}, {1: (3, HERE)}) == ([1, None, None, None, 2, 3], False)
    assert chosen({0: (1, HERE)}, {}, {1: (2, HERE)}, {}, {2: (3, HERE)}) == ([1, None, 2, None, 3], False)


@pytest.mark.parametrize("back", [(2, THERE), (2, HERE, 250.0)])
def test_who_comes_in_another_place_or_size_is_another(back):
    assert chosen({0: (1, HERE)}, {0: (1, HERE)}, {}, {1: back}) == ([1, 1, None, None], True)


def test_two_who_take_turns_stay_two():
    turns = [{0: (1, HERE)}, {0: (1, HERE)}, {1: (5, THERE)}, {2: (2, HERE)}, {3: (6, THERE)}]
    assert chosen(*turns) == ([1, 1, None, None, None], True)


def test_whoever_else_was_seen_may_have_taken_the_place():
    assert chosen({0: (1, HERE)}, {0: (1, HERE), 1: (5, THERE)}, {}, {2: (2, HERE)}) == ([1, 1, None, None], True)


def test_of_as_many_slots_the_larger_is_taken_and_nobody_is_no_one():
    assert chosen({0: (1, HERE), 1: (2, THERE, 150.0)}) == ([2], True)
    assert chosen({}, {}) == ([None, None], False)
