"""`run_benchmark.py --preflight`: each submission on each workload once, and the forecast of the plan."""

import pytest
from harness import ROOT

from algoperf.preflight import found, start
from algoperf.preflight.found import FITS, OUT_OF_MEMORY, Facts, Found, Phase
from algoperf.preflight.probe import Result
from algoperf.settings import given
from algoperf.spec import UsageError
from campaign import preflight
from campaign.execution import Options
from campaign.job_plan import Campaign


def result(status=FITS, stopped_in=None):
    facts = Facts(
        batch_size=64, eval_batch_size=250, first_update_sec=1.0, update_secs=(0.1,), eval_batch_sec=0.1
    )
    phase = Phase(name=found.START, seconds=1.0, host_bytes=2**28)
    return Result(found=Found(status=status, phases=(phase,), facts=facts, stopped_in=stopped_in))


@pytest.fixture
def tried(monkeypatch):
    """Workloads that were tried; what was found can be changed."""
    seen = []
    outcome = {"result": result()}

    def pretended(plan, trial, limits, place):
        seen.append((plan.workload.name, trial, limits, place))
        return outcome["result"]

    monkeypatch.setattr(start, "try_trial", pretended)
    monkeypatch.setattr(preflight.machine, "busy_warning", lambda: None)
    return seen, outcome


def campaign(folder):
    return Campaign(
        experiment_dir=folder / "results",
        settings=given({"suite": "demo", "framework": "pytorch"}),
        submissions=(str(ROOT / "reference_algorithms" / "nadamw"),),
    ).anchored()


def test_each_workload_is_tried_once_and_all_trials_are_forecast(tried, tmp_path, capsys):
    seen, _ = tried
    assert preflight.run(campaign(tmp_path), Options()) == 0
    assert [(name, trial) for name, trial, _, _ in seen] == [("digits", 1)]
    told = capsys.readouterr().out
    assert "2 trials, if none reaches its target: " in told
    assert not (tmp_path / "results").exists()


def test_workers_divide_cores_and_memory(tried, tmp_path, monkeypatch, capsys):
    seen, _ = tried
    monkeypatch.setattr("campaign.cores.usable", lambda: [0, 1])
    preflight.run(campaign(tmp_path), Options(workers=2))
    _, _, limits, place = seen[0]
    assert limits.host_bytes < start.limits_of(None).host_bytes * 0.6
    assert place.environment["OMP_NUM_THREADS"] == "1"
    assert "with 2 workers; 512." in capsys.readouterr().out  # Twice the memory of one.


def test_what_does_not_fit_ends_the_command_with_1(tried, tmp_path, capsys):
    tried[1]["result"] = result(OUT_OF_MEMORY, found.FIRST)
    assert preflight.run(campaign(tmp_path), Options()) == 1
    assert "OUT OF MEMORY: digits in first update, with batch 64" in capsys.readouterr().out


def test_a_disk_that_is_too_small_is_no_room(tried, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 10}))
    assert preflight.run(campaign(tmp_path), Options()) == 1
    assert "NO ROOM" in capsys.readouterr().out


@pytest.mark.parametrize("options", [Options(plan=True), Options(engine="ray")])
def test_what_a_preflight_cannot_do_is_refused(options, tmp_path):
    with pytest.raises(UsageError, match="--preflight"):
        preflight.run(campaign(tmp_path), options)
