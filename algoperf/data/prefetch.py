"""An iterator whose next items are made by a thread while the current one is used."""

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


def prefetched(items: Iterable[T], depth: int = 2) -> Iterator[T]:
    """The same items in the same order; a thread makes up to `depth` of them in advance.

    An error while making an item is raised where that item would have come. Closing the iterator (or leaving the
    loop) stops the thread.

    >>> list(prefetched(range(4)))
    [0, 1, 2, 3]
    """
    ahead: queue.Queue[Any] = queue.Queue(depth)
    closed = threading.Event()
    end = object()

    def put(item: object, error: BaseException | None = None) -> None:
        while not closed.is_set():
            try:
                # With a timeout, so that a thread that waits on a full queue notices when the reader has
                # gone.
                ahead.put((item, error), timeout=0.2)
                return
            except queue.Full:
                continue

    def fill() -> None:
        try:
            for item in items:
                put(item)
                if closed.is_set():
                    return
            put(end)
        except BaseException as error:
            put(None, error)

    # Daemon: a process whose reader was abandoned must still be able to end.
    thread = threading.Thread(target=fill, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ahead.get()
            if error is not None:
                raise error
            if item is end:
                return
            yield item
    finally:
        closed.set()
        thread.join(timeout=5)
