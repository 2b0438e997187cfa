"""`set_targets.py run` on pretended trials: from nothing to targets, killed, grown, refused; one run with real ones."""

import collections
import contextlib
import dataclasses
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from harness import ROOT

from algoperf import records, suites, tuning
from algoperf.spec import UsageError
from target_setting import analysis, sweep_jobs
from target_setting.procedures import run
from target_setting.procedures.run import RunOptions
from target_setting.sweep import SweepTrial
from target_setting.sweep_jobs import SweepConfig

PRETENDED = (sys.executable, str(ROOT / "tests" / "helpers" / "pretended_sweep_trial.py"))
QUIET = RunOptions(quiet=True, trial_command=PRETENDED)


def sweep(folder, **changes):
    fields = {
        "sweep_dir": folder,
        "workloads": ("digits",),
        "algorithms": ("nadamw", "nesterov"),
        "framework": "jax",
        "trials": 3,
        "reruns": 2,
        "min_reruns": 2,
    }
    return SweepConfig(**{**fields, **changes})


def starts(folder):
    """Place of a trial -> what its starts came to."""
    found = collections.defaultdict(list)
    for line in (folder / "starts.log").read_text().splitlines():
        what, place = line.split()
        found[place].append(what)
    return found


def read(path):
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished sweep, not to be changed, and what the command printed."""
    folder = tmp_path_factory.mktemp("sweep")
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        run.run(sweep(folder), QUIET)
    return folder, out.getvalue()


# ---- what runs -----------------------------------------------------------------------------------------------------


def test_from_nothing_to_a_target_file(finished):
    folder, text = finished
    log = starts(folder)
    assert len(log) == 2 * 3 + 2
    assert all(one == ["start", "end"] for one in log.values())
    content = read(folder / "target_setting" / "targets.json")
    made = content["provenance"]["digits"]
    points = read(folder / "points" / f"{made['algorithm']}.json")
    assert made["point"] in points
    reruns = [read(path) for path in folder.glob("reruns/*/study_[12]/digits_jax/trial_1/meta_data_0.json")]
    assert len({json.dumps(one["seeds"]) for one in reruns}) == 2
    bests = sorted(one["best_validation"] for one in made["reruns"])
    assert content["targets"]["digits"]["validation_target"] == pytest.approx(sum(bests) / 2)
    for words in (
        "sweep: 6 trials, 6 done.",
        "reruns: 2 trials, 2 done.",
        f"--suite={folder}/target_setting",
    ):
        assert words in text


def test_points_are_those_of_the_algorithms_own_broad_space_and_trial_t_is_point_t(finished):
    folder, _ = finished
    for name in ("nadamw", "nesterov"):
        points = read(folder / "points" / f"{name}.json")
        space = tuning.load_search_space(ROOT / "reference_algorithms" / name / sweep_jobs.BROAD_SPACE)
        assert points == tuning.draw_points(space, 3, seed=0)
        for number, point in enumerate(points, start=1):
            assert (
                read(folder / name / "study_0" / "digits_jax" / f"trial_{number}" / "hparams.json") == point
            )


def test_a_search_space_that_is_named_comes_before_the_broad_one_and_the_usual_one_is_for_those_without(
    tmp_path,
):
    def source(algorithm, **changes):
        config = sweep(tmp_path, algorithms=(algorithm,), **changes)
        return sweep_jobs.search_space(config, config.submission(algorithm)[0])[1].name

    assert source("heavy_ball") == "tuning_search_space_broad.json"
    assert source("lamb") == "tuning_search_space.json"
    assert source("adamw", tuning_search_space="tuning_search_space.json") == "tuning_search_space.json"


def test_a_sweep_from_the_usual_space_names_the_flag_with_which_it_goes_on(tmp_path):
    usual = sweep(tmp_path, tuning_search_space="tuning_search_space.json")
    sweep_jobs.prepare(usual, tmp_path)
    with pytest.raises(
        UsageError, match=r"go on with --tuning_search_space=tuning_search_space\.json, from which"
    ):
        sweep_jobs.draw_points(sweep(tmp_path, trials=5))
    with pytest.raises(UsageError, match="give the --tuning_search_space and --rng_seed of that time"):
        sweep_jobs.draw_points(sweep(tmp_path, rng_seed=1))
    assert len(sweep_jobs.draw_points(dataclasses.replace(usual, trials=5))["nadamw"]) == 5


def test_a_sweep_over_a_list_can_be_enlarged(tmp_path):
    (tmp_path / "list.json").write_text(json.dumps([{"learning_rate": 0.1 * k} for k in range(1, 9)]))
    for trials in (3, 5, 12):
        config = sweep(tmp_path, trials=trials, tuning_search_space=str(tmp_path / "list.json"))
        sweep_jobs.prepare(config, tmp_path)
        drawn = read(tmp_path / "points" / "nadamw.json")
        assert [point["learning_rate"] for point in drawn] == [0.1 * k for k in range(1, min(trials, 8) + 1)]
        assert [job.point for job in sweep_jobs.sweep_jobs(config) if job.submission == "nadamw"] == drawn


def test_runs_go_past_the_targets_for_three_quarters_of_the_step_hint_and_schedules_end_there(finished):
    folder, _ = finished
    jobs = sweep_jobs.sweep_jobs(sweep(folder))
    assert {job.max_steps for job in jobs} == {1500}
    assert all({"--max_global_steps=1500", "--run_past_targets=True"} <= set(job.arguments) for job in jobs)
    suite = suites.load(str(folder / "suite.json"))
    own, full = suite.targets("digits"), suites.targets_from_registry("digits")
    assert own.step_hint == 1500 == int(0.75 * full.step_hint)
    assert own.runtime_budget_sec == 20 * full.runtime_budget_sec
    assert own.validation_target == full.validation_target


def test_the_same_command_again_runs_nothing_and_a_larger_one_the_rest(tmp_path, capsys):
    small = sweep(tmp_path, algorithms=("nadamw",))
    run.run(small, QUIET)
    before, log = capsys.readouterr().out, (tmp_path / "starts.log").read_text()
    run.run(small, QUIET)
    assert capsys.readouterr().out == before
    assert (tmp_path / "starts.log").read_text() == log
    points = read(tmp_path / "points" / "nadamw.json")
    run.run(dataclasses.replace(small, reruns=4), QUIET)
    assert len(starts(tmp_path)) == 3 + 4
    sweep_jobs.prepare(dataclasses.replace(small, trials=5), tmp_path)
    assert read(tmp_path / "points" / "nadamw.json")[:3] == points
    sweep_jobs.prepare(small, tmp_path)
    assert len(read(tmp_path / "points" / "nadamw.json")) == 5, "what was drawn stays"
    assert len(sweep_jobs.sweep_jobs(small)) == 3


def test_several_workloads_share_the_points_and_have_best_points_of_their_own(tmp_path):
    both = sweep(tmp_path, workloads=("digits", "digits_batch_norm"), algorithms=("nadamw",), trials=2)
    run.run(both, QUIET)
    assert sorted(read(tmp_path / "target_setting" / "targets.json")["targets"]) == [
        "digits",
        "digits_batch_norm",
    ]
    assert len(starts(tmp_path)) == 2 * 2 + 2 * 2


def test_reruns_of_a_point_that_is_no_longer_the_best_are_named(tmp_path):
    config = sweep(tmp_path, algorithms=("nadamw",))
    run.run(config, QUIET)
    (old,) = tmp_path.glob("reruns/nadamw/study_1/digits_jax/trial_1/hparams.json")
    old.write_text(json.dumps({**read(old), "learning_rate": 0.5}))
    with pytest.raises(UsageError, match=r"a run of another point than nadamw/study_0.*move the folders"):
        run.run(config, QUIET)
    given = tmp_path / "point.json"
    given.write_text(json.dumps({**read(old), "learning_rate": 0.25}))
    named = dataclasses.replace(config, set_by=("nadamw",), rerun_point=str(given))
    with pytest.raises(
        UsageError, match=r"another point than that of --rerun_point=.*point\.json: move the folders"
    ):
        run.run(named, QUIET)


def test_weak_runs_take_a_tenth_of_the_best_learning_rate_and_enter_the_calibration_alone(tmp_path, capsys):
    config = sweep(tmp_path, algorithms=("nadamw",), weak_runs=2)
    run.run(config, QUIET)
    text = capsys.readouterr().out
    assert "weak: 2 trials, 2 done." in text
    (best,) = read(tmp_path / "reruns" / "points" / "digits_jax.json")
    for study in (1, 2):
        point = read(tmp_path / f"weak/nadamw/study_{study}/digits_jax/trial_1/hparams.json")
        assert point == {**best, "learning_rate": pytest.approx(0.1 * best["learning_rate"])}
    assert len(starts(tmp_path)) == 3 + 2 + 2
    content = read(tmp_path / "target_setting" / "targets.json")
    assert len(content["provenance"]["digits"]["reruns"]) == 2
    assert "weak: 2 trials: 2 done" in run.status_text(config)
    config = analysis.Config(procedure="calibration", sweep_dir=tmp_path, min_reruns=2)
    assert "weak: nadamw, 0.1 x rate" in analysis.run(config).table


def test_one_algorithm_may_set_the_targets_and_others_be_compared(tmp_path, capsys):
    run.run(sweep(tmp_path, set_by=("nesterov",)), QUIET)
    assert [path.name for path in (tmp_path / "reruns").glob("n*")] == ["nesterov"]
    best = read(tmp_path / "target_setting" / "targets.json")["provenance"]["digits"]
    assert best["algorithm"] == "nesterov"
    assert "reruns are not of the sweep's best point, nadamw" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(UsageError, match="No algorithm for --set_by among --algorithms is called 'adam'"):
        sweep(tmp_path, set_by=("adam",))


def test_a_given_point_is_rerun_in_place_of_the_best(tmp_path, capsys):
    config = sweep(
        tmp_path, algorithms=("nadamw",), set_by=("nadamw",), rerun_point=str(tmp_path / "point.json")
    )
    point = {**sweep_jobs.draw_points(config)["nadamw"][0], "learning_rate": 0.004}
    for content in ([point], point):
        (tmp_path / "point.json").write_text(json.dumps(content))
        run.run(config, QUIET)
        assert "reruns are not of the sweep's best point, nadamw" in " ".join(capsys.readouterr().out.split())
    assert read(tmp_path / "target_setting" / "targets.json")["provenance"]["digits"]["point"] == point
    assert len(starts(tmp_path)) == 3 + 2


@pytest.mark.parametrize("content", ["[]", "3", "[{}, {}]", "{}"])
def test_a_file_without_one_point_is_refused(tmp_path, content):
    path = tmp_path / "point.json"
    path.write_text(content)
    with pytest.raises(UsageError, match="does not hold one point"):
        sweep_jobs.given_point(str(path))


@pytest.mark.parametrize(
    ("point", "words"),
    [
        ({"beta2": 0.9}, "it lacks one_minus_beta2 and has beta2, which the space has not"),
        ({"one_minus_beta2": 0.1, "rho": 1}, "it has rho, which the space has not"),
        ({}, "it lacks one_minus_beta2. Write it"),
    ],
)
def test_a_given_point_with_other_hyperparameters_is_refused_before_anything_runs(tmp_path, point, words):
    given, folder = tmp_path / "point.json", tmp_path / "new"
    config = sweep(folder, set_by=("nadamw",), rerun_point=str(given))
    of_the_sweep = sweep_jobs.draw_points(config)["nadamw"][0]
    del of_the_sweep["one_minus_beta2"]
    given.write_text(json.dumps({**of_the_sweep, **point}))
    with pytest.raises(UsageError, match=f"is no point of the search space of nadamw: {words}"):
        run.run(config, QUIET)
    assert not folder.exists()


def test_a_given_point_that_cannot_be_read_is_not_blamed_on_the_sweep_folder(tmp_path):
    with pytest.raises(
        UsageError, match=r"Cannot read --rerun_point=.* \(Is a directory\): give a JSON file"
    ):
        sweep_jobs.given_point(str(tmp_path))
    (tmp_path / "point.json").write_text("{learning_rate")
    with pytest.raises(UsageError, match=r"is not readable as JSON .*: correct it, or give another file"):
        sweep_jobs.given_point(str(tmp_path / "point.json"))


def test_a_given_point_needs_a_file_and_an_algorithm(tmp_path):
    with pytest.raises(UsageError, match=r"There is no file --rerun_point=.*none\.json"):
        sweep_jobs.given_point(str(tmp_path / "none.json"))
    with pytest.raises(UsageError, match="There is no file"):
        run.run(sweep(tmp_path, set_by=("nadamw",), rerun_point=str(tmp_path / "none.json")), QUIET)
    assert not (tmp_path / "points").exists(), "refused before anything runs"
    with pytest.raises(UsageError, match="say of which with --set_by"):
        sweep(tmp_path, rerun_point="point.json")


def test_a_weak_choice_needs_a_learning_rate(tmp_path):
    space = tmp_path / "space.json"
    space.write_text(json.dumps({"rate": {"min": 0.1, "max": 1.0, "scaling": "log"}}))
    config = sweep(tmp_path, algorithms=("nadamw",), tuning_search_space=str(space), weak_runs=1)
    trial = SweepTrial(
        algorithm="nadamw", workload="digits", framework="jax", study=0, trial=1, point={"rate": 0.5},
        status="max_steps", **dict.fromkeys(("step", "submission_time_sec", "validation", "test", "train"), ()),
    )  # fmt: skip
    with pytest.raises(UsageError, match="trial_1 has none: leave them out"):
        sweep_jobs.best_point_jobs(config, "weak", {"digits": trial})


SCRIPT = """
import sys
sys.path[:0] = [{root!r}, {helpers!r}, {here!r}]
from pathlib import Path
import test_runs as t
t.run.run(t.sweep(Path({folder!r})), t.QUIET)
"""


def test_a_sweep_killed_in_both_phases_ends_with_every_trial_exactly_once(tmp_path):
    (tmp_path / "slow.txt").write_text("0.3")
    paths = {"root": str(ROOT), "helpers": str(ROOT / "tests/helpers"), "here": str(Path(__file__).parent)}
    command = [sys.executable, "-c", SCRIPT.format(folder=str(tmp_path), **paths)]
    log = tmp_path / "starts.log"
    for number in (2, 8):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True) as started:
            end = time.monotonic() + 500
            while not (log.exists() and log.read_text().count("start ") >= number):
                assert started.poll() is None
                assert time.monotonic() < end
                time.sleep(0.02)
            os.killpg(started.pid, signal.SIGKILL)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
    assert "reruns: 2 trials, 2 done." in done.stdout, done.stderr
    found = starts(tmp_path)
    assert len(found) == 8
    assert all(one.count("end") == 1 for one in found.values())
    assert sum(one.count("start") for one in found.values()) <= 8 + 2


def test_points_that_crash_have_no_result_and_say_why_even_if_all_do(tmp_path, capsys):
    config = sweep(tmp_path, algorithms=("nadamw",), trials=2)
    crashing = dataclasses.replace(QUIET, trial_command=(sys.executable, "-c", "raise ValueError('boom')"))
    with pytest.raises(UsageError, match="None of the 2 trials on digits has a finite accuracy"):
        run.run(config, crashing)
    assert capsys.readouterr().out.count("ValueError: boom") == 2
    summary = read(tmp_path / "nadamw" / "study_0" / "digits_jax" / "trial_1" / records.SUMMARY)
    assert summary["hyperparameters"] == read(tmp_path / "points" / "nadamw.json")[0]


def test_a_workload_without_a_finite_metric_does_not_keep_the_others_from_their_targets(tmp_path, capsys):
    config = sweep(
        tmp_path, algorithms=("nadamw",), trials=2, workloads=("digits_batch_norm", "digits"), weak_runs=1
    )
    (tmp_path / "nan.txt").write_text("digits_batch_norm")
    assert run.run(config, QUIET) == 1
    text = capsys.readouterr().out
    assert (
        "Warning: digits_batch_norm has no targets. None of the 2 trials on digits_batch_norm has a" in text
    )
    assert "--workload=digits ..." in text
    assert list(read(tmp_path / "target_setting" / "targets.json")["targets"]) == ["digits"]
    assert len(starts(tmp_path)) == 2 * 2 + 2 + 1
    assert "left out: None of the 2 trials on digits_batch_norm" in run.status_text(config)


# ---- plan and status -----------------------------------------------------------------------------------------------


def test_a_plan_shows_points_and_cost_and_leaves_nothing(tmp_path, capsys):
    config = sweep(tmp_path / "new")
    run.run(config, RunOptions(plan=True))
    text = capsys.readouterr().out
    for words in (
        "nesterov/study_0/digits_jax/trial_3",
        "6 trials: 6 waiting",
        "1,500 updates",
        "Then 2 reruns",
    ):
        assert words in text
    assert not (tmp_path / "new").exists()


def test_status_needs_the_folder_alone(finished, tmp_path, capsys):
    folder, _ = finished
    config = sweep_jobs.saved_config(folder)
    assert config == sweep(folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    run.run(config, RunOptions(status=True))
    text = capsys.readouterr().out
    assert "sweep: 6 trials: 6 done" in text
    assert "reruns: 2 trials: 2 done" in text
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before, "nothing is written"
    with pytest.raises(UsageError, match="No sweep was started"):
        run.run(sweep(tmp_path), RunOptions(status=True))


def test_what_was_asked_for_means_the_same_in_every_folder(tmp_path, monkeypatch):
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copytree(ROOT / "reference_algorithms" / "nadamw", here / "mine")
    monkeypatch.chdir(here)
    config = sweep(
        tmp_path / "sweep", algorithms=("mine", "nesterov"), set_by=("mine",), rerun_point="point.json",
        tuning_search_space="tuning_search_space.json",
    )  # fmt: skip
    (here / "point.json").write_text(json.dumps(sweep_jobs.draw_points(config)["mine"][0]))
    sweep_jobs.prepare(config, config.sweep_dir)
    monkeypatch.chdir(elsewhere)
    saved = sweep_jobs.saved_config(config.sweep_dir)
    assert saved.algorithms == (str(here / "mine"), "nesterov")
    assert (saved.set_by, saved.rerun_point) == ((str(here / "mine"),), str(here / "point.json"))
    assert saved.tuning_search_space == "tuning_search_space.json", "a name beside each submission stays one"
    assert "sweep: 6 trials: 6 waiting" in run.status_text(saved)


def test_status_of_the_default_folder_is_that_of_what_was_asked_for(tmp_path):
    folder = tmp_path / "target_setting_results" / "digits_jax"
    sweep_jobs.prepare(sweep(folder), folder)
    command = [
        sys.executable,
        str(ROOT / "set_targets.py"),
        "--workload=digits",
        "--framework=jax",
        "--status",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=110)
    assert "sweep: 6 trials: 6 waiting" in done.stdout, done.stderr
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=110)
    assert "No sweep was started in" in done.stderr


# ---- wrong input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"trials": 0}, "--trials must be at least 1, got 0"),
        ({"reruns": 1}, "--reruns=1 is below the 2"),
        ({"weak_runs": -1}, "--weak_runs must not be negative, got -1"),
        ({"rng_seed": -1}, "--rng_seed"),
        ({"workloads": ("digit",)}, "the nearest is 'digits'"),
        ({"workloads": ("digits", "digits")}, "--workloads=digits,digits names one twice"),
        ({"algorithms": ("nono",)}, "No submission at 'nono'"),
        ({"tuning_search_space": "/nono.json"}, "No search space at /nono.json"),
        ({"runtime_budget": "mesured"}, "No runtime budget is called 'mesured'; the nearest is 'measured'"),
    ],
)
def test_wrong_input_is_named_before_anything_runs(tmp_path, changes, words):
    with pytest.raises(UsageError, match=words):
        run.run(sweep(tmp_path / "new", **changes), QUIET)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rng_seed": 1}, "Point 1 in .*nadamw.json is .* with --rng_seed=1"),
        ({"max_steps": 100}, "with 1500 updates, now --max_steps=100"),
        ({"tuning_search_space": str(ROOT / "tests/helpers/tuning_search_space.json")}, "Point 1 in"),
    ],
)
def test_a_sweep_goes_on_with_the_same_settings_only(finished, changes, words):
    with pytest.raises(UsageError, match=words):
        run.run(sweep(finished[0], **changes), QUIET)


def test_a_file_in_place_of_the_sweep_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"--sweep_dir=.*file is a file: give a folder"):
        sweep(tmp_path / "file")
    with pytest.raises(UsageError, match=r"Cannot read .*file/run\.json \(Not a directory\)"):
        sweep_jobs.saved_config(tmp_path / "file")


def test_several_workloads_are_asked_for_a_folder():
    with pytest.raises(UsageError, match="--sweep_dir"):
        sweep_jobs.default_sweep_dir(["digits", "wmt_mini"], "jax")


# ---- real trials ---------------------------------------------------------------------------------------------------


def test_the_command_with_real_trials_and_a_run_that_uses_its_targets(tmp_path):
    command = [sys.executable, str(ROOT / "set_targets.py"), "--workload=digits", "--trials=1", "--reruns=1"]
    command += ["--min_reruns=1", "--max_steps=4", "--algorithms=nadamw", "--framework=pytorch", "--quiet"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "target_setting_results" / "digits_pytorch"
    for place in ("nadamw/study_0", "reruns/nadamw/study_1"):
        summary = read(folder / place / "digits_pytorch" / "trial_1" / records.SUMMARY)
        assert (summary["status"], summary["global_step"]) == ("max_steps", 4)
        assert summary["suite"] == str(folder / "suite.json")
        assert summary["identity"]["run_past_targets"] is True
    suite = suites.load(str(folder / "target_setting" / "targets.json"))
    assert suite.scored_names() == ("digits",)
    assert suite.targets("digits").validation_target < 1
