"""Tuning as a quantity: curves over trials, intervals, lists, stopped runs, the shared point, hyperparameters."""

import csv
import json
import math
import shutil
import subprocess
import sys
import tarfile

import numpy as np
import pytest
from harness import ROOT

from algoperf import suites
from algoperf.spec import UsageError
from scoring import archive, tuning, tuning_analysis, tuning_curves, tuning_points, tuning_report, tuning_runs
from scoring.tuning_curves import Runs
from scoring.tuning_runs import Run, Tuned

INF, NAN = math.inf, math.nan
MINI_EXTERNAL = ROOT / "scoring" / "data" / "mini_external.tar.xz"


def runs(*times, stopped=(), budget=100.0):
    """A sample; `stopped` has seconds at which further runs were stopped."""
    return Runs.make([*times, *[INF] * len(stopped)], [*[NAN] * len(times), *stopped], budget)


def test_a_curve_is_the_mean_over_all_subsets():
    sample = runs(20.0, 40.0, INF, INF)
    # Of six pairs one misses; {20, x} thrice, {40, miss} twice, {miss, miss} once.
    assert tuning_curves.chance(sample, 2).value == pytest.approx(5 / 6)
    assert tuning_curves.expected(sample, 2).value == pytest.approx((3 * 20 + 2 * 40 + 100) / 6)
    assert tuning_curves.median(sample, 2).value == 20
    assert [tuning_curves.chance(sample, n).value for n in (1, 3, 4)] == pytest.approx([0.5, 1, 1])
    assert tuning_curves.median(sample, 1).value == 40
    assert tuning_curves.median(runs(20.0, INF, INF), 1).value == INF


def test_the_interval_of_a_chance_is_that_of_clopper_and_pearson():
    # Published: 3 of 10 has (0.0667, 0.6525).
    found = tuning_curves.chance(runs(*[10.0] * 3, *[INF] * 7), 1)
    assert (found.low, found.high) == pytest.approx((0.0667, 0.6525), abs=1e-4)
    third = tuning_curves.chance(runs(*[10.0] * 3, *[INF] * 7), 3)
    assert (third.low, third.high) == pytest.approx((1 - (1 - 0.0667) ** 3, 1 - (1 - 0.6525) ** 3), abs=1e-3)


def test_a_median_has_no_least_end_where_few_best_runs_decide():
    sample = runs(*range(1, 21))
    assert tuning_curves.median(sample, 3).low == 1
    assert math.isnan(tuning_curves.median(sample, 4).low)
    # Bin(20, 1/2): P(5 or fewer) is 0.0207 and P(6 or fewer) 0.0577, so it lies between results 6 and 15.
    one = tuning_curves.median(sample, 1)
    assert (one.low, one.high) == (6, 15)


def test_stopped_runs_are_neither_hits_nor_misses():
    whole = runs(20.0, 40.0, INF, INF)
    cut = runs(20.0, 40.0, stopped=(30.0, 30.0))
    # Kaplan and Meier: 3/4 are left after 20 s, of whom the one still running then hits at 40 s.
    assert tuning_curves.chance(cut, 1).value == pytest.approx(1.0)
    assert tuning_curves.expected(cut, 1).value == pytest.approx(20 + 20 * 0.75)
    both = (tuning_curves.chance, tuning_curves.expected)
    for of in both:
        narrow, wide = of(whole, 2), of(cut, 2)
        assert wide.low <= narrow.low
        assert narrow.high <= wide.high
    hit = tuning_curves.chance(runs(20.0, 40.0, 30.0, 30.0), 1)
    assert tuning_curves.chance(cut, 1).high == pytest.approx(hit.high)
    assert tuning_curves.chance(cut, 1).low == pytest.approx(tuning_curves.chance(whole, 1).low)


def test_a_list_ends_with_its_last_point():
    studies = [runs(10.0, INF, INF), runs(INF, INF, 30.0), runs(INF, INF, INF)]
    chance, expected, median = tuning_curves.of_list(studies, 3)
    assert chance.value == pytest.approx(2 / 3)
    assert (chance.low, chance.high) == pytest.approx(tuning_curves.proportion_interval(2, 3))
    assert expected.value == pytest.approx((10 + 30 + 100) / 3)
    assert median.value == 30
    assert math.isnan(expected.low)
    assert math.isnan(median.high)
    assert tuning_curves.of_list(studies, 1)[0].value == pytest.approx(2 / 9)


def test_intervals_hold_on_searches_whose_truth_is_known():
    """The benchmark has the whole table; 200 searches here find an interval that covers 0.85."""
    rng = np.random.default_rng(0)
    rate, total, held = 0.6, 15, np.zeros((2, 3))
    for n_index, n in enumerate((2, total)):
        # Uniform on (0, budget / rate): P(T <= t) = rate t / budget.
        known = (
            1 - (1 - rate) ** n,
            (1 - (1 - rate) ** (n + 1)) / (rate * (n + 1)),
            (1 - 0.5 ** (1 / n)) / rate,
        )
        for _ in range(200):
            times = rng.random(total) / rate
            sample = Runs.make(np.where(times <= 1, times, INF), [NAN] * total, 1.0)
            for column, of in enumerate((tuning_curves.chance, tuning_curves.expected, tuning_curves.median)):
                found = of(sample, n)
                held[n_index, column] += not (found.low > known[column] or found.high < known[column])
    assert (held / 200 > 0.9).all(), held / 200


# ---- reading ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(write_trial, tmp_path):
    """Three studies of two points on two workloads, each study with its own; point 0 is good on `up`."""
    for study in range(3):
        for trial in (1, 2):
            for workload, metric, good in (("up", "accuracy", 0.9), ("down", "loss", 0.1)):
                reaches = trial == 1 or workload == "down"
                rows = [(1.0, 0.5), (30.0 + study, good if reaches else 0.5), (95.0, 0.5)]
                path = write_trial(
                    "adam", f"{workload}_jax", study=study, trial=trial, rows=rows, metric=metric
                )
                point = {"learning_rate": 10.0**-trial * (1 + study / 10), "dropout_rate": 0.1}
                (path / "hparams.json").write_text(json.dumps(point))
    return tmp_path / "submissions"


def test_all_trials_of_all_studies_count(folder, suite):
    (found,) = tuning_runs.read(folder, suite, "external")
    assert (len(found.points), found.is_list, found.num_stopped()) == (6, False, 0)
    assert {name: len(own) for name, own in found.runs.items()} == {"down": 6, "up": 6}
    done = tuning_analysis.analyse(found, suite)
    assert [step.num_trials for step in done.curves["up"]] == [1, 2, 3, 4, 5, 6]
    assert done.curves["up"][0].chance.value == pytest.approx(0.5)
    assert done.curves["up"][1].hours == pytest.approx(2 * 95 / 3600)
    assert done.suite_curve[0].chance.value == pytest.approx(0.75)
    assert done.suite_curve[0].hours == pytest.approx(2 * 95 / 3600), "on both workloads"
    assert done.hit_everywhere == (3, 6)
    assert done.shared.hits == 2
    assert not done.shared.is_out_of_sample
    assert done.sensitivities == (), "six points do not say what matters"


def test_points_that_studies_repeat_are_a_list(folder, suite):
    for path in folder.glob("adam/study_*/*/trial_*/hparams.json"):
        # The last digit is that of another program.
        rate = (0.1 if path.parent.name == "trial_1" else 0.01) * (1 + (path.parts[-4] == "study_1") * 1e-12)
        path.write_text(json.dumps({"learning_rate": rate}))
    (found,) = tuning_runs.read(folder, suite, "external")
    assert (len(found.points), found.is_list, found.max_trials("up")) == (2, True, 2)
    done = tuning_analysis.analyse(found, suite)
    assert [step.chance.value for step in done.curves["up"]] == pytest.approx([0.5, 1.0])
    assert done.shared.is_out_of_sample
    report = tuning_report.report([done], suite, "external", with_curves=True)
    assert "a list of 2 points, the same in every study" in report
    assert "trials for 90%" not in report, "the list ends"
    assert "takes 8 or more" in report


@pytest.mark.parametrize(
    ("status", "last_sec", "is_stopped"),
    [
        ("stopped", 50.0, True),
        ("max_steps", 50.0, True),
        ("budget_exhausted", 50.0, False),
        ("diverged", 10.0, False),
        ("", 10.0, True),
        ("", 95.0, False),
    ],
)
def test_what_ended_a_run_from_outside_leaves_open_whether_it_would_have_hit(
    write_trial, tmp_path, suite, status, last_sec, is_stopped
):
    path = write_trial("adam", "up_jax", rows=[(1.0, 0.1), (last_sec, 0.2)], status=status or None)
    (path / "hparams.json").write_text('{"learning_rate": 0.1}')
    (found,) = tuning_runs.read(tmp_path / "submissions", suite, "external")
    (run,) = found.runs["up"]
    assert run.time_sec == INF
    assert (run.stopped_sec == last_sec) == is_stopped


def test_a_hit_after_the_budget_is_a_miss(write_trial, tmp_path, suite):
    path = write_trial("adam", "up_jax", rows=[(1.0, 0.1), (120.0, 0.9)])
    (path / "hparams.json").write_text('{"learning_rate": 0.1}')
    (found,) = tuning_runs.read(tmp_path / "submissions", suite, "external")
    assert found.runs["up"][0].time_sec == INF
    (found,) = tuning_runs.read(tmp_path / "submissions", suite, "self")
    assert found.runs["up"][0].time_sec == 120, "the ruleset's budget is larger"


def test_trials_without_points_are_refused(write_trial, tmp_path, suite):
    write_trial("adam", "up_jax", rows=[(1.0, 0.9)])
    with pytest.raises(UsageError, match=r"trial_1/hparams.json is missing .* external tuning"):
        tuning_runs.read(tmp_path / "submissions", suite, "external")


# ---- points ----------------------------------------------------------------------------------------------------------


def searched(times, points, *, is_list=False, studies=1):
    """Workload -> seconds of each point, in each study."""
    return Tuned(
        submission="adam",
        points=tuple(points),
        is_list=is_list,
        runs={
            workload: tuple(
                Run(place, study, sec, NAN, 50.0, sec)
                for study in range(studies)
                for place, sec in enumerate(row)
            )
            for workload, row in times.items()
        },
        budgets=dict.fromkeys(times, 100.0),
    )


def test_the_shared_point_hits_most_and_its_loss_is_against_each_own_best():
    times = {"a": [10.0, 20.0, 80.0], "b": [INF, 40.0, 50.0]}
    found = tuning_points.shared_point(searched(times, [{"x": 1}, {"x": 2}, {"x": 3}]))
    assert (found.point, found.hits, found.own_hits) == (1, 2, 2)
    assert found.slowdown == pytest.approx(math.sqrt(20 / 10 * 40 / 40))
    assert found.budget_share == pytest.approx((0.2 + 0.4) / 2)
    assert found.own_budget_share == pytest.approx((0.1 + 0.4) / 2)
    assert tuning_points.shared_point(searched({"a": [1.0]}, [{"x": 1}])) is None, (
        "one workload shares nothing"
    )


def test_a_list_is_chosen_on_other_studies_than_it_is_measured_on():
    tuned = searched({"a": [10.0, 20.0], "b": [10.0, 20.0]}, [{"x": 1}, {"x": 2}], is_list=True, studies=3)
    # In study 2 point 0 misses on both; who chose on studies 0 and 1 did not know.
    runs_of = {
        name: tuple(
            Run(one.point, one.study, INF, NAN, 50.0, NAN) if (one.study, one.point) == (2, 0) else one
            for one in own
        )
        for name, own in tuned.runs.items()
    }
    found = tuning_points.shared_point(Tuned("adam", tuned.points, True, runs_of, tuned.budgets))
    assert found.is_out_of_sample
    # With studies 0 and 2 (or 1 and 2) point 0 hit once and missed once, which is the worse: point 1 is chosen.
    assert found.hits == pytest.approx((2 + 2 + 0) / 3)


def test_what_decides_is_told_from_what_does_not():
    rng = np.random.default_rng(1)
    points = [{"rate": float(10**power), "decay": float(rng.random())} for power in np.linspace(-4, 0, 15)]
    # Best in the middle of the range, as learning rates are: a line would not see it.
    seconds = [20 + 60 * abs(place - 7) / 7 + float(rng.random()) for place in range(15)]
    tuned = searched({"a": seconds, "b": seconds}, points)
    rate, decay = tuning_points.sensitivities(tuned, {"a": True, "b": True})
    assert (rate.name, decay.name) == ("rate", "decay")
    assert rate.is_clear
    assert not decay.is_clear
    assert rate.share > 0.8
    assert abs(rate.correlation) < 0.2
    assert rate.best == pytest.approx((points[5]["rate"], points[9]["rate"]))


def test_luck_alone_is_called_luck():
    rng = np.random.default_rng(2)
    clear = 0
    for seed in range(20):
        points = [{f"h{i}": float(rng.random()) for i in range(4)} for _ in range(12)]
        tuned = searched({"a": list(10 + 80 * rng.random(12))}, points)
        clear += any(one.is_clear for one in tuning_points.sensitivities(tuned, {"a": True}, seed))
    assert clear <= 4, "1 in 20 is what may be taken for more than luck"


@pytest.mark.slow
def test_all_five_points_of_an_official_list_take_the_published_medians(shared_data, tmp_path):
    suite = suites.load("algoperf_v05")
    with tarfile.open(shared_data / "algoperf_v05_external_tuning.tar.xz", "r|xz") as packed:
        for member in packed:
            if "/baseline/study_" in member.name and member.name.endswith((".csv", "hparams.json")):
                packed.extract(member, tmp_path, filter="data")
    (found,) = tuning_runs.read(tmp_path / "external_tuning", suite, "external")
    assert (found.is_list, len(found.points)) == (True, 5)
    curves = tuning_analysis.analyse(found, suite).curves
    published = {"criteo1tb": 7208.4, "fastmri": 2030.4, "imagenet_resnet": INF, "imagenet_vit": 70196.8}
    published |= {"librispeech_conformer": 54769.4, "ogbg": 7696.5, "wmt": 41188.8}
    for workload, seconds in published.items():
        assert curves[workload][-1].median.value == pytest.approx(seconds, abs=0.06)


def test_a_curve_over_the_suite_says_which_workload_ends_it(folder, suite):
    for path in folder.glob("adam/study_*/up_jax/trial_2"):
        shutil.rmtree(path)
    (found,) = tuning_runs.read(folder, suite, "external")
    report = tuning_report.report(
        [tuning_analysis.analyse(found, suite)], suite, "external", with_curves=False
    )
    assert "Over the suite, as far as up has trials (3; others have up to 6)" in report


# ---- the command -----------------------------------------------------------------------------------------------------


def test_the_command_reads_the_shipped_archive_and_writes_both_files(tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "scoring.tuning", "--suite=mini_quick", str(MINI_EXTERNAL)),
            *("--include=nadamw", f"--output_dir={tmp_path}"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "nadamw: 15 points, each study with its own; 45 runs on 3 workloads, of which 19" in done.stdout
    # The last line names a folder, which is as long as it is.
    assert max(map(len, done.stdout.splitlines()[:-1])) <= 100
    content = json.loads((tmp_path / "tuning.json").read_text())
    curve = content["submissions"]["nadamw"]["workloads"]["ogbg_mini"]
    assert [step["trials"] for step in curve] == list(range(1, 16))
    assert curve[0]["chance"]["low"] < curve[0]["chance"]["value"] < curve[0]["chance"]["high"]
    with (tmp_path / "tuning.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 45
    assert (
        float(rows[0]["chance"])
        == content["submissions"]["nadamw"]["workloads"]["imagenet_resnet_mini"][0]["chance"]["value"]
    )


def test_the_document_shows_what_the_command_prints_for_the_shipped_archive():
    suite = suites.load("mini_quick")
    with archive.unpacked(MINI_EXTERNAL) as folder:
        (found,) = tuning_runs.read(folder, suite, "external", ["nadamw"])
    done = tuning_analysis.analyse(found, suite)
    text = (ROOT / "docs" / "tuning.md").read_text()
    for table in (tuning_report.suite_table(done), tuning_report.by_workload(done)):
        for line in table.splitlines():
            assert line in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Give a folder of results or an archive"),
        (["--suite=mini", "nowhere"], "No folder of submissions"),
        (["--suite=algoperf_v06", str(MINI_EXTERNAL)], "No trial ran a workload of suite 'algoperf_v06'"),
        (["--suite=mini", "--ruleset=extrenal", str(MINI_EXTERNAL)], "the nearest is 'external'"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(arguments, message):
    done = subprocess.run(
        [sys.executable, "-m", "scoring.tuning", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_seconds_that_nobody_knows_are_dashes():
    assert tuning_report.seconds(NAN) == "-"
    assert tuning.csv_rows([])[0][:4] == ["submission", "workload", "trials", "hours"]
