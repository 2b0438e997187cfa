"""`set_targets.py` on synthetic sweeps."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import sweep_folders

from algoperf import tuning
from algoperf.spec import UsageError
from target_setting import analysis, plots
from target_setting.analysis import Config, analyses

SCRIPT = Path(__file__).resolve().parents[2] / "set_targets.py"
FILES = {
    "targets": [],
    "calibration": [],
    "variants": [],
    "narrow": ["nadamw_search_space.json"],
    "optlist": ["nadamw_optlist.json"],
    "budgets": [],
    "degradation": [],
    "expected_best": [],
}


@pytest.fixture
def sweep_dir(tmp_path):
    """Six points of NadamW on three workloads, one a variant, and five reruns of the best on criteo1tb_mini."""
    results = {
        "criteo1tb_mini": [0.3, 0.1, 0.2, 0.5, 0.4, float("nan")],
        "wmt_mini": [10.0, 20.0, 30.0, 12.0, 5.0, 1.0],
        "wmt_post_ln_mini": [28.0, 20.0, 15.0, 12.0, 5.0, 1.0],
    }
    points = [{"learning_rate": 0.001 * 2**k, "weight_decay": 0.1 / 2**k} for k in range(6)]
    sweep_folders.write_sweep(tmp_path, "nadamw", results, points)
    sweep_folders.write_reruns(
        tmp_path,
        "nadamw",
        "criteo1tb_mini",
        [0.1, 0.12, 0.09, 0.2, 0.11],
        [0.1, 0.1, 0.2, 0.1, 0.3],
        point=points[1],
    )
    return tmp_path


@pytest.mark.parametrize("procedure", analyses())
def test_every_procedure_prints_a_table_and_writes_its_files(procedure, sweep_dir):
    pytest.importorskip("plotly")
    outcome = analysis.run(
        Config(procedure=procedure, sweep_dir=sweep_dir, output_dir=sweep_dir / "out" / "deep")
    )
    assert "criteo1tb_mini" in outcome.text() or procedure == "variants"
    written = sorted(path.name for path in (sweep_dir / "out" / "deep").iterdir())
    assert written == sorted([f"{procedure}.json", f"{procedure}.html", *FILES[procedure]])
    json.loads((sweep_dir / "out" / "deep" / f"{procedure}.json").read_text())
    page = (sweep_dir / "out" / "deep" / f"{procedure}.html").read_text()
    assert outcome.title in page


def run(procedure, sweep_dir, **options):
    outcome = analysis.run(Config(procedure=procedure, sweep_dir=sweep_dir, **options))
    return outcome, json.loads((sweep_dir / analysis.ANALYSIS / f"{procedure}.json").read_text())


def test_targets_by_default_go_into_the_sweep_folder_and_do_not_disturb_the_next_command(sweep_dir):
    for _ in range(2):
        outcome, content = run("targets", sweep_dir)
    # Median of five 0.11; those that reach it have tests 0.1, 0.2, 0.3.
    assert content["targets"]["criteo1tb_mini"]["validation_target"] == 0.11
    assert content["targets"]["criteo1tb_mini"]["test_target"] == 0.3
    assert list(content["targets"]) == ["criteo1tb_mini"]
    assert "wmt_mini: no reruns, so no targets." in outcome.notes
    assert not any("stray" in note or "best point" in note for note in outcome.notes)
    assert "Best points of the sweep" in outcome.table


def test_named_workloads_without_reruns_are_an_error_that_says_what_to_rerun(sweep_dir):
    with pytest.raises(UsageError, match=r"Too few reruns of wmt_mini.*nadamw/study_0/wmt_mini_jax/trial_3"):
        run("targets", sweep_dir, workloads=("wmt_mini",))
    with pytest.raises(UsageError, match="5 finished, at least 20 wanted"):
        run("targets", sweep_dir, min_reruns=20)


def test_a_workload_without_a_finite_metric_is_left_out_with_a_note(sweep_dir):
    nan = float("nan")
    sweep_folders.write_sweep(sweep_dir, "nesterov", {"ogbg_mini": [nan, nan], "fastmri_mini": [0.7, 0.8]})
    sweep_folders.write_reruns(sweep_dir, "nesterov", "fastmri_mini", [0.7] * 5, [0.7] * 5, status="failed")
    for procedure in ("targets", "calibration"):
        outcome, content = run(
            procedure, sweep_dir, workloads=("ogbg_mini", "criteo1tb_mini", "fastmri_mini")
        )
        found = list(content["targets"]) if procedure == "targets" else [row["workload"] for row in content]
        assert found == ["criteo1tb_mini"]
        notes = " ".join(outcome.notes)
        assert "ogbg_mini: left out. None of the 2 trials on ogbg_mini has a finite" in notes
        assert "fastmri_mini: left out. No target for fastmri_mini from these reruns: 5 of 5" in notes
    assert list(run("targets", sweep_dir)[1]["targets"]) == ["criteo1tb_mini"]
    with pytest.raises(UsageError, match="None of the 2 trials on ogbg_mini"):
        run("targets", sweep_dir, workloads=("ogbg_mini",))


def test_the_variant_is_found_beside_its_base(sweep_dir):
    _, content = run("variants", sweep_dir)
    (test,) = content
    assert (test["base"], test["variant"], test["num_points"]) == ("wmt_mini", "wmt_post_ln_mini", 6)
    # Best of the base is point 3, which two beat on the variant; best of the variant is point 1, which three beat.
    assert (test["base_to_variant"]["rank"], test["variant_to_base"]["rank"]) == (2, 3)
    assert (test["distinctness"], test["is_trainable"]) == (2, True)
    with pytest.raises(
        UsageError, match="No variant beside its base in the sweep is called 'criteo1tb_mini'"
    ):
        run("variants", sweep_dir, workloads=("criteo1tb_mini",))


def test_the_variant_test_wants_one_algorithm_and_a_variant(sweep_dir):
    sweep_folders.write_sweep(sweep_dir, "adamw", {"criteo1tb_mini": [0.1, 0.2]})
    with pytest.raises(UsageError, match="choose with --algorithms=adamw"):
        run("variants", sweep_dir)
    for workloads in ((), ("wmt_mini",)):
        with pytest.raises(
            UsageError, match="The sweep has no variant beside its base; it has criteo1tb_mini"
        ):
            run("variants", sweep_dir, algorithms=("adamw",), workloads=workloads)


def test_search_space_and_optlist_are_read_by_the_runner(sweep_dir):
    run("narrow", sweep_dir, workloads=("criteo1tb_mini", "wmt_mini"), widen=2.0)
    space = tuning.load_search_space(sweep_dir / analysis.ANALYSIS / "nadamw_search_space.json")
    assert space["learning_rate"] == {"min": 0.001, "max": 0.008, "scaling": "log"}
    run("optlist", sweep_dir, workloads=("wmt_mini", "criteo1tb_mini"), size=3)
    points = tuning.load_search_space(sweep_dir / analysis.ANALYSIS / "nadamw_optlist.json")
    # wmt: 3; criteo1tb_mini: 2; wmt again: 4, as 2 and 3 are taken.
    assert [point["learning_rate"] for point in points] == [0.004, 0.002, 0.008]


def test_budgets_and_expected_best_count_the_failed_trial(sweep_dir):
    _, content = run("budgets", sweep_dir, workloads=("criteo1tb_mini",), budgets=(1, 2), num_samples=100)
    (row,) = content
    assert row["num_results"] == 6
    assert [one["trials"] for one in row["budgets"]] == [1, 2]
    # One draw of six: the median is the third best, the 95 % quantile the failed one.
    assert row["budgets"][0]["exact"] == [0.1, 0.2, 0.3, 0.5, None]
    outcome, content = run("expected_best", sweep_dir, workloads=("criteo1tb_mini",), max_trials=3)
    assert content[0]["num_failed"] == 1
    assert content[0]["expected"][0] == pytest.approx((0.1 + 0.2 + 0.3 + 0.4 + 2 * 0.5) / 6)
    # Six results bound the median of one trial by the best and the worst, which failed; of the best of three not at all
    # from below.
    assert content[0]["median_interval_95"] == [[0.1, None], [None, 0.5], [None, 0.4]]
    assert any("1 of 6 trials have no result" in note for note in outcome.notes)


def test_degradation_is_over_the_workloads_named(sweep_dir):
    _, content = run("degradation", sweep_dir, workloads=("criteo1tb_mini", "wmt_mini"))
    # Point 2 is best on criteo1tb_mini and 1/3 below on wmt; point 3 twice as bad on criteo1tb_mini.
    assert content[0]["worst_case_degradation"] == pytest.approx(1 / 3)
    assert content[0]["trial"] == 2
    assert content[0]["per_point"]["6"] is None


def test_plots_show_metrics_and_not_costs(sweep_dir):
    """Where higher is better the two differ in sign."""
    go = pytest.importorskip("plotly.graph_objects")
    outcome, content = run("expected_best", sweep_dir, workloads=("wmt_mini",))
    ((_, x_name, y_name, traces),) = outcome.panels
    lines = {trace.name: trace for trace in traces(go)}
    assert (x_name, y_name) == ("trials", "best validation bleu")
    assert list(lines["expected best"].y) == content[0]["expected"]
    assert lines["expected best"].y[0] == pytest.approx(13)
    outcome, _ = run("targets", sweep_dir)
    met, missed, vertical, horizontal = outcome.panels[0][3](go)
    assert (met.x, missed.x) == ((0.1, 0.09, 0.11), (0.12, 0.2))
    assert (set(vertical.x), set(horizontal.y)) == ({0.11}, {0.3})


def test_without_plotly_the_json_is_written_and_a_line_says_what_to_install(sweep_dir, monkeypatch):
    monkeypatch.setattr(plots, "is_available", lambda: False)
    outcome, _ = run("degradation", sweep_dir)
    assert "pip install" in outcome.notes[-1]
    assert not (sweep_dir / analysis.ANALYSIS / "degradation.html").exists()


def test_an_output_folder_that_cannot_be_written_is_an_error(sweep_dir):
    (sweep_dir / "file").write_text("")
    with pytest.raises(UsageError, match="Cannot write to"):
        analysis.run(Config(procedure="degradation", sweep_dir=sweep_dir, output_dir=sweep_dir / "file"))


def run_script(*arguments):
    return subprocess.run([sys.executable, str(SCRIPT), *map(str, arguments)], capture_output=True, text=True)


def test_the_command_prints_the_table(sweep_dir):
    done = run_script(
        "budgets",
        f"--sweep_dir={sweep_dir}",
        "--budgets=1,3",
        "--workloads=criteo1tb_mini",
        "--num_samples=50",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Best of k trials" in done.stdout
    assert "Written to" in done.stdout


WRONG_ARGUMENTS = {
    "no procedure": ([], "Give one procedure"),
    "unknown procedure": (["target", "--sweep_dir=x"], "the nearest is 'targets'"),
    "no folder": (["targets"], "Give the sweep folder with --sweep_dir"),
    "missing folder": (["targets", "--sweep_dir=/nowhere"], "No sweep folder at '/nowhere'"),
    "flag of another procedure": (
        ["targets", "--sweep_dir=x", "--size=3"],
        "--size means nothing to targets",
    ),
    "no number": (["budgets", "--sweep_dir=x", "--budgets=five"], "whole numbers of trials, got 'five'"),
    "bad seed": (["budgets", "--sweep_dir=x", "--seed=-1"], "--seed must be 0 or more"),
    "bad budget": (["targets", "--sweep_dir=x", "--runtime_budget=mesured"], "the nearest is 'measured'"),
    "bad tolerance": (["variants", "--sweep_dir=x", "--tolerance=10"], "--tolerance must be in [0, 1)"),
    "unknown flag": (["targets", "--sweep=x"], "Unknown command line flag"),
}


@pytest.mark.parametrize(("arguments", "words"), WRONG_ARGUMENTS.values(), ids=WRONG_ARGUMENTS)
def test_wrong_arguments_give_one_line_and_exit_code_2(arguments, words):
    done = run_script(*arguments)
    assert words in done.stderr
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, "")


def test_help_imports_neither_numpy_nor_a_framework():
    code = (
        "import runpy, sys; sys.argv = ['set_targets.py', '--help']\n"
        f"try: runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print('imported', *sorted(set(sys.modules) & {'numpy', 'jax', 'torch', 'plotly'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=SCRIPT.parent)
    assert "expected_best " in done.stdout
    assert done.stdout.splitlines()[-1].split() == ["imported"]
