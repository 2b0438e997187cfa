"""Campaigns whose code has changed since some of their trials ran: named, refused, or accepted and told."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from harness import ROOT, patient_suite

from algoperf import data_seed, records, submission_files
from algoperf.run import sources
from algoperf.run.identity import META_SOURCES
from algoperf.settings import given
from algoperf.spec import UsageError
from campaign import benchmark, job_plan
from campaign.state import State
from campaign.store import Store


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of a part of the project, whose files count."""
    root = tmp_path / "project"
    for name in ("algoperf", "reference_algorithms", "workloads/ogbg"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for module in (submission_files, sources):
        monkeypatch.setattr(module, "PROJECT", root)
    monkeypatch.setattr(sources, "roots", lambda: (root / "workloads",))
    return root


def campaign(tmp_path, project, **changes):
    settings = given({"suite": "mini", "ruleset": "self", "framework": "pytorch", **changes})
    names = [str(project / "reference_algorithms" / name) for name in ("adamw", "nesterov")]
    return job_plan.Campaign(
        experiment_dir=tmp_path / "experiments",
        submissions=tuple(names),
        settings=settings,
        workloads=("ogbg_mini",),
        num_studies=2,
    )


def pretend_done(job, **of_process):
    """Writes the records of a trial that has run, as the trial itself does."""
    job.folder.mkdir(parents=True)
    identity = {**job.identity, **of_process}
    records.write_json(job.folder / records.meta_data_file(0), {META_SOURCES: job.sources.files})
    summary = {"status": "target_reached", "identity": identity, "submission": job.submission}
    records.write_json(job.folder / records.SUMMARY, summary)


def change(path):
    path.write_text(path.read_text() + "\nCHANGED = 1\n")


def plan(found):
    return benchmark.run(found, benchmark.Config(plan=True))


def test_a_plan_says_how_many_trials_are_done_under_other_code_and_mixes_nothing(tmp_path, project):
    found = campaign(tmp_path, project)
    for job in job_plan.make_jobs(found)[:3]:
        pretend_done(job)
    assert plan(found) == 0
    change(project / "workloads" / "ogbg" / "metrics.py")
    with pytest.raises(UsageError) as error:
        plan(found)
    text = str(error.value)
    assert "3 done under other code (workload_source (workloads/ogbg/metrics.py changed)), 1 waiting" in text
    for choice in ("put the code and the packages back", "another --experiment_dir", "--accept_changes"):
        assert choice in text


def test_an_accepted_mixture_counts_and_is_named(tmp_path, capsys, project):
    found = campaign(tmp_path, project, accept_changes=True)
    jobs = job_plan.make_jobs(found)
    for job in jobs[:3]:
        pretend_done(job)
    change(project / "algoperf" / "evaluation.py")
    assert plan(found) == 0
    out = capsys.readouterr().out
    assert "1 waiting, 3 done" in out
    assert "mixed: 3 done under other code (harness (algoperf/evaluation.py changed))" in out
    assert "--accept_changes=True" in jobs[0].arguments, "so that a trial goes on from its checkpoint"


def test_trials_on_data_of_another_seed_are_never_taken_for_those_of_a_campaign(tmp_path, project):
    for job in job_plan.make_jobs(campaign(tmp_path, project)):
        pretend_done(job)
    sealed = data_seed.parse("17").setting
    other = campaign(tmp_path, project, accept_changes=True, data_seed=sealed)
    (job, *_) = job_plan.make_jobs(other)
    assert job.identity["data_seed"] == sealed
    assert f"--data_seed={sealed}" in job.arguments
    with pytest.raises(UsageError, match="data_seed"):
        plan(other)


def test_a_plan_says_where_data_of_a_seed_are_missing(tmp_path, capsys, project):
    sealed = data_seed.parse("17")
    assert plan(campaign(tmp_path, project, data_seed=sealed.setting, data_dir=str(tmp_path / "data"))) == 0
    out = capsys.readouterr().out
    assert f"Missing: the data of ogbg_mini in {tmp_path}/data/ogbg_mini_seed_{sealed.instance}." in out
    assert "--dataset=ogbg_mini --data_seed=<their seed> " in out


def test_the_status_names_a_mixture_and_goes_on(tmp_path, capsys, project):
    found = campaign(tmp_path, project)
    pretend_done(job_plan.make_jobs(found)[0])
    change(project / "algoperf" / "evaluation.py")
    assert benchmark.run(found, benchmark.Config(status=True)) == 0
    assert "mixed: 1 done under other code" in capsys.readouterr().out


def test_a_changed_submission_is_never_accepted(tmp_path, project):
    found = campaign(tmp_path, project, accept_changes=True)
    for job in job_plan.make_jobs(found):
        pretend_done(job)
    change(project / "reference_algorithms" / "shared" / "schedules.py")
    with pytest.raises(UsageError) as error:
        plan(found)
    text = "4 done under other files of a submission (submission_source (reference_algorithms/shared/"
    assert f"{text}schedules.py changed))" in str(error.value)
    assert "--accept_changes" not in str(error.value)


def test_one_changed_trial_is_named_by_its_folder(tmp_path, project):
    found = campaign(tmp_path, project)
    job = job_plan.make_jobs(found)[0]
    pretend_done(job)
    change(project / "reference_algorithms" / "adamw" / "submission_torch.py")
    words = r"trial_1 holds a trial of 'adamw' as its files were then .*submission_torch.py changed"
    with pytest.raises(UsageError, match=words):
        plan(found)
    with pytest.raises(UsageError, match=words):
        Store(found.experiment_dir).state(job_plan.make_jobs(found)[0])


def test_a_suite_with_another_budget_than_the_trials_had_is_refused_in_words(tmp_path, project):
    path = patient_suite(tmp_path, "ogbg_mini")
    found = campaign(tmp_path, project, suite=path)
    for job in job_plan.make_jobs(found)[:2]:
        pretend_done(job)
    content = json.loads(Path(path).read_text())
    content["targets"]["ogbg_mini"]["runtime_budget_sec"] = 240.0
    Path(path).write_text(json.dumps(content))
    with pytest.raises(UsageError, match=r"another budget_sec \(\d+.0, now \d+.0\)"):
        plan(found)


def test_trials_with_other_threads_or_on_another_device_are_named(tmp_path, capsys, project):
    found = campaign(tmp_path, project)
    first, second, *_ = job_plan.make_jobs(found)
    pretend_done(first, environment={"threads": 1}, device="cpu")
    pretend_done(second, environment={"threads": 2}, device="cpu")
    assert plan(found) == 0
    out = capsys.readouterr().out
    assert "mixed: environment.threads differs between trials (1 in 1, 2 in 1)" in out
    assert "mixed: device" not in out


def test_trials_of_an_older_version_count(tmp_path, project):
    found = campaign(tmp_path, project)
    job = job_plan.make_jobs(found)[0]
    older = {key: job.identity[key] for key in ("workload", "rng_seed", "study", "trial", "workload_config")}
    pretend_done(job)
    identity = {**older, "submission_source": job.sources.older}
    records.write_json(job.folder / records.SUMMARY, {"status": "target_reached", "identity": identity})
    assert Store(found.experiment_dir).states([job]) == {job.key: State.DONE}


def test_sources_are_read_once_for_each_submission_on_each_workload(tmp_path, project, monkeypatch):
    calls = []
    real = sources.of
    monkeypatch.setattr(sources, "of", lambda *given: calls.append(given) or real(*given))
    many = dataclasses.replace(campaign(tmp_path, project), num_studies=50)
    assert len(job_plan.make_jobs(many)) == 100
    assert len(calls) == 2
