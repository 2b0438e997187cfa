"""A stored trial is run again from its records, and the command says whether it came to the same."""

import json
import os

import pytest
from harness import ROOT, SGD_FILES, assert_equal_params, command, patience

from algoperf import records
from algoperf.run import stored, verdict
from algoperf.run.reproduce import Repetition
from algoperf.settings import RunSettings
from algoperf.spec import UsageError
from scoring import archive

MINI = ROOT / "scoring" / "data" / "mini_self.tar.xz"
PLACE = "nesterov/study_0/digits_pytorch/trial_1"


@pytest.fixture(autouse=True)
def threads(monkeypatch):
    """As they are for other tests, whatever a repetition sets."""
    import torch

    before = torch.get_num_threads()
    for name in ("OMP_NUM_THREADS", "PJRT_NPROC"):
        if name in os.environ:
            monkeypatch.setenv(name, os.environ[name])
        else:
            monkeypatch.setenv(name, "1")
            monkeypatch.delenv(name)
    yield torch.set_num_threads
    torch.set_num_threads(before)


def run(tmp_path, framework="pytorch", **changes):
    """Runs a trial of a reference algorithm; returns its folder."""
    given = {"workload": "digits", "eval_every_steps": 2, "max_global_steps": 6, "framework": framework}
    submission = "reference_algorithms/nesterov"
    assert command(tmp_path, **{"submission": submission, **given, **changes}) == 0
    return tmp_path / "experiments" / "nesterov" / "study_0" / f"digits_{framework}" / "trial_1"


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def evaluate_as_by_time(folder, steps):
    """Makes records say that evaluations came by time, after these updates."""
    path = folder / records.EVAL_MEASUREMENTS
    header, *rows = path.read_text().splitlines()
    place = header.split(",").index("global_step")
    kept = [row for row in rows if int(row.split(",")[place]) in steps]
    path.write_text("\n".join([header, *kept]) + "\n")
    edit(
        folder / records.flags_file(0),
        lambda flags: flags.update(eval_every_steps=None, max_global_steps=None),
    )
    edit(folder / records.meta_data_file(0), lambda meta: meta["identity"].update(eval_every_steps=None))


def test_a_trial_that_was_evaluated_by_time_is_evaluated_after_the_same_updates(tmp_path, capsys, framework):
    folder = run(tmp_path, framework, rng_seed=3, eval_every_steps=1)
    evaluate_as_by_time(folder, (1, 2, 5))
    capsys.readouterr()
    assert command(tmp_path, reproduce=str(folder)) == 0, capsys.readouterr().err
    out = capsys.readouterr().out
    assert out.strip().endswith("equal at 3 of 3 evaluations")
    assert "differs" not in out
    again = tmp_path / "experiments" / "reproduced" / folder.relative_to(tmp_path / "experiments")
    assert list(stored.evaluations_of(again)) == [1, 2, 5]
    assert records.read_json(again / records.HPARAMS) == records.read_json(folder / records.HPARAMS)


def test_a_repetition_has_the_parameters_of_the_run(tmp_path, framework):
    folder = run(tmp_path, framework)
    assert command(tmp_path, reproduce=str(folder)) == 0
    assert_equal_params(
        tmp_path / "experiments" / "reproduced" / folder.relative_to(tmp_path / "experiments"), folder
    )


def test_the_first_value_that_differs_is_named_with_the_difference(tmp_path, capsys):
    folder = run(tmp_path)
    path = folder / records.EVAL_MEASUREMENTS
    header, *rows = path.read_text().splitlines()
    row = rows[2].split(",")
    row[header.split(",").index("validation/accuracy")] = "0.5"
    path.write_text("\n".join([header, *rows[:2], ",".join(row), *rows[3:]]) + "\n")
    assert command(tmp_path, reproduce=str(folder)) == 1
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert last.startswith(
        "equal at 3 of 4 evaluations; the first that differs: step 4, validation accuracy: 0.5, now 0."
    )


def test_a_run_with_other_threads_is_repeated_with_its_own(tmp_path, capsys, threads):
    import torch

    threads(2)
    folder = run(tmp_path)
    threads(1)
    assert command(tmp_path, reproduce=str(folder)) == 0, capsys.readouterr().out
    assert torch.get_num_threads() == 2
    assert os.environ["OMP_NUM_THREADS"] == "2"
    assert "environment.threads" not in capsys.readouterr().out


def test_a_trial_out_of_an_archive_is_repeated_in_full(tmp_path, capsys):
    run(tmp_path, rng_seed=3)
    packed = tmp_path / "results.tar.xz"
    archive.pack(tmp_path / "experiments", packed)
    found = stored.read(f"{packed}:{PLACE}")
    assert found.not_recorded() == []
    assert found.settings["rng_seed"] == 3
    assert str(tmp_path) not in json.dumps([found.settings, found.meta_data]), "paths stay on their machine"
    assert command(tmp_path, reproduce=f"{packed}:{PLACE}", experiment_dir=str(tmp_path / "again")) == 0
    assert capsys.readouterr().out.strip().endswith("equal at 4 of 4 evaluations")


def test_a_trial_of_an_older_archive_is_repeated_and_what_it_lacks_is_named(tmp_path, capsys):
    folder = run(tmp_path)
    for path in (*folder.glob("flags_*"), *folder.glob("meta_data_*")):
        path.unlink()
    kept = ("workload", "workload_config", "framework", "rng_seed", "study", "trial", "eval_every_steps")

    def as_before(summary):
        identity = {key: summary["identity"][key] for key in (*kept, "run_past_targets", "hyperparameters")}
        summary["identity"] = {**identity, "submission_source": "of then"}

    edit(folder / records.SUMMARY, as_before)
    packed = tmp_path / "results.tar.xz"
    archive.pack(tmp_path / "experiments", packed)
    capsys.readouterr()
    assert command(tmp_path, reproduce=f"{packed}:{PLACE}") == 0, capsys.readouterr().err
    out = capsys.readouterr().out
    assert "differs: submission_source ('of then', now '" in out
    assert "not recorded: threads, versions of packages, code of the harness and the workload, machine" in out
    assert out.strip().endswith("equal at 4 of 4 evaluations")


@pytest.mark.parametrize(
    ("inner", "words"),
    [
        ("", ["names no trial yet: add one of adamw, lion", "nadamw"]),
        (":nadamv", ["is called 'nadamv'; the nearest is 'nadamw'"]),
        (":nadamw/study_0", ["names no trial yet", "ogbg_mini_pytorch"]),
        (":nadamw/study_3", ["'study_3'; the nearest is 'study_2'. Choose from study_0"]),
        (":nadamw/study_0/ogbg_mini_pytorch/trial_1/x", ["is no trial"]),
    ],
)
def test_a_wrong_name_in_an_archive_comes_with_the_choices(inner, words):
    with pytest.raises(UsageError) as error:
        stored.read(f"{MINI}{inner}")
    for word in words:
        assert word in str(error.value)


def test_a_trial_of_the_archive_that_ships_says_what_is_to_be_run(tmp_path, threads):
    place = f"{MINI}:muon/study_1/fastmri_mini_pytorch/trial_1"
    found = Repetition.of(RunSettings(reproduce=place, experiment_dir=str(tmp_path)))
    assert found.plan.eval_steps == tuple(found.stored.evaluations)
    assert found.plan.settings.max_global_steps == max(found.stored.evaluations)
    assert (found.plan.settings.study, found.plan.trials, found.plan.points) == (1, (1,), (None,))
    assert (
        found.plan.workload.max_allowed_runtime_sec * found.plan.budget_factor
        == found.stored.summary.budget_sec
    )
    assert "not recorded: threads" in found.expected()[-1]
    assert (
        found.plan.folder(1)
        == tmp_path / "reproduced" / "muon" / "study_1" / "fastmri_mini_pytorch" / "trial_1"
    )


def test_changed_code_and_a_changed_search_space_are_named_and_hinder_nothing(tmp_path, capsys):
    sgd = tmp_path / "mine" / "submission.py"
    sgd.parent.mkdir()
    sgd.write_text(SGD_FILES["pytorch"].read_text())
    space = tmp_path / "mine" / "tuning_search_space.json"
    space.write_text('[{"learning_rate": 0.1, "momentum": 0.9, "dropout_rate": 0.1}]')
    run(tmp_path, submission=str(sgd))
    folder = tmp_path / "experiments" / "mine" / "study_0" / "digits_pytorch" / "trial_1"
    sgd.write_text(sgd.read_text() + "\nCHANGED = 1\n")
    space.write_text('[{"learning_rate": 0.2, "momentum": 0.9, "dropout_rate": 0.1}]')
    capsys.readouterr()
    assert command(tmp_path, reproduce=str(folder)) == 0, capsys.readouterr().err
    out = capsys.readouterr().out
    assert "differs: submission_source (submission.py changed)" in out
    assert out.strip().endswith("equal at 4 of 4 evaluations")


def test_a_submission_that_is_not_here_is_to_be_named(tmp_path, capsys):
    folder = run(tmp_path)

    def elsewhere(flags):
        flags.update(submission_file="/of/another/machine/method/submission.py")

    edit(folder / records.flags_file(0), elsewhere)
    edit(folder / records.SUMMARY, lambda summary: summary.update(submission="method"))
    capsys.readouterr()
    assert command(tmp_path, reproduce=str(folder)) == 2
    assert "--submission=<folder or .py file>" in capsys.readouterr().err
    given = {"reproduce": str(folder), "submission": "reference_algorithms/nesterov"}
    assert command(tmp_path, **given) == 0, capsys.readouterr().err


def test_targets_and_step_hint_are_those_of_then(tmp_path):
    folder = run(tmp_path)

    def other(meta):
        meta["workload_spec"].update(step_hint=77, validation_target_value=0.5)

    edit(folder / records.meta_data_file(0), other)
    with patience():
        plan = Repetition.of(RunSettings(reproduce=str(folder), experiment_dir=str(tmp_path))).plan
    assert (plan.workload.step_hint, plan.workload.validation_target_value) == (77, 0.5)


def test_a_trial_that_went_on_beyond_its_first_limit_is_repeated_to_the_last_one(tmp_path):
    for limit in (1, 3):
        folder = run(tmp_path, max_global_steps=limit, eval_every_steps=10)
    with patience():  # As in the runs before.
        plan = Repetition.of(RunSettings(reproduce=str(folder), experiment_dir=str(tmp_path / "again"))).plan
    assert plan.settings.max_global_steps == 3
    assert plan.eval_steps == (1, 3)


def test_a_repetition_does_not_end_with_the_budget_of_the_run(tmp_path):
    folder = run(tmp_path)
    spec = {"max_allowed_runtime_sec": 1e-9}
    edit(folder / records.meta_data_file(0), lambda meta: meta["workload_spec"].update(spec))
    assert command(tmp_path, reproduce=str(folder)) == 0


def test_a_trial_without_evaluations_is_refused(tmp_path, capsys):
    folder = run(tmp_path)
    (folder / records.EVAL_MEASUREMENTS).write_text("global_step,validation/accuracy\n")
    capsys.readouterr()
    assert command(tmp_path, reproduce=str(folder)) == 2
    assert "holds no evaluations" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("now", "words"),
    [
        ({1: {"test/loss": 1.0}}, ["equal at 1 of 2", "no evaluation now at 1 of the steps, from step 2 on"]),
        ({1: {"test/loss": 1.0}, 2: {"test/loss": float("nan")}}, ["equal at 2 of 2 evaluations"]),
        (
            {1: {"test/loss": 1.5}, 2: {"test/loss": 3.0}},
            ["step 1, test loss: 1.0, now 1.5 (by 0.5, 0.5 of it)"],
        ),
        ({1: {"test/bleu": 1.0}, 2: {}}, ["equal at 0 of 2", "only one of the two has test/bleu, test/loss"]),
        ({}, ["equal at 0 of 2", "from step 1 on"]),
    ],
    ids=range(5),
)
def test_the_verdict_says_in_what_two_runs_differ(now, words):
    found = verdict.compare({1: {"test/loss": 1.0}, 2: {"test/loss": float("nan")}}, now)
    for word in words:
        assert word in found.text()
    assert found.is_equal == ("2 of 2" in found.text())
