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
