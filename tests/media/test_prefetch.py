import threading
import time

import pytest

from affectzoo.media.prefetch import prefetch


def running():
    return [t for t in threading.enumerate() if t.name == "affectzoo-prefetch"]


@pytest.mark.parametrize("depth", [0, 1, 5])
def test_items_come_through_in_order(depth):
    assert list(prefetch(iter(range(100)), depth)) == list(range(100))
    assert not running()


def test_an_exception_arrives_at_its_place():
    def failing():
        yield 1
        raise KeyError("broken")

    items = prefetch(failing(), 4)
    assert next(items) == 1
    with pytest.raises(KeyError, match="broken"):
        next(items)
    assert not running()


def test_leaving_early_ends_the_thread_and_closes_the_source():
    closed = threading.Event()

    def endless():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    items = prefetch(endless(), 2)
    next(items)
    items.close()
    assert closed.is_set()
    assert not running()


def test_no_more_than_depth_is_computed_ahead():
    made = []

    def counted():
        for k in range(50):
            made.append(k)
            yield k

    items = prefetch(counted(), 3)
    next(items)
    time.sleep(0.1)
    assert len(made) <= 6
    items.close()
