"""The command: wrong inputs, exit codes, kills and resumes, several trials, reproduction."""

import dataclasses
import json
import math
import random
import signal
import subprocess
import sys
import time

import pytest
from harness import (
    FRAMEWORKS,
    HOURS_SEC,
    ROOT,
    SGD_FILES,
    assert_equal_params,
    command,
    finish,
    patient_suite,
    process,
)

from algoperf import backends, frameworks, records, registry, suites
from algoperf.run import heartbeat, parent, runner

HELPERS = ROOT / "tests" / "helpers"
UPDATE = (
    "workload, current_param_container, current_params_types, model_state, hyperparameters, batch, loss_type, "
    "optimizer_state, eval_results, global_step, rng"
)
EXTENSION = {one.name: one.suffix for one in frameworks.FRAMEWORKS}


@pytest.fixture(params=FRAMEWORKS)
def framework(request):
    return request.param


def one_error(capsys, code, *words):
    """The command failed with one line, which holds all the words."""
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert code == 2, captured
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("error: ")
    for word in words:
        assert word in lines[0], lines[0]
    assert captured.out == ""


def written_submission(tmp_path, framework, text, name="mine"):
    """A folder with a submission.py: SGD, then `text`."""
    folder = tmp_path / name
    folder.mkdir()
    sgd = SGD_FILES[framework].read_text()
    (folder / f"submission_{EXTENSION[framework]}.py").write_text(f"{sgd}\n\n{text}\n")
    (folder / "tuning_search_space.json").write_text((HELPERS / "tuning_search_space.json").read_text())
    return folder


def written_space(tmp_path, content):
    path = tmp_path / "space.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


# ---- wrong flags -----------------------------------------------------------------------------------------------------

GOOD = {"workload": "digits", "submission": str(SGD_FILES["jax"]), "framework": "jax"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"workload": None}, ["--workload=<name>", "digits"]),
        ({"workload": "digit"}, ["No workload is called 'digit'", "nearest is 'digits'"]),
        ({"workload": "wmt_mimi"}, ["No workload is called 'wmt_mimi'", "nearest is 'wmt_mini'"]),
        ({"submission": None}, ["--submission=<folder", "optimizer"]),
        ({"framework": "jaxx"}, ["No framework is called 'jaxx'", "nearest is 'jax'", "pytorch"]),
        ({"framework": "tensorflow"}, ["No framework is called 'tensorflow'", "jax, pytorch"]),
        ({"framework": "pytorch"}, ["written for jax, not for pytorch", "--framework=jax"]),
        (
            {"submission": "no/such/folder"},
            ["No submission at 'no/such/folder'", "the name of one that ships", "nadamw, "],
        ),
        ({"submission": "workloads/digits"}, ["'workloads/digits' holds no submission", "submission.py"]),
        ({"submission": "README.md"}, ["'README.md'", "folder or a .py file"]),
        ({"submission": "reference_algorithms/adamw", "framework": None}, ["--framework=jax|pytorch"]),
        ({"suite": "minni"}, ["No suite is called 'minni'", "nearest is 'mini'"]),
        ({"tuning_ruleset": "extern"}, ["No tuning ruleset is called 'extern'", "'external'"]),
        ({"rng_seed": -1}, ["--rng_seed must not be negative, got -1"]),
        ({"study": -1}, ["--study must not be negative, got -1"]),
        ({"trial": 0}, ["--trial must be at least 1, got 0"]),
        ({"num_tuning_trials": 0}, ["--num_tuning_trials must be at least 1, got 0"]),
        ({"eval_every_steps": 0}, ["--eval_every_steps must be at least 1, got 0"]),
        ({"max_global_steps": -5}, ["--max_global_steps must be at least 1, got -5"]),
        (
            {"hparam_start_index": 3, "hparam_end_index": 3},
            ["--hparam_start_index=3", "--hparam_end_index=3"],
        ),
        ({"hparam_start_index": -1}, ["--hparam_start_index must not be negative, got -1"]),
        ({"hparam_end_index": 0}, ["--hparam_end_index must be at least 1, got 0"]),
        ({"study": 10**26}, ["--study must be at most 10000, got 1000"]),
        ({"trial": 1_000_000}, ["--trial must be at most 10000, got 1000000"]),
        ({"num_tuning_trials": 10**9}, ["--num_tuning_trials must be at most 10000"]),
        ({"rng_seed": 10**26}, ["--rng_seed must be at most"]),
        ({"num_hosts": 0}, ["--num_hosts must be at least 1, got 0"]),
        ({"suite": ""}, ["--suite is empty: leave it out, or give a value"]),
        ({"experiment_dir": ""}, ["--experiment_dir is empty"]),
        ({"experiment_name": " "}, ["--experiment_name is empty"]),
        ({"tuning_search_space": ""}, ["--tuning_search_space is empty"]),
        ({"experiment_name": "/tmp/x"}, ["--experiment_name=/tmp/x leaves the folder", "--experiment_dir"]),
        ({"experiment_name": "../../x"}, ["--experiment_name=../../x leaves the folder"]),
        ({"experiment_name": "a\nb"}, ["--experiment_name='a\\nb' holds '\\n'"]),
        ({"experiment_name": "a\ud800"}, ["without line breaks and other control characters"]),
        ({"experiment_dir": "/dev/null/x"}, ["--experiment_dir=/dev/null/x", "/dev/null is no folder"]),
        ({"experiment_dir": "README.md"}, ["README.md is a file", "new or not"]),
        (
            {"submission_path": "reference_algorithms/adamw"},
            ["two names of one setting", "give one of them"],
        ),
        ({"trial": 1, "num_tuning_trials": 3}, ["--num_tuning_trials=3 means nothing beside --trial=1"]),
        ({"trial": 1, "hparam_start_index": 1}, ["--hparam_start_index=1 means nothing beside --trial=1"]),
        (
            {"skip_evals": True, "eval_every_steps": 5},
            ["--eval_every_steps=5 means nothing beside --skip_evals=True"],
        ),
        (
            {"tuning_search_space": "no/such.json"},
            ["No search space at no/such.json", "--tuning_ruleset=self"],
        ),
        (
            {"tuning_ruleset": "self", "tuning_search_space": "some.json"},
            ["self-tuning ruleset has no search space", "leave out --tuning_search_space"],
        ),
        (
            {"tuning_ruleset": "self", "num_tuning_trials": 5},
            ["self-tuning ruleset runs one trial a study, not 5"],
        ),
        ({"device": "gpu"}, ["--device=gpu was asked for, but jax runs on 'cpu'"]),
        ({"device": "cqu"}, ["cqu"]),
        ({"reproduce": "workloads/digits"}, ["--reproduce=workloads/digits is not the folder of a trial"]),
    ],
    ids=lambda value: ",".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else "",
)
def test_a_wrong_flag_is_one_clear_line(tmp_path, capsys, changes, words):
    code = command(tmp_path, **{**GOOD, **changes})
    one_error(capsys, code, *words)
    assert not (tmp_path / "experiments").exists(), "nothing was begun"


def test_a_run_stops_at_the_targets_of_a_file_and_its_records_name_the_file(tmp_path, capsys):
    path = tmp_path / "targets.json"
    entry = dataclasses.asdict(suites.targets_from_registry("digits"))
    entry.update(validation_target=0.001, test_target=0.002, runtime_budget_sec=HOURS_SEC)
    path.write_text(json.dumps({"targets": {"digits": entry}}))
    given = {**GOOD, "max_global_steps": 3, "eval_every_steps": 1}
    assert command(tmp_path, **given, suite=str(path)) == 0
    folder = tmp_path / "experiments" / "sgd_jax" / "study_0" / "digits_jax" / "trial_1"
    summary = records.read_json(folder / records.SUMMARY)
    assert (summary["status"], summary["global_step"]) == ("target_reached", 1)
    assert (summary["validation_target"], summary["test_target"]) == (0.001, 0.002)
    assert summary["suite"] == str(path) == records.read_json(folder / records.flags_file(0))["suite"]
    capsys.readouterr()
    # The same folder under the workload's own targets is another run.
    one_error(capsys, command(tmp_path, **given), "another validation_target (0.001, now 0.976)")
    one_error(
        capsys, command(tmp_path, **{**given, "workload": "wmt_mini"}, suite=str(path)), "Choose from digits"
    )


@pytest.mark.parametrize("when", ["import", "update"])
def test_a_submission_that_changes_the_working_directory_leaves_its_records_where_they_were(
    tmp_path, framework, monkeypatch, when
):
    monkeypatch.chdir(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    go = f"import os; os.chdir({str(elsewhere)!r})"
    of_update = f"\nupdate_without = update_params\n\ndef update_params({UPDATE}):\n    {go}\n"
    of_update += f"    return update_without({', '.join(f'{name}={name}' for name in UPDATE.split(', '))})"
    folder = written_submission(tmp_path, framework, go if when == "import" else of_update)
    given = {
        "workload": "digits",
        "submission": str(folder),
        "experiment_dir": "here",
        "framework": framework,
    }
    assert command(tmp_path, **given, max_global_steps=10, eval_every_steps=5) == 0
    trial = tmp_path / "here" / "mine" / "study_0" / f"digits_{framework}" / "trial_1"
    assert records.read_json(trial / records.SUMMARY)["global_step"] == 10
    assert not list(elsewhere.iterdir())


def test_missing_data_are_one_line_with_the_folder_and_the_command(tmp_path, capsys):
    code = command(tmp_path, **{**GOOD, "workload": "wmt"}, data_dir=str(tmp_path / "data"))
    one_error(capsys, code, str(tmp_path / "data" / "wmt"), "python datasets/dataset_setup.py")


def test_a_gpu_that_the_framework_cannot_use_is_one_line_and_the_cpu_has_to_be_asked_for(
    tmp_path, capsys, monkeypatch, framework
):
    monkeypatch.setattr(backends.get_backend(framework), "platform", lambda: "cpu")
    monkeypatch.setattr(backends, "has_nvidia_gpu", lambda: True)
    settings = {**GOOD, "submission": str(SGD_FILES[framework]), "framework": framework}
    code = command(tmp_path, **settings)
    one_error(capsys, code, f"has an NVIDIA GPU, but {framework} found only the CPU", "--device=cpu")
    assert not list((tmp_path / "experiments").rglob("*.json")), "nothing was trained"
    assert command(tmp_path, **settings, device="cpu", max_global_steps=1, skip_evals=True) == 0


def test_a_framework_that_is_not_installed_is_one_line_with_the_command(
    tmp_path, capsys, monkeypatch, framework
):
    other = {"jax": "pytorch", "pytorch": "jax"}[framework]
    missing = frameworks.Framework.missing_packages
    packages = list(frameworks.get(framework).packages)
    monkeypatch.setattr(
        frameworks.Framework,
        "missing_packages",
        lambda self: packages if self.name == framework else missing(self),
    )
    code = command(tmp_path, workload="digits", submission="reference_algorithms/adamw", framework=framework)
    one_error(
        capsys,
        code,
        f"pip install -e .[{frameworks.get(framework).extra}]",
        f"--framework={other}",
        packages[0],
    )


# ---- wrong submissions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def broken(:\n    pass", ["not valid Python", "line"]),
        ("import no_such_package_at_all", ["ModuleNotFoundError", "no_such_package_at_all", "line"]),
        ("1 / 0", ["ZeroDivisionError", "line"]),
        ("del update_params", ["does not define update_params()", "submissions/template/"]),
        ("get_batch_size = 32", ["does not define get_batch_size()"]),
        ("def data_selection(queue): return next(queue)", ["data_selection", "8 positional argument(s)"]),
        ("def init_optimizer_state(a, b, c, d): pass", ["init_optimizer_state", "5 positional argument(s)"]),
        ("def update_params(workload, params, batch): pass", ["update_params", "current_param_container"]),
        ("def prepare_for_eval(workload): pass", ["prepare_for_eval", "current_param_container"]),
        ("def get_batch_size(name): return 0", ["positive integer, got 0"]),
        ("def get_batch_size(name): return -32", ["positive integer, got -32"]),
        ("def get_batch_size(name): return 32.0", ["positive integer, got 32.0"]),
        ("def get_batch_size(name): return True", ["positive integer, got True"]),
        ("def get_batch_size(name): return None", ["positive integer, got None"]),
        ("def get_batch_size(name): return [32]", ["positive integer, got [32]"]),
        (
            "def get_batch_size(name):\n    import numpy\n    return numpy.zeros(2, int)",
            ["positive integer, got array([0, 0])"],
        ),
        (
            "def get_batch_size(name): return 1 / 0",
            ["raised ZeroDivisionError: division by zero (line", "ValueError"],
        ),
        ("def get_batch_size(name): raise SystemExit(0)", ["raised SystemExit: 0"]),
        (
            "def get_batch_size(name): return 10**6",
            ["returned 1000000, more than the 1297 training examples"],
        ),
        ("import sys; sys.exit(3)", ["SystemExit: 3", "line"]),
        ("import sys; sys.exit('please install foo')", ["SystemExit: please install foo"]),
        ("raise GeneratorExit", ["GeneratorExit", "line"]),
        ("import os; os._exit(0)", ["os._exit(0) was called"]),
        ("def init_optimizer_state(a, b, c, d, e): return None", ["init_optimizer_state", "NoneType"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_submission_is_one_clear_line(tmp_path, capsys, framework, text, words):
    folder = written_submission(tmp_path, framework, text)
    code = command(tmp_path, workload="digits", submission=str(folder))
    one_error(capsys, code, *words)


def test_a_batch_size_from_a_plain_table_falls_back_to_the_default(tmp_path, framework):
    text = "def get_batch_size(name): return {'wmt': 64}[name]"
    folder = written_submission(tmp_path, framework, text, name=f"table_{framework}")
    given = {"workload": "digits", "submission": str(folder), "eval_every_steps": 1, "max_global_steps": 1}
    assert command(tmp_path, **given) == 0
    summary = read_summary(tmp_path, framework, name=folder.name)
    assert summary["global_batch_size"] == registry.get("digits").default_batch_size


@pytest.mark.parametrize("prefix", [b"\xef\xbb\xbf", b"# coding: latin-1\n# \xe4\n"], ids=["mark", "coding"])
def test_a_source_with_a_byte_order_mark_or_a_coding_line_is_accepted(tmp_path, framework, prefix):
    folder = written_submission(tmp_path, framework, "", name=f"coded_{framework}")
    file = folder / f"submission_{EXTENSION[framework]}.py"
    file.write_bytes(prefix + file.read_bytes())
    given = {"workload": "digits", "submission": str(folder), "eval_every_steps": 1, "max_global_steps": 1}
    assert command(tmp_path, **given) == 0


@pytest.mark.parametrize("name", ["study_0", ".hidden"])
def test_a_submission_whose_results_could_not_be_told_apart_is_one_line(tmp_path, capsys, name):
    folder = written_submission(tmp_path, "jax", "", name=name)
    code = command(tmp_path, workload="digits", submission=str(folder))
    one_error(capsys, code, "A submission cannot be called", "Rename its folder")


def test_a_batch_size_that_does_not_divide_over_the_devices_is_one_line(
    tmp_path, capsys, monkeypatch, framework
):
    backend = backends.get_backend(framework)
    monkeypatch.setattr(backend, "num_devices", lambda: 3)
    code = command(tmp_path, workload="digits", submission=str(SGD_FILES[framework]))
    one_error(capsys, code, "returned 32", "divide over 3 devices", "multiple of 3")


# ---- wrong search spaces ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{not json", ["not readable as JSON", "line 1"]),
        ("7", ["expected an object of ranges or a list of points, got 7"]),
        ("{}", ["expected an object of ranges or a list of points"]),
        ([], ["at least one point"]),
        ([{}], ["at least one point"]),
        ([{"lr": 1}, {"lr": 1, "beta": 2}], ["point 2", "'beta'"]),
        ({"lr": 0.1}, ["'lr' must be", "feasible_points", "got 0.1"]),
        (
            {"lr": {"min": 1, "max": 2, "scaling": "cubic"}},
            ["'lr'", "scaling 'cubic' is unknown", "log, linear"],
        ),
        ({"lr": {"min": 2, "max": 1, "scaling": "linear"}}, ["'lr'", "min 2 is above max 1"]),
        (
            {"lr": {"min": 0, "max": 1, "scaling": "log"}},
            ["'lr'", "log scaling needs positive ends, got min 0"],
        ),
        ({"lr": {"min": "a", "max": 1}}, ["'lr'", "finite numbers, got 'a'"]),
        ({"lr": {"min": 0, "max": 1e999}}, ["'lr'", "finite numbers, got inf"]),
        ({"lr": {"min": True, "max": 2}}, ["'lr'", "finite numbers, got true"]),
        ({"lr": {"min": 0, "max": 10**400}}, ["'lr'", "finite numbers, got 1000"]),
        ({"lr": {"min": 0, "max": 1}}, ["'lr' lacks \"scaling\"", "linear"]),
        ({"lr": {"min": -1e308, "max": 1e308, "scaling": "linear"}}, ["'lr'", "wider than floating-point"]),
        ({"lr": {"min": 1e-300, "max": 1e300, "scaling": "log"}}, ["'lr'", "wider than floating-point"]),
        ({"lr": {"feasible_points": [0.1, None]}}, ["'lr' is null", "leave the hyperparameter out"]),
        ({"lr": {"feasible_points": [[1, math.nan]]}}, ["'lr' must be a finite number, got nan"]),
        ([{"lr": 1, "clip": math.inf}], ["'clip' of point 1 must be a finite number, got inf", "1e30"]),
        ([{"lr": 10**400}], ["'lr' of point 1 must be a finite number"]),
        ('{"lr": {"feasible_points": [1]}, "lr": {"feasible_points": [2]}}', ["the key 'lr' stands twice"]),
        ("[" * 100_000, ["brackets are nested too deeply"]),
        ({"lr": {"min": 1}}, ["'lr' must be"]),
        ({"lr": {"min": 1, "max": 2, "step": 1}}, ["'lr' must be"]),
        ({"lr": {"feasible_points": 3}}, ["'lr'", "non-empty list, got 3"]),
        ({"lr": {"feasible_points": []}}, ["'lr'", "non-empty list, got []"]),
        ({"learning rate": {"min": 1, "max": 2}}, ["'learning rate' is no name"]),
        ({"lambda": {"min": 1, "max": 2}}, ["'lambda' is no name"]),
        ([{"_x": 1}], ["'_x' is no name"]),
    ],
    ids=str,
)
def test_a_wrong_search_space_is_one_clear_line(tmp_path, capsys, content, words):
    space = written_space(tmp_path, content)
    one_error(capsys, command(tmp_path, **GOOD, tuning_search_space=space), space, *words)


@pytest.mark.parametrize("asked", [{"num_tuning_trials": 3}, {"trial": 3}, {"hparam_end_index": 3}], ids=str)
def test_more_trials_than_the_space_has_points_is_one_line(tmp_path, capsys, asked):
    space = written_space(tmp_path, {"learning_rate": {"feasible_points": [0.1, 0.2]}})
    one_error(
        capsys, command(tmp_path, **GOOD, tuning_search_space=space, **asked), "only 2 different points", "3"
    )


def test_a_trial_beyond_the_points_of_a_list_is_one_line(tmp_path, capsys):
    space = written_space(tmp_path, [{"learning_rate": 0.1}, {"learning_rate": 0.2}])
    code = command(tmp_path, **GOOD, tuning_search_space=space, trial=3)
    one_error(capsys, code, "--trial=3 is beyond the 2 points")
    code = command(tmp_path, **GOOD, tuning_search_space=space, hparam_start_index=2, hparam_end_index=4)
    one_error(capsys, code, "--hparam_start_index=2 is beyond the 2 points")


def test_a_space_with_a_single_point_runs(tmp_path):
    point = {"learning_rate": 0.1, "momentum": 0.9, "dropout_rate": 0.3}
    space = written_space(tmp_path, {name: {"feasible_points": [value]} for name, value in point.items()})
    code = command(tmp_path, **GOOD, tuning_search_space=space, eval_every_steps=5, max_global_steps=1)
    assert code == 0
    assert read_summary(tmp_path, "jax")["hyperparameters"] == point


# ---- runs ------------------------------------------------------------------------------------------------------------


def folder_of(tmp_path, framework, trial=1, name=None, study=0):
    name = name or SGD_FILES[framework].stem
    return tmp_path / "experiments" / name / f"study_{study}" / f"digits_{framework}" / f"trial_{trial}"


def read_summary(tmp_path, framework, **place):
    return records.read_json(folder_of(tmp_path, framework, **place) / records.SUMMARY)


def run_sgd(tmp_path, framework, **given):
    defaults = {"eval_every_steps": 5, "max_global_steps": 10}
    return command(tmp_path, workload="digits", submission=str(SGD_FILES[framework]), **{**defaults, **given})


def test_a_run_leaves_its_records_where_scoring_looks_for_them(tmp_path, capsys, framework):
    assert run_sgd(tmp_path, framework, study=2, trial=3) == 0
    summary = read_summary(tmp_path, framework, study=2, trial=3)
    assert (summary["study"], summary["trial"], summary["status"]) == (2, 3, "max_steps")
    out = capsys.readouterr().out
    assert "max_steps" in out
    assert "time ledger" in out
    assert str(folder_of(tmp_path, framework, study=2, trial=3)) in out


def test_the_other_names_of_flags_work(tmp_path):
    given = {"workload": "digits", "submission_path": str(SGD_FILES["pytorch"]), "framework": "torch"}
    assert command(tmp_path, **given, eval_every_steps=1, max_global_steps=1) == 0
    assert read_summary(tmp_path, "pytorch")["framework"] == "pytorch"


def test_a_failed_submission_exits_with_1_and_leaves_a_summary(tmp_path, capsys, framework):
    text = "def update_params(**arguments):\n    raise ZeroDivisionError('unlucky')"
    folder = written_submission(tmp_path, framework, text, name=f"failing_{framework}")
    assert command(tmp_path, workload="digits", submission=str(folder)) == 1
    assert read_summary(tmp_path, framework, name=folder.name)["status"] == "failed"
    assert "ZeroDivisionError: unlucky" in capsys.readouterr().out


def test_a_crash_in_init_optimizer_state_is_a_failed_trial(tmp_path, capsys, framework):
    text = "def init_optimizer_state(a, b, c, d, e):\n    raise ZeroDivisionError('too early')"
    folder = written_submission(tmp_path, framework, text, name=f"early_{framework}")
    assert command(tmp_path, workload="digits", submission=str(folder)) == 1
    assert read_summary(tmp_path, framework, name=folder.name)["status"] == "failed"
    assert "ZeroDivisionError: too early" in capsys.readouterr().out


def test_another_seed_or_a_changed_submission_in_the_same_folder_is_one_line_and_loses_nothing(
    tmp_path, capsys, framework
):
    folder = written_submission(tmp_path, framework, "", name=f"changing_{framework}")
    given = {"workload": "digits", "submission": str(folder), "eval_every_steps": 5}
    assert command(tmp_path, **given, max_global_steps=5) == 0
    before = (folder_of(tmp_path, framework, name=folder.name) / records.SUMMARY).read_text()
    capsys.readouterr()
    one_error(capsys, command(tmp_path, **given, rng_seed=1), "another rng_seed (0, now 1)", "--overwrite")
    path = folder / f"submission_{EXTENSION[framework]}.py"
    path.write_text(path.read_text() + "\nCHANGED = True\n")
    words = (f"another submission_source ({path.name} changed)", "--overwrite")
    one_error(capsys, command(tmp_path, **given, max_global_steps=10), *words)
    assert (folder_of(tmp_path, framework, name=folder.name) / records.SUMMARY).read_text() == before


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({}, "'submission_file' must be a text, got null"),
        ([], "it must be an object in braces, got []"),
        ({"submission_file": "x", "rng_seed": "3"}, "'rng_seed' must be a whole number, got '3'"),
        ({"submission_file": "x", "trial": True}, "'trial' must be a whole number, got true"),
    ],
    ids=str,
)
def test_reproduce_names_what_is_missing_or_of_another_type_in_a_record(tmp_path, capsys, flags, words):
    (tmp_path / "flags_0.json").write_text(json.dumps(flags))
    (tmp_path / "meta_data_0.json").write_text(json.dumps({"identity": {"submission_source": "hash"}}))
    one_error(
        capsys, command(tmp_path, reproduce=str(tmp_path)), f"--reproduce={tmp_path} is not the folder", words
    )


def metrics_of(folder):
    """Step -> metrics, without times."""
    rows = records.read_csv(folder / records.EVAL_MEASUREMENTS)
    names = [name for name in rows if "/" in name]
    return {step: [rows[name][i] for name in names] for i, step in enumerate(rows["global_step"])}


# ---- processes of their own ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--workloud=digits"], ["Unknown command line flag 'workloud'", "Did you mean: workload"]),
        (["--trial=first"], ["--trial", "a whole number", "'first'"]),
        (["digits"], ["Unexpected argument 'digits'", "--name=value"]),
        (["--workload=digit", "--submission=x"], ["No workload is called 'digit'"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_the_command_itself_says_what_is_wrong_in_one_line(arguments, words):
    code, out, err = finish(process(*arguments))
    assert code == 2
    assert out == ""
    assert err.startswith("error: ")
    assert len(err.strip().splitlines()) == 1
    for word in words:
        assert word in err


def start_sgd(experiments, framework, *more, **environment):
    return process(
        "--workload=digits",
        f"--submission={SGD_FILES[framework]}",
        f"--experiment_dir={experiments}",
        f"--suite={patient_suite(experiments.parent, 'digits')}",
        "--eval_every_steps=50",
        "--max_steps=400",
        "--quiet",
        *more,
        **environment,
    )


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """framework -> tmp_path of the run of `start_sgd`, in this process and without interruption."""
    done = {}

    def get(framework):
        if framework not in done:
            done[framework] = tmp_path_factory.mktemp(f"command_{framework}")
            assert run_sgd(done[framework], framework, eval_every_steps=50, max_global_steps=400) == 0
        return done[framework]

    return get


def wait_for_evaluations(started, folder, count):
    """Returns when the records hold that many evaluations, or the process has ended."""
    path = folder / records.EVAL_MEASUREMENTS
    while started.poll() is None:
        if path.exists() and path.read_text().count("\n") > count:
            return
        time.sleep(0.005)


def test_a_run_killed_at_a_random_moment_ends_like_an_uninterrupted_one(tmp_path, uninterrupted, framework):
    """Several kills of one run are in tests/algoperf/test_kills.py."""
    reference = folder_of(uninterrupted(framework), framework)
    folder = folder_of(tmp_path, framework)
    rng = random.Random()
    moment = rng.randrange(1, 8)
    started = start_sgd(tmp_path / "experiments", framework)
    wait_for_evaluations(started, folder, moment)
    time.sleep(rng.random() * 0.05)
    started.kill()
    finish(started)
    last = start_sgd(tmp_path / "experiments", framework, PYTHONPROFILEIMPORTTIME="1")
    code, _, err = finish(last)
    assert code == 0, err
    assert metrics_of(folder) == metrics_of(reference), moment
    assert_equal_params(folder, reference)
    imported = {line.split("|")[-1].strip() for line in err.splitlines() if line.startswith("import time:")}
    own = {"jax": {"jax", "flax", "optax"}, "pytorch": {"torch"}}[framework]
    assert imported & {"jax", "flax", "optax", "torch", "tensorflow"} <= own, (
        "a run imports its own framework only"
    )
    assert framework in imported or "torch" in imported


def test_ctrl_c_writes_a_checkpoint_and_exits_with_130(tmp_path):
    framework = "jax"  # What differs between frameworks is tested in process, in test_resume.py.
    folder = folder_of(tmp_path, framework)
    started = start_sgd(tmp_path / "experiments", framework, "--max_steps=1000000")
    wait_for_evaluations(started, folder, 1)
    time.sleep(0.1)
    started.send_signal(signal.SIGINT)
    code, _, err = finish(started)
    assert code == 130, err
    assert "a checkpoint will be written" in err
    assert "the same command continues from here" in err
    [checkpoint] = folder.glob("checkpoint_*")
    last_evaluation = records.read_csv(folder / records.EVAL_MEASUREMENTS)["global_step"][-1]
    assert int(checkpoint.name.split("_")[1]) >= last_evaluation
    assert not (folder / records.SUMMARY).exists()


def test_sigterm_reaches_the_process_of_a_trial_exits_with_143_and_starts_no_other(tmp_path):
    more = ("--max_steps=1000000", "--num_tuning_trials=2")
    started = start_sgd(tmp_path / "experiments", "jax", *more)
    folder = folder_of(tmp_path, "jax")
    wait_for_evaluations(started, folder, 1)
    started.send_signal(signal.SIGTERM)
    code, _, err = finish(started)
    assert code == 143, err
    assert "a checkpoint will be written" in err
    assert list(folder.glob("checkpoint_*"))
    assert not folder_of(tmp_path, "jax", trial=2).exists()
    [measured] = parent.read(folder)
    assert measured["exit_code"] == 143
    assert measured["wall_sec"] > 0
    assert measured["cpu_sec"] > 0
    assert heartbeat.read(folder).is_over, "it left a checkpoint"


def arguments_of(commands, name):
    """The value of one flag in each of several command lines."""
    return [next(a for a in line if a.startswith(f"--{name}=")).split("=", 1)[1] for line in commands]


def test_several_trials_run_in_processes_of_their_own_under_one_name(tmp_path, monkeypatch):
    commands, codes = [], [0, 1, 0]

    def run_process(arguments, *_):
        commands.append(arguments)
        return codes[len(commands) - 1]

    monkeypatch.setattr(runner, "_run_process", run_process)
    given = {**GOOD, "num_tuning_trials": 3, "append_timestamp": True, "eval_every_steps": 2}
    assert command(tmp_path, **given) == 1, "the others go on after one has failed"
    assert arguments_of(commands, "trial") == ["1", "2", "3"]
    assert len(set(arguments_of(commands, "experiment_name"))) == 1
    assert arguments_of(commands, "experiment_name")[0].startswith("sgd_jax/study_0_")
    assert set(arguments_of(commands, "append_timestamp")) == {"False"}
    assert set(arguments_of(commands, "eval_every_steps")) == {"2"}
    assert set(arguments_of(commands, "experiment_dir")) == {str(tmp_path / "experiments")}


@pytest.mark.parametrize(("code", "wanted"), [(2, 2), (143, 143), (130, 130), (-9, 137)])
def test_wrong_input_or_a_signal_ends_a_study_of_several_trials(tmp_path, monkeypatch, code, wanted):
    commands = []
    monkeypatch.setattr(runner, "_run_process", lambda arguments, *_: commands.append(arguments) or code)
    assert command(tmp_path, **GOOD, num_tuning_trials=3) == wanted
    assert len(commands) == 1


def test_a_range_of_trials_is_run_as_algoperf_counts_them(tmp_path, monkeypatch):
    commands = []
    monkeypatch.setattr(runner, "_run_process", lambda arguments, *_: commands.append(arguments) or 0)
    assert command(tmp_path, **GOOD, hparam_start_index=1, hparam_end_index=4) == 0
    assert arguments_of(commands, "trial") == ["2", "3", "4"]


def test_help_needs_no_framework_and_is_quick():
    code = "import sys, submission_runner; assert not {'jax', 'torch', 'tensorflow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "submission_runner.py", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert time.perf_counter() - start < 5, "1 s on a machine that does nothing else"
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines() if "|" in line}
    assert not imported & {"jax", "torch", "tensorflow", "scipy", "flax"}
    assert done.returncode == 0
    for flag in ("--workload", "--submission", "--framework", "--reproduce", "--eval_every_steps"):
        assert flag in done.stdout
    assert "Exit codes" in done.stdout
