import threading
import time

import pytest

from algoperf.data.prefetch import prefetched


def test_items_come_in_order_and_are_made_ahead():
    made = []

    def items():
        for item in range(6):
            made.append(item)
            yield item

    ahead = prefetched(items(), depth=2)
    assert next(ahead) == 0
    deadline = time.monotonic() + 10
    while len(made) < 3 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert len(made) >= 3
    assert list(ahead) == [1, 2, 3, 4, 5]


def test_no_more_items_are_made_ahead_than_asked_for():
    made = []
    ahead = prefetched((made.append(item) or item for item in range(100)), depth=2)
    assert next(ahead) == 0
    time.sleep(0.1)
    assert len(made) <= 1 + 2 + 1, "the one in use, two in the queue, one that waits for room"
    ahead.close()


def test_an_error_comes_where_its_item_would_have_come():
    def items():
        yield 1
        raise ValueError("second item")

    ahead = prefetched(items())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="second item"):
        next(ahead)


def test_leaving_the_loop_ends_the_thread():
    before = threading.active_count()
    for item in prefetched(iter(int, 1)):
        assert item == 0
        break
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before
