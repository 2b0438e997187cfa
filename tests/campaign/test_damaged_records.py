"""Records of a campaign that were damaged, or written by somebody else: one line with the file's name, nothing lost."""

import json

import pytest
from harness import ROOT

from algoperf import records
from algoperf.settings import given
from algoperf.spec import UsageError
from campaign import benchmark, execution, job_plan
from campaign.job_plan import Campaign
from campaign.state import State
from campaign.store import FOLDER, Outcome, Store


def campaign(tmp_path, **changes):
    fields = {
        "experiment_dir": tmp_path,
        "submissions": (str(ROOT / "reference_algorithms/adamw"),),
        "workloads": ("digits",),
        "num_studies": 1,
        "num_trials": 1,
        **changes,
    }
    return Campaign(settings=given({"suite": "mini", "framework": "jax"}), **fields)


def saved(tmp_path, content):
    folder = tmp_path / FOLDER
    folder.mkdir(exist_ok=True)
    (folder / benchmark.SAVED).write_bytes(
        content if isinstance(content, bytes) else json.dumps(content).encode()
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], r"it must be an object in braces, got \[\]"),
        (None, "it must be an object in braces, got null"),
        (b"", "Expecting value"),
        (b"{\xd2", "decode"),
        ({}, "it lacks 'submissions'"),
        ({"submissions": "adamw"}, "'submissions' must be a list, got 'adamw'"),
        ({"submissions": ["a"], "num_studies": "3"}, "'num_studies' must be a whole number, got '3'"),
        ({"submissions": ["a"], "settings": {"rng_seed": "x"}}, "rng_seed"),
        ({"submissions": ["a"], "settings": []}, "'settings' must be an object in braces"),
        ({"submissions": ["a"], "calibrate": 1}, "'calibrate' must be true or false, got 1"),
    ],
    ids=str,
)
def test_a_damaged_campaign_file_is_named(tmp_path, content, words):
    saved(tmp_path, content)
    with pytest.raises(UsageError, match=words) as caught:
        benchmark.saved_campaign(tmp_path)
    assert str(tmp_path / FOLDER / benchmark.SAVED) in str(caught.value)
    assert "writes it again" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "must be an object in braces"),
        ({"outcome": "weird"}, "'outcome' must be one of done, crashed, .*got 'weird'"),
        ({"outcome": None, "holders": {}}, "'holders' must be a list"),
        (
            {"holders": [{"pid": "12", "created": 1.0}]},
            r"'holders\[0\].pid' must be a whole number, got '12'",
        ),
        ({"holders": [{"pid": 1e30, "created": 1.0}]}, r"'holders\[0\].pid' must be a whole number"),
        (
            {"holders": [{"pid": 10**30, "created": 1.0}]},
            r"'holders\[0\].pid' must be the number of a process",
        ),
        (b"\xff\xfe\x00\x01", "it is not readable as JSON"),
        (b'{"outcome": ', "it is not readable as JSON"),
    ],
    ids=str,
)
def test_a_damaged_attempt_is_named(tmp_path, content, words):
    (job,) = job_plan.make_jobs(campaign(tmp_path))
    path = tmp_path / FOLDER / "attempts" / job.key / "1.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(UsageError, match=words) as caught:
        Store(tmp_path).state(job)
    assert str(path) in str(caught.value)


def test_deleting_a_damaged_attempt_leaves_the_later_ones(tmp_path):
    (job,) = job_plan.make_jobs(campaign(tmp_path))
    store = Store(tmp_path)
    for _ in range(2):
        attempt = store.claim(job)
        assert attempt is not None
        store.end(job, attempt, Outcome.INTERRUPTED)
    (tmp_path / FOLDER / "attempts" / job.key / "1.json").unlink()
    attempt = store.claim(job)
    assert attempt is not None
    assert attempt.number == 3
    assert not attempt.is_lost()


def test_an_attempt_that_names_no_holder_is_held_by_nobody(tmp_path):
    (job,) = job_plan.make_jobs(campaign(tmp_path))
    path = tmp_path / FOLDER / "attempts" / job.key / "1.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"host": "elsewhere", "outcome": "lost"}))
    assert Store(tmp_path).state(job) is State.WAITING


@pytest.mark.parametrize("status", [5, "finished", ["done"]], ids=str)
def test_a_summary_with_another_status_counts_for_nothing_and_is_named(tmp_path, status):
    (job,) = job_plan.make_jobs(campaign(tmp_path))
    job.folder.mkdir(parents=True)
    (job.folder / records.SUMMARY).write_text(json.dumps({"status": status}))
    with pytest.raises(UsageError, match=r"summary.json is damaged: 'status' must be one of"):
        Store(tmp_path).state(job)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"submissions": ("", str(ROOT / "reference_algorithms/adamw"))},
            "--submissions=,.* has an empty entry",
        ),
        ({"workloads": ("digits", " ")}, "--workloads=digits,  has an empty entry"),
        ({"num_studies": 10**9}, "--num_studies must be a positive integer up to 1000"),
        ({"num_studies": 1000, "num_trials": 10_000}, "would be 10000000 trials; at most 100000"),
    ],
    ids=str,
)
def test_flags_that_cannot_be_meant_are_one_line(tmp_path, changes, words):
    with pytest.raises(UsageError, match=words):
        job_plan.make_jobs(campaign(tmp_path, **changes))


def test_an_experiment_folder_below_a_file_is_one_line(tmp_path):
    from pathlib import Path

    with pytest.raises(UsageError, match="/dev/null is no folder"):
        campaign(tmp_path, experiment_dir=Path("/dev/null/x"))


@pytest.mark.parametrize("gpus", [("x",), ("0", "0"), ("-1",), ("",)], ids=str)
@pytest.mark.parametrize("plan", [True, False])
def test_gpus_that_are_none_or_stand_twice_are_one_line(gpus, plan):
    with pytest.raises(UsageError, match=r"--gpus=.*(is no GPU|names one twice)"):
        execution.Options(gpus=gpus, plan=plan)


def test_a_plan_says_which_data_are_missing(tmp_path):
    found = campaign(tmp_path, workloads=("wmt",))
    settings = given({"suite": "mini", "framework": "jax", "data_dir": str(tmp_path / "nowhere")})
    jobs = job_plan.make_jobs(Campaign(**{**vars(found), "settings": settings}))
    (line,) = benchmark.missing_data(jobs)
    assert line.startswith(f"Missing: the data of wmt in {tmp_path / 'nowhere' / 'wmt'}. python datasets/")
    assert benchmark.missing_data(job_plan.make_jobs(campaign(tmp_path))) == []
