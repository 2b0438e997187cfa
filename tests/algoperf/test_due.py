"""What is due after a step, and when the loop has to ask."""

import math
import types

from algoperf.run import clock, due

MS = 1_000_000


def test_time_off_the_clock_puts_off_the_next_look_at_the_budget(monkeypatch):
    now = 0
    monkeypatch.setattr(clock, "_now_ns", lambda: now)
    ledger = clock.Ledger(clock.OTHER)
    one_process = types.SimpleNamespace(num_processes=1)
    schedule = due.Schedule(
        one_process, ledger, step=0, eval_step=math.inf, eval_ns=math.inf, budget_ns=500 * MS
    )
    assert schedule.check_ns == 0, "progress is due after the first step"
    assert schedule.after(1, now, False, 0) == due.PROGRESS_DUE
    schedule.reported(now)
    assert schedule.check_ns == 500 * MS, "the budget may be spent by then"
    now = ledger_ns = 600 * MS
    ledger.enter(clock.UPDATE)  # The time so far was off the clock.
    assert schedule.after(2, ledger_ns, False, 0) == due.NOTHING_DUE
    assert schedule.check_ns == due.PROGRESS_PERIOD_NS, "before the budget can be spent, at 1100 ms"
    now = 1100 * MS
    ledger.enter(clock.OTHER)
    assert schedule.after(3, now, False, 0) == due.END_DUE
    assert schedule.after(3, now, True, 0) == due.EVALUATION_DUE, (
        "of a submission that has declared itself done"
    )


def test_processes_compare_at_half_the_way_to_what_is_due_and_at_most_twice_as_late_as_before():
    """Steps of 10 ms, something due after 1 s; all processes find the same."""
    agreement = due.Agreement(types.SimpleNamespace(maximum=lambda value: value), step=0)
    compared = []
    while agreement.next_step < 97:
        compared.append(agreement.next_step)
        found = agreement.on(due.NOTHING_DUE, agreement.next_step, 10 * MS * agreement.next_step, 1000 * MS)
        assert found == due.NOTHING_DUE
    assert compared == [1, 2, 4, 8, 16, 32, 64, 82, 91, 95]
    assert agreement.on(due.PROGRESS_DUE, 100, 1000 * MS, 1000 * MS) == due.PROGRESS_DUE
    assert agreement.next_step == 101, "after something was due, step by step again"


def test_the_wait_for_a_slower_process_is_its_time_on_the_clock_and_not_lost(monkeypatch):
    now = 0
    monkeypatch.setattr(clock, "_now_ns", lambda: now)
    monkeypatch.setattr(clock, "_wall_ns", lambda: now)

    def maximum(value):
        nonlocal now
        now += 300 * MS  # Until the other process has come as far.
        return value

    ledger = clock.Ledger(clock.UPDATE)
    now += 100 * MS
    two = types.SimpleNamespace(num_processes=2, maximum=maximum)
    schedule = due.Schedule(two, ledger, step=0, eval_step=math.inf, eval_ns=math.inf, budget_ns=10_000 * MS)
    schedule.after(1, ledger.enter(clock.OTHER), False, 0)
    ledger.set_to_latest(0.4)
    found = ledger.summary()
    assert (found["update"], found["other"], found["wall"]) == (0.4, 0.0, 0.4)
