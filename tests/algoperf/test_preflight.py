"""The preflight: a trial off the record, the batch that fits, the forecast, and what people are told."""

import dataclasses
import subprocess
import sys
import types

import numpy as np
import pytest
from harness import FRAMEWORKS, ROOT, digits, shared_workload, submission, trial_config

from algoperf import registry
from algoperf.preflight import arrays, forecast, found, host, probe, report, start
from algoperf.preflight.found import FAILED, FITS, OUT_OF_MEMORY, Facts, Found, Phase
from algoperf.preflight.probe import Limits, Result
from algoperf.run import clock, session, trial
from algoperf.settings import given
from algoperf.spec import UsageError

GIB = 2**30


def one(status=FITS, stopped_in=None, batch=64, evaluation=250, peak=1000, **facts):
    """What a preflight may have found."""
    named = {"first_update_sec": 1.0, "update_secs": (0.5, 0.1, 0.1), "eval_batch_sec": 0.2, **facts}
    return Found(
        status=status,
        phases=(Phase(name=found.START, seconds=2.0, host_bytes=peak),),
        facts=Facts(batch_size=batch, eval_batch_size=evaluation, **named),
        stopped_in=stopped_in,
    )


# ---- a trial off the record ------------------------------------------------------------------------------------------


def preflight(framework, folder, monkeypatch, run=None, **options):
    """(messages, how the trial ended) of a preflight of `digits` in this process."""
    said = []
    own = host.Host(lambda kind, content: said.append((kind, content)), **options)
    config = trial_config(
        folder,
        framework,
        run,
        digits(),
        eval_steps=tuple(range(1, host.MAX_UPDATES + 1)),
        eval_every_steps=None,
        max_steps=None,
        save_checkpoints=False,
    )
    monkeypatch.setattr(session, "Workload", shared_workload)
    monkeypatch.setattr(host, "MORE_SEC", 0.0)
    return said, trial.run(config, clock.Ledger(), own)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_preflight_goes_through_all_phases_and_records_nothing(framework, tmp_path, monkeypatch):
    run = submission(framework)
    run = dataclasses.replace(
        run, module=types.SimpleNamespace(**vars(run.module))
    )  # Its batch size is changed.
    said, ended = preflight(framework, tmp_path, monkeypatch, run, batch_size=16, eval_batch_size=50)
    assert ended.status == "submission_ended", ended.error
    phases = [found.phase_of(content) for kind, content in said if kind == "end"]
    assert [phase.name for phase in phases] == list(found.PHASES)
    assert all(phase.host_bytes > 2**26 for phase in phases)
    facts = found.facts_of(
        {key: value for kind, content in said if kind == "facts" for key, value in content.items()}
    )
    assert (facts.batch_size, facts.eval_batch_size) == (16, 50)
    assert facts.num_params * 4 == facts.params_bytes
    assert facts.optimizer_bytes >= facts.params_bytes  # Momentum; some keep a number beside it.
    assert facts.checkpoint_bytes > facts.params_bytes
    assert len(facts.update_secs) == 2
    assert list(tmp_path.iterdir()) == []


def test_the_size_of_a_state_is_that_of_its_arrays_each_counted_once():
    own, shared = np.zeros(3, np.float32), np.zeros(5, np.float32)
    holder = types.SimpleNamespace(state={"a": own, "again": own}, params=[shared])
    assert arrays.num_bytes(holder) == 32
    assert arrays.num_bytes(holder, without=[shared]) == 12


# ---- in a process, with a limit --------------------------------------------------------------------------------------


def plan_of(tmp_path, framework="pytorch"):
    asked = {
        "workload": "digits",
        "submission": str(ROOT / "reference_algorithms" / "nadamw"),
        "framework": framework,
        "experiment_dir": str(tmp_path / "results"),
    }
    return start.StudyPlan.of(given(asked))


def test_a_process_that_takes_more_than_its_limit_is_ended_and_its_phase_is_named(tmp_path):
    plan = plan_of(tmp_path)
    task = probe.Task(plan=plan, trial=1)
    ended = probe.run_in_process(task, Limits(host_bytes=40 * 2**20))  # Less than an import takes.
    assert (ended.status, ended.stopped_in) == (OUT_OF_MEMORY, found.START)
    assert not (tmp_path / "results").exists()
    result = Result(found=ended)
    (line,) = report.problems(plan.workload, result, Limits(host_bytes=40 * 2**20), None)
    assert line == (
        "OUT OF MEMORY: digits in start, before any batch, of 40.0 MiB. No batch makes that smaller: take a machine "
        "with more memory."
    )


def pretended(lines, code=0):
    """A command that says lines as the process of a preflight would, and ends with an exit code."""
    text = "".join(f"{line}\n" for line in lines)
    program = f"import os, sys; os.write(int(sys.argv[-1]), {text.encode()!r}); os._exit({code})"
    return probe.Place(command=(sys.executable, "-c", program))


def watched(lines, code=0, host_bytes=GIB):
    return probe.run_in_process(
        types.SimpleNamespace(), Limits(host_bytes=host_bytes), pretended(lines, code)
    )


BEGIN = '["begin", {"name": "first update"}]'
END = '["end", {"name": "first update", "seconds": 1.0, "host_bytes": 549755813888}]'


def test_a_peak_above_the_limit_counts_even_where_nobody_saw_it():
    ended = watched([BEGIN, END, '["done", {}]'], host_bytes=GIB)
    assert (ended.status, ended.stopped_in, ended.phases) == (OUT_OF_MEMORY, found.FIRST, ())
    assert watched([BEGIN, END, '["done", {}]'], host_bytes=1024 * GIB).status == FITS


@pytest.mark.parametrize(
    ("last", "code", "status"),
    [
        ('["failed", {"error": "RESOURCE_EXHAUSTED", "no_memory": true}]', 0, OUT_OF_MEMORY),
        ('["failed", {"error": "ValueError: no", "no_memory": false}]', 0, FAILED),
        ('["facts", {"batch_size": 4}]', 3, FAILED),
    ],
)
def test_how_the_process_ends_says_what_became_of_it(last, code, status):
    ended = watched([BEGIN, last], code)
    assert (ended.status, ended.stopped_in) == (status, found.FIRST)
    assert ended.error


# ---- the batch that fits ---------------------------------------------------------------------------------------------


def machine_with_room_for(batch, evaluation=10**6):
    """What runs tasks where so many examples fit; keeps the batches that were tried."""
    tried = []

    def run(task):
        own, of_eval = task.batch_size or 64, task.eval_batch_size or 256
        tried.append((own, of_eval))
        if own > batch:
            return one(OUT_OF_MEMORY, found.FIRST, own, of_eval)
        if of_eval > evaluation:
            return one(OUT_OF_MEMORY, found.EVALUATION, own, of_eval)
        return one(batch=own, evaluation=of_eval)

    return run, tried


@pytest.mark.parametrize(("room", "fits"), [(1, 1), (2, 2), (20, 16), (32, 32), (63, 32)])
def test_the_largest_half_quarter_and_so_on_that_fits_is_found_in_few_tries(room, fits, tmp_path):
    run, tried = machine_with_room_for(room)
    result = probe.probe(run, plan_of(tmp_path), 1)
    assert result.smaller.facts.batch_size == fits
    assert len(tried) == result.num_tries <= 4


def test_an_evaluation_that_does_not_fit_gets_a_smaller_batch_of_its_own(tmp_path):
    run, _ = machine_with_room_for(16, 100)
    result = probe.probe(run, plan_of(tmp_path), 1)
    assert (result.smaller.facts.batch_size, result.smaller.facts.eval_batch_size) == (16, 64)


def test_where_no_batch_fits_that_is_said(tmp_path):
    run, _ = machine_with_room_for(0)
    plan = plan_of(tmp_path)
    result = probe.probe(run, plan, 1)
    assert result.smaller is None
    (line,) = report.problems(plan.workload, result, Limits(host_bytes=GIB), None)
    assert line == (
        "OUT OF MEMORY: digits in first update, with batch 64, of 1.00 GiB. The smallest does not fit either, first "
        "update, with batch 1: take a machine with more memory."
    )


def test_what_runs_out_of_memory_names_workload_phase_and_batch(tmp_path):
    run, _ = machine_with_room_for(20)
    plan = plan_of(tmp_path)
    (line,) = report.problems(plan.workload, probe.probe(run, plan, 1), Limits(host_bytes=GIB), None)
    assert line.startswith(
        "OUT OF MEMORY: digits in first update, with batch 64, of 1.00 GiB. Batch 16 fits (1.0 KiB): let "
        "get_batch_size('digits') return at most that"
    )


def test_a_failure_is_told_by_its_last_line(tmp_path):
    failed = dataclasses.replace(one(FAILED, found.DATA), error="Traceback\nUsageError: No prepared data.\n")
    (line,) = report.problems(plan_of(tmp_path).workload, Result(found=failed), Limits(host_bytes=GIB), None)
    assert line == "FAILS in data: No prepared data."


# ---- the forecast ----------------------------------------------------------------------------------------------------


def ahead(budget_sec=11.0, **settings):
    return forecast.of(registry.get("digits"), given(settings), budget_sec, one(checkpoint_bytes=1000))


def test_a_trial_goes_on_to_the_end_of_its_budget():
    found_ahead = ahead()
    assert found_ahead.update_sec == 0.1
    assert found_ahead.compile_sec == pytest.approx(0.9)
    assert found_ahead.num_updates == 101
    assert found_ahead.submission_sec == pytest.approx(11.0)
    assert found_ahead.num_evaluations == 1 + int(11.0 // registry.get("digits").eval_period_time_sec)
    evaluations = found_ahead.num_evaluations * found_ahead.evaluation_sec
    assert found_ahead.wall_sec == pytest.approx(2.0 + 11.0 + evaluations)


def test_a_number_of_steps_ends_it_earlier():
    assert ahead(max_steps=11).submission_sec == pytest.approx(2.0)
    assert ahead(max_steps=11, eval_every_steps=5).num_evaluations == 4
    assert ahead(skip_evals=True).num_evaluations == 0


def test_disk_holds_the_newest_checkpoint_and_the_next_or_all():
    rows = ahead().num_evaluations * forecast.ROW_BYTES
    assert ahead().disk_bytes == forecast.RECORD_BYTES + rows + 2000
    kept = ahead(save_intermediate_checkpoints=True)
    assert kept.disk_bytes == forecast.RECORD_BYTES + rows + (kept.num_evaluations + 1) * 1000
    assert ahead(save_checkpoints=False).disk_bytes == forecast.RECORD_BYTES + rows


def test_few_updates_in_the_budget_are_worth_a_note():
    spec = registry.get("digits")
    (line,) = report.notes(spec, ahead())
    assert "of its step hint" in line
    assert list(report.notes(spec, dataclasses.replace(ahead(), of_hint=0.9))) == []


# ---- the commands ----------------------------------------------------------------------------------------------------


def test_limits_divide_what_is_free_among_workers_unless_they_are_given():
    assert start.limits_of(GIB, 4) == Limits(host_bytes=GIB, device_bytes=GIB)
    assert start.limits_of(None, 4).host_bytes < start.limits_of(None).host_bytes / 3


def test_several_processes_are_refused(tmp_path):
    plan = plan_of(tmp_path)
    several = dataclasses.replace(plan.settings, num_processes=2, referee=True)
    with pytest.raises(UsageError, match="--num_processes=2"):
        start.check(dataclasses.replace(plan, settings=several))


def test_the_command_tells_of_one_trial(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(start.machine, "busy_warning", lambda: None)
    monkeypatch.setattr(
        start, "try_trial", lambda *_: Result(found=one(device="cpu (2 cores)", num_params=2, params_bytes=8))
    )
    asked = dataclasses.replace(plan_of(tmp_path).settings, max_global_steps=500)
    assert start.run(asked) == 0
    told = capsys.readouterr().out
    assert "nothing is recorded" in told
    assert "whole trial, at most" in told
    monkeypatch.setattr(start, "try_trial", lambda *_: Result(found=one(OUT_OF_MEMORY, found.MODEL)))
    assert start.run(asked) == 1


@pytest.mark.parametrize(
    ("script", "flags", "words"),
    [
        ("submission_runner.py", ["--preflight_memory_gib=2"], "means nothing without --preflight"),
        (
            "submission_runner.py",
            ["--preflight", "--preflight_memory_gib=-1"],
            "must be a positive number of GiB",
        ),
    ],
)
def test_a_limit_that_means_nothing_is_refused(script, flags, words):
    done = subprocess.run(
        [sys.executable, ROOT / script, *flags], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 2
    assert words in done.stderr
