"""The time ledger by itself."""

import time
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algoperf.run import clock
from algoperf.run.clock import BUCKETS, Ledger


class FakeTime:
    """Both clocks of the ledger, moved by hand."""

    def __init__(self):
        self.now_ns = 1_000
        self.drift_ns = 0

    def _now(self):
        return self.now_ns

    def _wall(self):
        return self.now_ns + self.drift_ns

    def __enter__(self):
        self._patches = [
            mock.patch.object(clock, "_now_ns", self._now),
            mock.patch.object(clock, "_wall_ns", self._wall),
        ]
        for patch in self._patches:
            patch.start()
        return self

    def __exit__(self, *_):
        for patch in self._patches:
            patch.stop()


def test_time_belongs_to_the_bucket_that_was_open():
    with FakeTime() as fake:
        ledger = Ledger()
        for bucket, seconds in (("update", 1), ("eval_test", 2), ("update", 4), ("other", 8)):
            ledger.enter(bucket)
            fake.now_ns += seconds * 10**9
        ledger.enter("other")
        assert ledger.seconds("update") == 5
        assert ledger.seconds("eval_test") == 2
        assert ledger.seconds("update", "other") == 13
        assert ledger.submission_ns == 5 * 10**9


@given(st.lists(st.tuples(st.sampled_from(BUCKETS), st.integers(0, 10**12))))
def test_buckets_always_add_up_to_the_wall_time(moves):
    with FakeTime() as fake:
        ledger = Ledger()
        for bucket, nanoseconds in moves:
            ledger.enter(bucket)
            fake.now_ns += nanoseconds
        summary = ledger.summary()
        assert summary["balanced"] is True
        assert summary["total"] == pytest.approx(summary["wall"])
        assert sum(summary[bucket] for bucket in BUCKETS) == pytest.approx(summary["total"])


def test_only_data_selection_update_and_prepare_for_eval_are_submission_time():
    with FakeTime() as fake:
        for bucket in BUCKETS:
            ledger = Ledger(bucket)
            fake.now_ns += 10**9
            ledger.enter("other")
            charged = bucket in ("data_selection", "update", "prepare_for_eval")
            assert ledger.submission_ns == (10**9 if charged else 0), bucket


def test_a_ledger_opened_in_the_past_counts_from_there():
    with FakeTime() as fake:
        start = fake.now_ns
        fake.now_ns += 3 * 10**9
        ledger = Ledger(start_ns=start)
        summary = ledger.summary()
        assert summary["set_up"] == 3
        assert summary["wall"] == 3


def test_a_ledger_that_disagrees_with_the_wall_clock_says_so():
    with FakeTime() as fake:
        ledger = Ledger()
        fake.now_ns += 10 * 10**9
        fake.drift_ns += 1 * 10**9
        summary = ledger.summary()
        assert summary["balanced"] is False
        assert (summary["total"], summary["wall"]) == (10, 11)


@pytest.mark.parametrize(
    ("drift_sec", "is_balanced"), [(1.09, True), (1.2, False), (-1.08, True), (-1.2, False)]
)
def test_the_clocks_may_differ_by_a_tenth_of_a_second_and_one_percent(drift_sec, is_balanced):
    with FakeTime() as fake:
        ledger = Ledger()
        fake.now_ns += 100 * 10**9
        fake.drift_ns += round(drift_sec * 10**9)
        assert ledger.summary()["balanced"] is is_balanced


def test_a_resumed_ledger_continues_and_downtime_is_nobodys():
    with FakeTime() as fake:
        first = Ledger("update")
        fake.now_ns += 2 * 10**9
        saved = first.state()
        fake.now_ns += 100 * 10**9  # the machine was off
        second = Ledger("set_up")
        fake.now_ns += 1 * 10**9
        second.add_earlier(saved)
        second.enter("update")
        fake.now_ns += 4 * 10**9
        summary = second.summary()
        assert summary["update"] == 6
        assert summary["set_up"] == 1
        assert summary["wall"] == summary["total"] == 7


def test_the_slowest_process_sets_the_submission_time():
    with FakeTime() as fake:
        ledger = Ledger("update")
        fake.now_ns += 2 * 10**9
        ledger.enter("other")
        ledger.set_to_latest(5.0)
        assert ledger.submission_ns == 5 * 10**9
        ledger.set_to_latest(1.0)
        assert ledger.submission_ns == 5 * 10**9
        assert ledger.summary()["balanced"] is True


def test_time_spent_waiting_for_a_slower_process_is_the_submissions_and_counts_once():
    with FakeTime() as fake:
        ledger = Ledger("update")
        fake.now_ns += 2 * 10**9
        start = ledger.enter("other")
        fake.now_ns += 3 * 10**9
        ledger.waited_since(start)
        fake.now_ns += 1 * 10**9
        ledger.set_to_latest(4.0)
        summary = ledger.summary()
        assert (summary["update"], summary["other"], summary["wall"]) == (4, 2, 6)
        assert summary["balanced"] is True
        ledger.set_to_latest(5.0)  # What was waited for before is no reason to take from other work.
        summary = ledger.summary()
        assert (summary["update"], summary["other"], summary["wall"]) == (5, 2, 7)
        assert summary["balanced"] is True


def test_only_what_was_not_waited_for_extends_the_wall_time():
    with FakeTime() as fake:
        ledger = Ledger("other")
        fake.now_ns += 1 * 10**9
        ledger.waited_since(fake.now_ns - 10**9)
        ledger.set_to_latest(4.0)
        summary = ledger.summary()
        assert (summary["update"], summary["other"], summary["wall"]) == (4, 0, 4)
        assert summary["balanced"] is True


def test_reading_the_clock_costs_microseconds():
    ledger = Ledger()
    best = min(_time_of_enters(ledger, 1000) for _ in range(5))
    assert best / 1000 < 20e-6


def _time_of_enters(ledger, count):
    start = time.perf_counter()
    for _ in range(count):
        ledger.enter("update")
    return time.perf_counter() - start
