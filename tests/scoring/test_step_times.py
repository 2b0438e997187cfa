"""Seconds per update, and what a framework costs."""

import json
import math

import pytest

from scoring import step_times
from scoring.results import RunEnd, Trial
from scoring.score_field import Config, run


def trial(submission, framework, pace, *, workload="up", study=0, steps=(1, 11, 21, 31), factor=1.0):
    times = [step * pace for step in steps]
    end = RunEnd(len(steps), steps[-1], math.nan, True, times_sec=times, steps=list(steps))
    return Trial(
        submission=submission,
        workload=workload,
        framework=framework,
        study=study,
        trial=1,
        end=end,
        clock_factor=factor,
    )


def test_seconds_per_update_are_the_median_of_all_intervals_of_all_trials():
    found = step_times.measure(
        [trial("a", "jax", 2.0), trial("a", "jax", 3.0, study=1, steps=(1, 2, 3, 4, 5))], ["up"]
    )
    assert found.cells["a", "up"].seconds == 3.0  # 4 intervals of 2.0 and 5 of 3.0
    assert found.cells["a", "up"].is_steady


@pytest.mark.parametrize("steps", [(1, 11, 11, 21), (1, 11, math.nan, 21, 31)])
def test_intervals_without_updates_are_left_out(steps):
    assert step_times.measure([trial("a", "jax", 2.0, steps=steps)], ["up"]).cells["a", "up"].seconds == 2.0


def test_a_log_without_steps_or_evaluations_has_no_step_time():
    without = trial("a", "jax", 2.0, steps=(math.nan, math.nan))
    assert not step_times.measure([without, trial("b", "jax", 1.0, workload="other")], ["up"]).cells


def test_times_carried_over_to_another_machine_carry_their_seconds_per_update():
    assert step_times.measure([trial("a", "jax", 2.0, factor=0.5)], ["up"]).cells["a", "up"].seconds == 1.0


def test_a_pace_that_changes_on_the_way_is_marked():
    times, steps = [10.0, 20.0, 30.0, 31.0, 32.0], [10, 20, 30, 40, 50]
    end = RunEnd(5, 50, math.nan, True, times_sec=times, steps=steps)
    slow = Trial(submission="a", workload="up", framework="jax", study=0, trial=1, end=end)
    found = step_times.measure([slow], ["up"])
    assert not found.cells["a", "up"].is_steady
    assert found.unsteady == {("jax", "up")}


def test_an_entry_stands_beside_its_framework_and_frameworks_beside_each_other():
    field = [trial(name, "jax", pace) for name, pace in (("a", 2.0), ("b", 3.0), ("c", 4.0))]
    field += [trial(name, "pytorch", pace) for name, pace in (("d", 1.0), ("e", 1.0))]
    found = step_times.measure(field, ["up"])
    assert [found.relative(name, "up") for name in "abcde"] == [2 / 3, 1.0, 4 / 3, 1.0, 1.0]
    assert found.effect("up") == 3.0
    assert step_times.is_telling(found, ["up"])
    assert math.isnan(found.effect("down"))
    one_each = step_times.measure([field[0], field[3]], ["up"])
    assert not step_times.is_telling(one_each, ["up"])  # Of algorithms as much as of frameworks.


@pytest.fixture
def own_suite(suite, tmp_path, monkeypatch):
    """The suite of these tests under the name 'test'."""
    monkeypatch.setattr("algoperf.suites.load", lambda name: suite)
    return tmp_path


def write(write_trial, paces):
    for (name, framework), pace in paces.items():
        for study in range(3):
            rows = [(pace * step + study / 7, 0.5 + step / 100) for step in (10, 20, 30, 40)]
            write_trial(name, f"up_{framework}", study=study, rows=rows)


def test_the_report_shows_step_times_where_frameworks_differ_or_where_asked(write_trial, own_suite):
    write(write_trial, {("a", "jax"): 3.0, ("b", "jax"): 3.1, ("c", "pytorch"): 1.0, ("d", "pytorch"): 1.2})
    config = {"submissions_dir": own_suite / "submissions", "ruleset": "self", "bootstrap_samples": 0}
    text = run(Config(**config, output_dir=own_suite / "out")).text()
    assert ["up", "3.0", "(2)", "1.1", "(2)", "jax", "2.77", "x"] in [
        line.split() for line in text.splitlines()
    ]
    assert "in pytorch:" in text
    content = json.loads((own_suite / "out" / "scores.json").read_text())
    first = {entry["submission"]: entry["workloads"] for entry in content["submissions"]}["b"]
    assert first["up"]["step_time"]["framework"] == "jax"
    assert first["up"]["step_time"]["over_median_of_framework"] == pytest.approx(3.1 / 3.05, rel=0.01)
    assert first["down"]["step_time"] is None
    assert content["step_times_of_frameworks"]["up"]["pytorch"]["num_submissions"] == 2
    assert (
        (own_suite / "out" / "step_time.csv").read_text().startswith("submission,down,up,up_variant\na,,3.")
    )


def test_the_report_of_one_framework_shows_step_times_only_where_asked(write_trial, own_suite):
    write(write_trial, {("a", "jax"): 3.0, ("b", "jax"): 1.0})
    config = {"submissions_dir": own_suite / "submissions", "ruleset": "self", "bootstrap_samples": 0}
    assert "Seconds per update" not in run(Config(**config)).text()
    text = run(Config(**config, step_times=True)).text()
    assert "Seconds per update of each entry" in text
    assert "by framework" not in text
