"""What a person sees while a trial runs."""

import io

import pytest

from algoperf.run import progress
from algoperf.run.progress import Progress, duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (99.4, "99s"),
        (100, "1m40s"),
        (187, "3m07s"),
        (5999, "99m59s"),
        (6000, "1h40m"),
        (7500, "2h05m"),
    ],
)
def test_a_duration_is_told_in_two_units_at_most(seconds, text):
    assert duration(seconds) == text


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def shown(monkeypatch):
    """shown(file) gives what an evaluation at 1 s, and steps at 2, 3 and 20 s, print there, by line."""

    def lines(file):
        seen = Progress("accuracy", 0.9, budget_sec=120.0, file=file)
        for now, step in ((1.0, 10), (2.0, 20), (3.0, 30), (20.0, 200)):
            monkeypatch.setattr(progress.time, "monotonic", lambda now=now: 1000.0 + now)
            if step == 10:
                seen.evaluation(step, now, 0.25)
            else:
                seen.step(step, now)
        return file.getvalue().removesuffix("\n").split("\n")

    return lines


def test_a_file_gets_a_line_now_and_then_with_speed_metric_and_time_left(shown):
    first, last = shown(io.StringIO())
    assert first.startswith("step 10  0.0 steps/s  1s of 2m00s  validation accuracy 0.25 (target 0.9)")
    assert last.startswith("step 200  10.0 steps/s  20s of 2m00s")
    assert last.endswith("at most 1m40s left")


def test_a_terminal_gets_one_line_that_is_overwritten_after_the_evaluation(shown):
    evaluation, moving = shown(Terminal())
    assert "step 10 " in evaluation
    assert moving.count("\r\x1b[K") == 3


def test_a_quiet_run_shows_nothing():
    file = io.StringIO()
    seen = Progress("accuracy", 0.9, budget_sec=10.0, enabled=False, file=file)
    seen.evaluation(1, 1.0, 0.5)
    seen.step(2, 20.0)
    assert file.getvalue() == ""
