"""`score_submissions.py` and everything below its flags, on small hand-made results."""

import csv
import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import scoring
from algoperf import suites
from algoperf.spec import UsageError
from scoring import completeness, output, score_field
from scoring.results import Finding, Kind, Reason
from scoring.score_field import Config

SCRIPT = Path(__file__).resolve().parents[2] / "score_submissions.py"


@pytest.fixture
def score(tmp_path, suite, monkeypatch):
    monkeypatch.setattr(suites, "load", lambda name: suite)

    def score(**options):
        options = {"bootstrap_samples": 50, "suite": "test", **options}
        return score_field.run(Config(submissions_dir=tmp_path / "submissions", **options))

    return score


@pytest.fixture
def two_submissions(write_trial):
    """'fast' solves everything; 'slow' takes twice as long on 'down' and 5 x as long on the variant of 'up'."""
    for study in range(3):
        for trial in (1, 2):
            where = {"study": study, "trial": trial}
            write_trial("fast", "down_jax", **where, rows=[(10.0 + study, 0.1)], metric="loss")
            write_trial("fast", "up_jax", **where, rows=[(20.0, 0.5), (40.0, 0.9)])
            write_trial("fast", "up_variant_jax", **where, rows=[(10.0, 0.9)])
            write_trial("slow", "down_pytorch", **where, rows=[(20.0 + 2 * study, 0.1)], metric="loss")
            write_trial("slow", "up_pytorch", **where, rows=[(40.0, 0.9)])
            write_trial("slow", "up_variant_pytorch", **where, rows=[(50.0, 0.9)])


@pytest.mark.usefixtures("two_submissions")
def test_two_submissions_are_scored_by_the_rules(score):
    scored = score(reference="slow")
    assert dict(zip(scored.board.submissions, scored.board.scores)) == {"fast": 1.0, "slow": (2 / 3) / 2}
    assert scored.board.misses["slow", "up"].reason is Reason.HELD_OUT_TOO_SLOW
    assert scored.findings == ()
    assert scored.board.speedups.penalized.tolist() == pytest.approx([2**0.5, 1.0])
    text = scored.text()
    for words in ("ho-slow", "complete, nothing ignored", "speedup over slow", "95% interval", "1.414"):
        assert words in text


@pytest.mark.usefixtures("two_submissions")
def test_the_files_hold_pairs_groups_counts_and_figures_that_do_not_depend_on_the_field(score, tmp_path):
    score(output_dir=tmp_path / "out", reference="slow")
    content = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert content["uncertainty"]["tie_groups"] == {"fast": 1, "slow": 2}
    (pair,) = content["uncertainty"]["pairs"]
    assert (pair["above"], pair["below"], pair["is_clear"]) == ("fast", "slow", True)
    figures = content["independent_of_field"]
    assert figures["reference"] is None
    assert figures["submissions"]["fast"]["data_profile"]["budget_fractions_at_target"] == [0.11, 0.4]
    rows = {row["submission"]: row for row in content["submissions"]}
    assert rows["fast"]["speedup_low"] < rows["fast"]["speedup"] < rows["fast"]["speedup_high"]
    times = json.loads((tmp_path / "out" / "time_to_target.json").read_text())
    assert times["submissions"]["fast"]["up"]["num_reached"] == 3


def test_reach_counts_stand_beside_times_where_not_all_studies_reached_the_target(score, write_trial):
    for study, best in enumerate((0.1, 0.1, 0.3)):
        write_trial("adam", "down_jax", study=study, rows=[(10.0, best)], metric="loss")
        write_trial("lion", "down_jax", study=study, rows=[(20.0, 0.4 - best)], metric="loss")
        write_trial("muon", "down_jax", study=study, rows=[(15.0, 0.1)], metric="loss")
    text = score(workloads=("down",), num_trials=1).text()
    lines = [line.split() for line in text.splitlines()]
    assert ["adam", "10.0", "2/3"] in lines
    assert ["lion", "inf", "1/3"] in lines
    assert ["muon", "15.0"] in lines


def test_a_held_out_variant_does_not_count_for_who_missed_its_fixed_workload(score, write_trial):
    for study in range(3):
        for trial in (1, 2):
            where = {"study": study, "trial": trial}
            write_trial("fast", "up_jax", **where, rows=[(20.0, 0.9)])
            write_trial("fast", "up_variant_jax", **where, rows=[(10.0, 0.9)])
            write_trial("missed", "up_jax", **where, rows=[(20.0, 0.5), (95.0, 0.5)])
            write_trial("missed", "up_variant_jax", **where, rows=[(1.0, 0.9)])
    misses = score().board.misses
    assert misses["missed", "up"].reason is Reason.TARGET_NOT_REACHED
    assert misses["missed", "up_variant"].reason is Reason.BASE_NOT_REACHED
    assert (
        misses["missed", "up_variant"].detail == "1.00, but up itself was not reached, so it does not count"
    )
    assert ("fast", "up") not in misses, "10 times slower on the variant than who does not count"


@pytest.mark.usefixtures("two_submissions")
def test_complete_results_pass_strict(score):
    assert score(strict=True).findings == ()


@pytest.mark.usefixtures("two_submissions")
def test_one_steps_axis_counts_updates(score):
    board = score(axis="steps").board
    assert board.table.cells["fast", "up"].value == 20
    assert board.table.cells["slow", "up"].value == 10


@pytest.mark.usefixtures("two_submissions")
def test_files_hold_what_the_table_says(score, tmp_path):
    folder = tmp_path / "out" / "deep"
    scored = score(output_dir=folder, reference="fast")
    with (folder / output.SCORES).open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header[:2] == ["submission", "score"]
    assert [row[0] for row in rows] == ["fast", "slow"]
    with (folder / output.TIMES).open(newline="") as file:
        times = list(csv.DictReader(file))
    assert times[0] == {"submission": "fast", "down": "11.0", "up": "40.0", "up_variant": "10.0"}
    content = json.loads((folder / output.SCORES_JSON).read_text())
    assert content["settings"]["suite"] == "test"
    assert content["submissions"][1]["workloads"]["up"] == {
        "ratio": None,
        "miss": {
            "reason": "held_out_too_slow",
            "detail": scored.board.misses["slow", "up"].detail,
        },
        "step_time": {
            "framework": "pytorch",
            "seconds_per_update": 4.0,
            "over_median_of_framework": 1.0,
            "is_steady": True,
        },
    }
    studies = json.loads((folder / output.TIMES_JSON).read_text())["submissions"]["fast"]["down"]["studies"]
    assert [(one["time_to_target"], one["trial"]) for one in studies] == [(10.0, 1), (11.0, 1), (12.0, 1)]


def test_of_published_medians_alone_the_report_claims_nothing_about_studies():
    config = Config(submissions_dir=None, suite="algoperf_v05", ruleset="self", compare_to="algoperf_v05")
    table = score_field.run(config).text().rpartition("Scores:")[2]
    assert "schedule_free_adamw" in table
    for words in ("group", "interval", "apart"):
        assert words not in table


@pytest.mark.usefixtures("two_submissions")
def test_the_picture_is_the_same_file_each_time(score, tmp_path):
    pages = []
    for name in ("a", "b"):
        score(output_dir=tmp_path / name)
        pages.append((tmp_path / name / output.PICTURE).read_text())
    assert pages[0] == pages[1]
    assert "slow (0.3333)" in pages[0]
    assert ElementTree.fromstring(pages[0]).tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.usefixtures("two_submissions")
def test_tables_and_json_show_the_name_that_a_submission_gives_itself_beside_its_folder(score, tmp_path):
    info = tmp_path / "submissions" / "slow" / "submission_info.yml"
    info.write_text("submission_name: Slow but Steady\nauthors: A. One\n")
    scored = score(output_dir=tmp_path / "out")
    assert scored.text().rpartition("Scores:")[2].count("Slow but Steady (slow)") == 1
    entries = json.loads((tmp_path / "out" / output.SCORES_JSON).read_text())["submissions"]
    names = {entry["submission"]: entry["display_name"] for entry in entries}
    assert names.pop("slow") == "Slow but Steady"
    assert set(names.values()) == {None}
    assert "Slow but Steady (slow) (0.3333)" in (tmp_path / "out" / output.PICTURE).read_text()
    info.write_text(f"submission_name: {'Long ' * 30}\n")
    assert "Long Long Long Long Long ... (slow)" in score().text()


@pytest.mark.usefixtures("two_submissions")
def test_the_last_note_names_the_files_of_the_output_folder(score, tmp_path):
    scored = score(output_dir=tmp_path / "out")
    assert scored.notes[-1].startswith(f"Written to {tmp_path / 'out'}: ")
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(
        scored.notes[-1].rstrip(".").partition(": ")[2].split(", ")
    )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "performance_profile.svg",
        "report.html",
        "scores.csv",
        "scores.json",
        "step_time.csv",
        "time_to_target.csv",
        "time_to_target.json",
    ]


def test_missing_parts_are_listed_and_refused_by_strict(score, write_trial):
    write_trial("adam", "down_jax", rows=[(10.0, 0.1)], metric="loss")
    write_trial("adam", "down_jax", study=1, content=b"")
    scored = score()
    assert {finding.kind for finding in scored.findings} == {
        Kind.MISSING_WORKLOAD,
        Kind.MISSING_STUDY,
        Kind.MISSING_TRIAL,
        Kind.UNREADABLE,
    }
    assert "study missing" in scored.text()
    with pytest.raises(UsageError, match=r"--strict refuses.*study missing, as in adam down"):
        score(strict=True)


def test_a_trial_folder_without_evaluations_is_listed_once_with_what_is_missing(score, write_trial):
    for workload, trial in (
        ("down", 1),
        ("down", 2),
        ("down", 3),
        ("up", 1),
        ("up_variant", 1),
        ("up_variant", 2),
    ):
        for study in range(3):
            folder = write_trial(
                "adam", f"{workload}_jax", study=study, trial=trial, rows=[(10.0, 0.1)], metric="loss"
            )
            if (workload, trial) in {("down", 3), ("up", 1), ("up_variant", 2)}:
                (folder / "eval_measurements.csv").unlink()
    found = {(finding.workload, finding.kind, finding.place) for finding in score().findings}
    assert {one for one in found if one[1] is Kind.NO_EVALUATIONS} == {
        ("down", Kind.NO_EVALUATIONS, f"study_{study}/trial_3") for study in range(3)
    }, "beyond the two trials of the ruleset, of which none is missing"
    assert ("up", Kind.MISSING_WORKLOAD, "") in found
    assert ("up_variant", Kind.MISSING_TRIAL, "study_1") in found


@pytest.mark.parametrize(
    ("number", "text"),
    [(1, "study_0"), (3, "study_0, study_1, study_2"), (5, "study_0, study_1, study_2, and 2 more")],
)
def test_three_places_of_a_finding_are_named_and_the_others_counted(number, text):
    group = [Finding("adam", "up", Kind.MISSING_TRIAL, f"study_{study}") for study in range(number)]
    assert completeness.places(group) == text


def test_extra_studies_and_trials_are_listed_and_ignored(score, write_trial):
    for study in range(4):
        for trial in range(1, 4):
            write_trial(
                "adam", "down_jax", study=study, trial=trial, rows=[(10.0 / trial, 0.1)], metric="loss"
            )
    scored = score()
    kinds = [finding.kind for finding in scored.findings]
    assert kinds.count(Kind.EXTRA_STUDY) == 1
    assert kinds.count(Kind.EXTRA_TRIAL) == 3
    assert scored.board.table.cells["adam", "down"].value == 5.0


@pytest.mark.usefixtures("two_submissions")
def test_a_step_based_schedule_warns_and_is_refused_by_strict(score, write_trial):
    write_trial("slow", "up_pytorch", study=7, rows=[(1.0, 0.1)], flags={"eval_every_steps": 50})
    assert any("slow evaluated on a step-based schedule" in note for note in score().notes)
    with pytest.raises(
        UsageError, match=r"step-based schedule, as in slow up study_7/trial_1 \(eval_every_steps=50\)"
    ):
        score(strict=True)


def test_nan_metrics_are_shown_but_not_refused(score, write_trial):
    for study in range(3):
        for trial in (1, 2):
            for workload, metric in (("down", "loss"), ("up", "accuracy"), ("up_variant", "accuracy")):
                rows = [(10.0, float("nan")), (20.0, 0.9 if metric == "accuracy" else 0.1)]
                write_trial("adam", f"{workload}_jax", study=study, trial=trial, rows=rows, metric=metric)
    scored = score(strict=True)
    assert {finding.kind for finding in scored.findings} == {Kind.NAN_METRIC}
    assert scored.board.scores[0] == 1.0


def test_one_study_has_an_interval_from_a_default_spread_and_a_field_of_one_says_what_it_means(
    score, write_trial
):
    write_trial("adam", "down_jax", rows=[(10.0, 0.1)], metric="loss")
    scored = score(workloads=("down",), num_studies=1, num_trials=1)
    assert scored.board.scores[0] == 1.0
    assert scored.board.uncertainty.is_default_spread
    text = " ".join(scored.text().split())
    assert "the spread of times is a default, 12% from study to study" in text
    assert "A field of one" in text
    assert any("Not the rules of suite test" in note for note in scored.notes)
    assert scored.findings == ()


@pytest.mark.usefixtures("two_submissions")
def test_an_unlisted_variant_is_ignored_except_officially(score, suite, monkeypatch):
    bare = dataclasses.replace(suite, held_out={})
    monkeypatch.setattr(suites, "load", lambda name: bare)
    clean, official = score(), score(official=True)
    assert clean.board.misses == {}
    assert {finding.kind for finding in clean.findings} == {Kind.UNLISTED_WORKLOAD}
    assert clean.differences.steps[0].quirk.name == "stray-variants"
    assert ("slow", "up") in official.board.misses
    assert any("stray-variants" in note for note in official.notes)


def test_a_trial_without_steps_cannot_be_scored_on_steps(score, write_trial):
    write_trial("adam", "down_jax", content=b"score,validation/loss\n1,0.1\n")
    with pytest.raises(UsageError, match="adam has no global_step column in study_0, down, trial_1"):
        score(axis="steps")


def test_own_results_are_placed_among_the_published_ones(tmp_path, write_trial):
    for study in range(5):
        write_trial("mine", "wmt_jax", study=study, rows=[(10_000.0, 31.0)], metric="bleu")
        write_trial("mine", "wmt_glu_tanh_jax", study=study, rows=[(5_000.0, 31.0)], metric="bleu")
    config = Config(
        submissions_dir=tmp_path / "submissions",
        suite="algoperf_v05",
        compare_to="algoperf_v05",
        reference="baseline",
        bootstrap_samples=50,
    )
    scored = score_field.run(config)
    board = scored.board
    assert len(board.submissions) == 12
    assert board.scores[board.submissions.index("mine")] == 1 / 8  # the fastest on WMT, absent elsewhere
    assert board.speedups.reference == "algoperf_v05/baseline"
    assert {finding.submission for finding in scored.findings} == {"mine"}
    assert "Times measured on other hardware do not compare" in " ".join(scored.notes)


WRONG_ARGUMENTS = {
    "no folder": ([], "Give the folder of submissions"),
    "no such folder": (["/no/such"], "No folder of submissions at '/no/such'"),
    "unknown flag": (["--sweet=mini", "a"], "Unknown command line flag 'sweet'"),
    "ill-typed flag": (["--seed=x", "a"], "--seed must be a whole number, got 'x'"),
    "unknown suite": (["--suite=algoperf_v5", "a"], "the nearest is 'algoperf_v05'"),
    "unknown ruleset": (["--ruleset=extern", "a"], "the nearest is 'external'"),
    "unknown axis": (["--axis=step", "a"], "the nearest is 'steps'"),
    "unknown workload": (["--suite=mini", "--workloads=wmt_mni", "a"], "the nearest is 'wmt_mini'"),
    "no samples": (["--bootstrap_samples=-1", "a"], "--bootstrap_samples must be from 0"),
    "negative seed": (["--seed=-1", "a"], "--seed must be 0 or more"),
    "no studies": (["--num_studies=0", "a"], "num_studies must be a positive integer"),
    "unknown leaderboard": (["--compare_to=v05"], "Choose from algoperf_a100"),
    "other targets": (
        ["--suite=mini", "--compare_to=algoperf_v05"],
        "no times to the target of 'criteo1tb_mini'",
    ),
    "times only": (
        ["--suite=algoperf_v05", "--ruleset=self", "--compare_to=algoperf_v05", "--axis=steps"],
        "published as times only",
    ),
    "unknown reference": (
        ["--suite=algoperf_v05", "--compare_to=algoperf_v05", "--reference=algoperf_v05/basline"],
        "the nearest is 'algoperf_v05/baseline'",
    ),
}


def run_script(*arguments):
    score_field = [sys.executable, "-W", "error", str(SCRIPT), *arguments]
    return subprocess.run(score_field, capture_output=True, text=True)


@pytest.mark.parametrize(("arguments", "words"), WRONG_ARGUMENTS.values(), ids=WRONG_ARGUMENTS)
def test_wrong_arguments_give_one_line_and_exit_code_2(arguments, words):
    done = run_script(*arguments)
    assert words in done.stderr
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, "")


def test_a_folder_of_one_submission_is_recognised(write_trial, tmp_path, suite):
    write_trial("adam", "up_jax", rows=[(1.0, 0.1)])
    with pytest.raises(UsageError, match=r"give its parent .* and --include=adam"):
        score_field.run(Config(submissions_dir=tmp_path / "submissions" / "adam"))


def test_a_folder_without_results_is_recognised(tmp_path):
    with pytest.raises(UsageError, match="No results below"):
        score_field.run(Config(submissions_dir=tmp_path))


def test_results_on_other_workloads_are_recognised(write_trial, tmp_path):
    write_trial("adam", "up_jax", rows=[(1.0, 0.1)])
    with pytest.raises(UsageError, match="ran a workload of suite 'algoperf_a100'"):
        score_field.run(Config(submissions_dir=tmp_path / "submissions"))


def test_an_output_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    config = Config(
        submissions_dir=None,
        suite="algoperf_v05",
        compare_to="algoperf_v05",
        bootstrap_samples=0,
        output_dir=tmp_path / "file" / "below",
    )
    with pytest.raises(UsageError, match="Cannot write to --output_dir"):
        score_field.run(config)


def test_the_script_runs_without_warnings_and_helps_without_numpy():
    done = run_script(
        "--suite=algoperf_v05", "--official", "--compare_to=algoperf_v05", "--bootstrap_samples=10"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "0.778409090909" in done.stdout
    code = "import sys, score_submissions; print('numpy' in sys.modules)"
    assert (
        subprocess.check_output([sys.executable, "-c", code], text=True, cwd=SCRIPT.parent).strip() == "False"
    )


def test_the_package_names_all_its_modules():
    modules = {path.name for path in Path(scoring.__file__).parent.glob("*.py")} - {"__init__.py"}
    assert modules == set(re.findall(r"\w+\.py", scoring.__doc__)) - {"score_submissions.py"}
