import json
import os
import random

import pytest

from algoperf.spec import UsageError
from scoring import reading
from scoring.results import Kind

FLAGS = {"eval_every_steps": 100}


@pytest.fixture
def read(tmp_path, suite):
    def read(**options):
        targets = {name: suite.targets(name) for name in suite.scored_names()}
        return reading.read_submissions(tmp_path / "submissions", targets, **options)

    return read


def kinds(results):
    return [finding.kind for finding in results.findings]


def test_the_first_evaluation_that_meets_the_target_is_the_hit(write_trial, read):
    write_trial("adam", "up_jax", study=2, trial=3, rows=[(1.0, 0.1), (5.0, 0.8), (9.0, 0.9)])
    (trial,) = read().trials
    assert (trial.submission, trial.workload, trial.framework) == ("adam", "up", "jax")
    assert (trial.study, trial.trial) == (2, 3)
    assert (trial.hit.evaluation, trial.hit.submission_time_sec, trial.hit.global_step) == (1, 5.0, 20)
    assert (trial.best, trial.last_time_sec) == (0.9, 9.0)


def test_trials_come_in_numerical_order_whatever_the_order_of_writing(write_trial, read):
    numbers = [(study, trial) for study in (0, 2, 10) for trial in (1, 2, 11)]
    for study, trial in random.Random(0).sample(numbers, len(numbers)):
        write_trial("adam", "up_jax", study=study, trial=trial, rows=[(1.0, 0.1)])
    assert [(one.study, one.trial) for one in read().trials] == numbers


def test_the_status_of_our_own_trials_is_read(write_trial, read):
    write_trial("adam", "up_jax", rows=[(1.0, 0.1)], status="diverged")
    assert read().trials[0].status == "diverged"


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        (FLAGS, [Kind.STEP_SCHEDULE]),
        ({"eval_every_steps": "100"}, [Kind.STEP_SCHEDULE]),
        *[({"eval_every_steps": by_time}, []) for by_time in (None, 0, "0", "")],
        ({}, []),
    ],
)
def test_a_step_based_evaluation_schedule_is_reported(write_trial, read, flags, found):
    write_trial("adam", "up_jax", rows=[(1.0, 0.1)], flags=flags)
    assert kinds(read()) == found


def test_a_torn_json_file_beside_the_evaluations_does_not_stop_the_scoring(write_trial, read):
    folder = write_trial("adam", "up_jax", rows=[(1.0, 0.1)])
    (folder / "summary.json").write_text('{"status": "dive')
    (folder / "flags_0.json").write_text("[1, 2]")
    assert read().trials[0].status == ""


def test_stray_folders_are_reported_and_ignored(write_trial, read, tmp_path):
    folder = write_trial("adam", "up_jax", rows=[(1.0, 0.1)])
    study = folder.parents[1]
    for stray in (
        study / "trial_1",
        study / "up",
        folder.parent / "trial_02",
        folder.parent / "trial_1_old",
        study.parent / "study_x",
        study.parent / "study_00",  # It would be study 0 once more.
    ):
        stray.mkdir()
    (tmp_path / "submissions" / "notes").mkdir()
    (study / "up_jax_log.txt").write_text("a file is no folder")
    results = read()
    assert len(results.trials) == 1
    assert kinds(results) == [Kind.STRAY_FOLDER] * 7


def test_hidden_folders_are_no_results_and_nothing_odd(write_trial, read, tmp_path):
    folder = write_trial("adam", "up_jax", rows=[(1.0, 0.1)])
    root = tmp_path / "submissions"
    for parent in (root, root / "adam", folder.parents[1], folder.parent):
        (parent / ".campaign" / "study_0").mkdir(parents=True)
    results = read()
    assert results.submissions == ("adam",)
    assert results.findings == ()


def test_a_workload_that_is_not_asked_for_is_reported(write_trial, read):
    write_trial("adam", "up_jax", rows=[(1.0, 0.1)])
    write_trial("adam", "sideways_jax", rows=[(1.0, 0.1)])
    assert [(one.workload, one.kind) for one in read().findings] == [("sideways", Kind.UNLISTED_WORKLOAD)]


@pytest.mark.parametrize("content", [b"", b"score,validation/loss\n1,1\n"])
def test_an_unreadable_trial_is_there_but_has_no_hit(write_trial, read, content):
    write_trial("adam", "up_jax", content=content)
    results = read()
    assert results.trials[0].hit is None
    assert results.trials[0].status == "unreadable"
    assert kinds(results) == [Kind.UNREADABLE]


def test_a_trial_folder_without_evaluations_is_no_trial(write_trial, read):
    (write_trial("adam", "up_jax", rows=[(1.0, 0.1)]) / "eval_measurements.csv").unlink()
    results = read()
    assert results.trials == ()
    assert kinds(results) == [Kind.NO_EVALUATIONS]


def test_a_workload_in_both_frameworks_is_refused_by_name(write_trial, read):
    write_trial("adam", "up_jax", rows=[(1.0, 0.1)])
    write_trial("adam", "up_pytorch", study=1, rows=[(1.0, 0.1)])
    with pytest.raises(UsageError, match="up_jax and up_pytorch"):
        read()


def test_submissions_are_included_and_excluded_by_name(write_trial, read):
    for name in ("a", "b", "c"):
        write_trial(name, "up_jax", rows=[(1.0, 0.1)])
    assert read(include=("a", "c")).submissions == ("a", "c")
    assert read(exclude=("a",)).submissions == ("b", "c")
    with pytest.raises(UsageError, match="leave no submission"):
        read(include=("a",), exclude=("a",))
    with pytest.raises(UsageError, match="is called 'd'"):
        read(exclude=("d",))


def test_names_with_special_characters_are_only_names(write_trial, read):
    write_trial("a[0-9]*", "up_jax", rows=[(1.0, 0.8)])
    write_trial("a", "up_jax", rows=[(2.0, 0.8)])
    assert [one.hit.submission_time_sec for one in read().trials] == [2.0, 1.0]


# ---- odd files -------------------------------------------------------------------------------------------------------

HIT = {"submission_time_sec": 5.0, "global_step": 20}
SUMMARY = {
    **{"status": "target_reached", "validation_target": 0.8, "validation_target_reached": HIT},
    **{"num_evaluations": 2, "submission_time_sec": 6.0, "some_later_key": 1},
}


@pytest.mark.parametrize(
    ("changes", "kind", "detail"),
    [
        ({}, None, ""),
        (
            {"validation_target_reached": None},
            Kind.CONTRADICTION,
            "not reached there, reached at 5.00 s here",
        ),
        (
            {"validation_target_reached": {**HIT, "submission_time_sec": 2.0}},
            Kind.CONTRADICTION,
            "2.00 s there",
        ),
        ({"num_evaluations": 7}, Kind.CONTRADICTION, "7 evaluations there, 2 here"),
        ({"study": 3}, Kind.CONTRADICTION, "study 3 there, 0 here"),
        ({"workload": "down"}, Kind.CONTRADICTION, "workload down there, up here"),
        ({"global_step": 10}, Kind.CONTRADICTION, "10 updates there, 20 here"),
        (
            {"best": {"validation/accuracy": 0.9}},
            Kind.CONTRADICTION,
            "best validation/accuracy 0.9 there, 0.8",
        ),
        (
            {"last": {"validation/accuracy": 0.5}},
            Kind.CONTRADICTION,
            "last validation/accuracy 0.5 there, 0.8",
        ),
        ({"last": {"global_step": 30}}, Kind.CONTRADICTION, "last evaluation at step 30 there, 20 here"),
        ({"submission_time_sec": 3.0}, Kind.CONTRADICTION, "3.00 s there, 5.00 s here"),
        ({"validation_target": 0.5}, Kind.OTHER_RUN, "validation target 0.5"),
        ({"status": 5}, Kind.DAMAGED_SUMMARY, "'status' must be one of target_reached"),
        ({"status": "finished"}, Kind.DAMAGED_SUMMARY, "got 'finished'"),
        ({"status": None}, Kind.DAMAGED_SUMMARY, "does not say how the trial ended"),
        ({"version": 99}, Kind.DAMAGED_SUMMARY, "version 99"),
        ({"validation_target_reached": [1]}, Kind.DAMAGED_SUMMARY, "must be an object in braces, got [1]"),
        ({"warnings": "none"}, Kind.DAMAGED_SUMMARY, "'warnings' must be a list, got 'none'"),
    ],
    ids=str,
)
def test_a_summary_that_contradicts_its_rows_or_is_damaged_is_a_finding(
    write_trial, read, changes, kind, detail
):
    folder = write_trial("adam", "up_jax", rows=[(1.0, 0.1), (5.0, 0.8)])
    (folder / "summary.json").write_text(json.dumps({**SUMMARY, **changes}))
    results = read()
    assert kinds(results) == [kind] * (kind is not None)
    assert all(detail in finding.detail for finding in results.findings)
    assert results.trials[0].hit.submission_time_sec == 5.0, "the rows count"


@pytest.mark.parametrize("name", ["eval_measurements.csv", "summary.json", "flags_0.json"])
def test_a_pipe_in_place_of_a_file_does_not_hang(write_trial, read, name):
    folder = write_trial("adam", "up_jax", rows=[(1.0, 0.8)])
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    expected = {"eval_measurements.csv": [Kind.UNREADABLE], "summary.json": [Kind.DAMAGED_SUMMARY]}
    assert kinds(read()) == expected.get(name, [])


def test_brackets_without_end_in_a_summary_are_a_finding(write_trial, read):
    (write_trial("adam", "up_jax", rows=[(1.0, 0.1)]) / "summary.json").write_text("[" * 100_000)
    assert kinds(read()) == [Kind.DAMAGED_SUMMARY]


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ({"skip_evals": True}, ["skip_evals=True"]),
        ({"max_global_steps": 10}, ["max_global_steps=10"]),
        ({"run_past_targets": True}, ["run_past_targets=True"]),
    ],
    ids=str,
)
def test_a_trial_under_other_rules_than_are_scored_is_reported(write_trial, read, flags, found):
    write_trial("adam", "up_jax", rows=[(1.0, 0.1)], flags=flags)
    assert [(one.kind, one.detail) for one in read().findings] == [
        (Kind.OTHER_RUN, detail) for detail in found
    ]


def test_what_speaks_against_a_trial_is_said_once_however_often_it_was_continued(write_trial, read):
    folder = write_trial("adam", "up_jax", rows=[(1.0, 0.1)], flags={"max_global_steps": 10})
    for number in range(1, 12):
        (folder / f"flags_{number}.json").write_text(json.dumps({"max_global_steps": 10}))
    assert [one.detail for one in read().findings] == ["max_global_steps=10"]


def test_a_study_that_is_a_copy_of_another_is_reported(write_trial, read):
    for study in (0, 1):
        write_trial("adam", "up_jax", study=study, rows=[(1.000123456, 0.1)])
        write_trial("adam", "down_jax", study=study, rows=[(1.0, 0.1)], metric="loss")
    write_trial("sgd", "up_jax", rows=[(1.000123456, 0.1)])
    (copy,) = read().findings
    assert (copy.submission, copy.kind, copy.place, copy.detail) == (
        *("adam", Kind.COPY),
        *("study_1/trial_1", "study_0/trial_1"),
    )


def test_a_submission_with_a_line_break_in_its_name_is_refused_or_left_out(write_trial, read):
    write_trial("two\nlines", "up_jax", rows=[(1.0, 0.1)])
    write_trial("one", "up_jax", rows=[(1.0, 0.1)])
    with pytest.raises(UsageError, match=r"'two\\nlines'.*rename it, or leave it out with --exclude"):
        read()
    assert read(exclude=["two\nlines"]).submissions == ("one",)


def test_a_study_number_of_many_digits_is_no_study(write_trial, read):
    write_trial("adam", "up_jax", study=10**20, rows=[(1.0, 0.1)])
    write_trial("adam", "up_jax", rows=[(1.0, 0.1)])
    results = read()
    assert (len(results.trials), kinds(results)) == (1, [Kind.STRAY_FOLDER])


def test_a_folder_that_cannot_be_listed_is_one_line(write_trial, read, monkeypatch):
    folder = write_trial("adam", "up_jax", rows=[(1.0, 0.1)])
    real = os.scandir

    def denied(path):
        if str(path) == str(folder.parents[1]):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", denied)  # Who runs as root may read anything.
    with pytest.raises(UsageError, match=r"Cannot list the folder .*study_0' \(Permission denied\)"):
        read()
