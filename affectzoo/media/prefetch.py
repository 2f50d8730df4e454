"""Run an iterator ahead of its consumer in a thread, so that decoding overlaps with a model's work."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

ItemT = TypeVar("ItemT")

_END = object()


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


def prefetch(items: Iterable[ItemT], depth: int = 2) -> Iterator[ItemT]:
    """Yield `items` unchanged, computing up to `depth` of them ahead in a background thread.

    An exception in the thread is raised here, at its place in the order. Closing this generator early (leaving a `for`
    loop and dropping it) ends the thread and closes `items`. `depth` 0 uses no thread.
    """
    if depth < 1:
        yield from items
        return
    ahead: queue.Queue[Any] = queue.Queue(maxsize=depth)
    stop = threading.Event()

    def work() -> None:
        iterator = iter(items)
        try:
            for item in iterator:
                ahead.put(item)
                if stop.is_set():
                    break
        except BaseException as error:
            ahead.put(_Failure(error))
        else:
            ahead.put(_END)
        finally:
            # In this thread: a generator must not be closed while another thread runs it.
            close = getattr(iterator, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=work, name="affectzoo-prefetch", daemon=True)
    thread.start()
    try:
        while (item := ahead.get()) is not _END:
            if isinstance(item, _Failure):
                raise item.error
            yield item
    finally:
        stop.set()
        while thread.is_alive():
            # The thread may be waiting for room in the queue; make some until it has seen `stop`.
            try:
                ahead.get(timeout=0.02)
            except queue.Empty:
                continue
        thread.join()
