"""scores.json as the one document: its schema, its parts, and what is kept of long curves."""

import dataclasses
import json
import math

import jsonschema
import pytest

from algoperf import suites
from algoperf.spec import UsageError
from scoring import published, relaxing, score_field
from scoring.document import content, curves, hits, tuning
from scoring.page import render
from scoring.results import EvaluationLog, Hit, Trial


@pytest.fixture
def score(tmp_path, suite, monkeypatch):
    monkeypatch.setattr(suites, "load", lambda name: suite)

    def score(**options):
        options = {"bootstrap_samples": 20, "suite": "test", **options}
        return score_field.run(score_field.Config(submissions_dir=tmp_path / "submissions", **options))

    return score


def written(folder):
    return json.loads((folder / "scores.json").read_text())


def check(document):
    schema = content.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document, schema)


@pytest.fixture
def field(write_trial):
    """Two entries, one of which misses 'up' and has no variant."""
    for study in range(3):
        for trial in (1, 2):
            where = {"study": study, "trial": trial}
            write_trial("fast", "down_jax", **where, rows=[(10.0 + study, 0.3), (20.0, 0.1)], metric="loss")
            write_trial("fast", "up_jax", **where, rows=[(20.0, 0.5), (40.0, 0.9)])
            write_trial("fast", "up_variant_jax", **where, rows=[(10.0, 0.9)])
            write_trial("slow", "down_pytorch", **where, rows=[(30.0, 0.1)], metric="loss")
            write_trial("slow", "up_pytorch", **where, rows=[(30.0, 0.6), (90.0, 0.79)])


@pytest.mark.usefixtures("field")
@pytest.mark.parametrize("options", [{}, {"official": True}, {"axis": "steps"}, {"sensitivity": True}])
def test_the_document_keeps_its_schema(score, tmp_path, options):
    score(output_dir=tmp_path / "out", **options)
    document = written(tmp_path / "out")
    check(document)
    number = len(document["trials"]["submission"])
    assert number == 30
    assert {len(column) for column in document["trials"].values()} == {number}
    assert len(document["curves"]) == number


@pytest.mark.slow
@pytest.mark.parametrize(
    ("version", "ruleset"), [("mini", "self"), ("algoperf_v05", "self"), ("algoperf_v05", "external")]
)
def test_the_document_of_published_entries_keeps_it_too(tmp_path, version, ruleset):
    score_field.run(
        score_field.Config(
            submissions_dir=None,
            compare_to=version,
            suite=version,
            ruleset=ruleset,
            bootstrap_samples=20,
            output_dir=tmp_path,
        )
    )
    check(written(tmp_path))
    assert (tmp_path / "report.html").stat().st_size < 1_500_000


@pytest.mark.usefixtures("field")
def test_the_document_is_read_back_as_it_was_made_and_small_parts_are_indented(score, tmp_path):
    scored = score()
    made = score_field.document_of(scored, content.Origin())
    text = content.text(made)
    assert json.loads(text) == made
    assert '\n "r_max": 4.0' in text
    assert max(map(len, text.splitlines())) > 500


@pytest.mark.usefixtures("field")
def test_links_lead_from_the_document_to_the_records(score, tmp_path):
    score(output_dir=tmp_path / "reports" / "of_today")
    document = written(tmp_path / "reports" / "of_today")
    for record in document["trials"]["record"]:
        assert (tmp_path / "reports" / "of_today" / record["path"] / "eval_measurements.csv").is_file()


@pytest.mark.slow
def test_records_in_an_archive_are_named_with_it(tmp_path):
    score_field.run(
        score_field.Config(
            submissions_dir=published.DATA_DIR / "mini_self.tar.xz",
            suite="mini",
            ruleset="self",
            include=("adamw",),
            bootstrap_samples=0,
            output_dir=tmp_path,
        )
    )
    record = written(tmp_path)["trials"]["record"][0]
    assert record["archive"].endswith("mini_self.tar.xz")
    assert record["path"].startswith("adamw/study_0/")


@pytest.mark.usefixtures("field")
def test_a_line_in_words_explains_every_result(score, tmp_path):
    score(output_dir=tmp_path / "out")
    why = written(tmp_path / "out")["why"]
    assert why["fast"]["down"].startswith("Fastest of the field.")
    assert "best accuracy 0.79, target >= 0.8" in why["slow"]["up"]
    assert why["slow"]["down"].startswith(
        "1.50 x the time of fast, by 0.50 x the updates and 3.00 x the time for each."
    )


@pytest.mark.usefixtures("field")
def test_scores_by_updates_stand_beside_those_by_seconds(score, tmp_path):
    score(output_dir=tmp_path / "out")
    axes = written(tmp_path / "out")["axes"]
    assert list(axes) == ["submission_time", "steps"]
    by_updates = axes["steps"]["submissions"]
    assert (by_updates["fast"]["times"]["down"], by_updates["slow"]["times"]["down"]) == (20.0, 10.0)
    assert by_updates["slow"]["ratios"]["down"] == 1.0


@pytest.mark.slow
def test_the_report_of_thousands_of_logs_is_a_file_of_megabytes(published_logs, tmp_path):
    config = score_field.Config(
        submissions_dir=published_logs, suite="algoperf_v05", bootstrap_samples=0, output_dir=tmp_path
    )
    score_field.run(config)
    assert len(written(tmp_path)["curves"]) > 3600
    assert (tmp_path / "report.html").stat().st_size < 3_000_000


# ---- curves and hits ---------------------------------------------------------------------------------------------


def trial_with(values, hit=None, *, number=1, times=None):
    times = times or [float(10 * (place + 1)) for place in range(len(values))]
    log = EvaluationLog(times, [float(place + 1) for place in range(len(values))], values)
    return Trial(
        submission="a",
        workload="up",
        framework="jax",
        study=0,
        trial=number,
        hit=None if hit is None else Hit(hit, times[hit], hit + 1.0),
        best=max(values),
        log=log,
    )


def test_long_curves_keep_ends_extremes_and_the_first_hit():
    values = [math.sin(place / 7) + place / 500 for place in range(1000)]
    values[400], values[700] = 9.0, math.nan
    kept = curves.thinned(values, 60, {123})
    assert len(kept) <= 62
    assert {0, 123, 400, 999} <= set(kept)
    curve = curves.one(trial_with(values, 123), trial_with(values).log, 60)
    assert curve["time_sec"][-1] == 10_000
    assert curve["metric"][kept.index(400)] == 9.0


def test_short_curves_are_kept_whole_and_nan_is_null():
    curve = curves.one(trial_with([0.5, math.nan, 0.7]), trial_with([0.5, math.nan, 0.7]).log, 12)
    assert curve["metric"] == [0.5, None, 0.7]


@pytest.fixture
def front(suite):
    def front(*trials, procedure=None):
        board = score_field.CLEAN if procedure is None else procedure
        return hits.front(trials, suite.targets("up"), budget_sec=100, num_trials=2, procedure=board)

    return front


def test_the_front_of_a_study_is_the_fastest_evaluation_at_each_target(front):
    slow_and_good = trial_with([0.70, 0.75, 0.81, 0.83], 2, number=1)
    fast_and_bad = trial_with([0.77, 0.76, 0.78], number=2)
    found = [(one.metric, one.submission_time_sec, one.trial) for one in front(slow_and_good, fast_and_bad)]
    # The last one is where the run ended that had reached the suite's target: a bound for all harder ones.
    assert found == [(0.77, 10, 2), (0.81, 30, 1), (0.83, 40, 1), (None, 40, 1)]


def test_evaluations_after_the_budget_and_extra_trials_are_no_part_of_it(front):
    late = trial_with([0.7, 0.9], number=1, times=[50.0, 101.0])
    extra = trial_with([0.99], 0, number=3)
    other = trial_with([0.6], number=2)
    assert [one.metric for one in front(late, other, extra)] == []


def test_coded_curves_are_sums_of_their_differences():
    coded = render.coded({"time_sec": [1.0, 2.54, 7.0], "step": [3, 9, 20], "metric": [1.0, 0.5, None]})
    assert coded == {"t": [10, 15, 45], "s": [3, 6, 11], "m": [1.0, 0.5, None]}


# ---- tuning ------------------------------------------------------------------------------------------------------


def test_studies_that_repeat_their_points_are_samples_of_their_own():
    trials = [dataclasses.replace(trial_with([0.9], 0, number=1), study=study) for study in range(3)]
    same = [(trial, {"learning_rate": 0.1}) for trial in trials]
    others = [(trial, {"learning_rate": 0.1 * (1 + trial.study)}) for trial in trials]
    assert len(tuning.grouped(same)) == 3
    assert len(tuning.grouped(others)) == 1
    curve = tuning.curve(others, budget_sec=100)
    assert curve == {"trials": [1, 2, 3], "chance": [1, 1, 1], "expected_budget_share": [0.1, 0.1, 0.1]}


# ---- relaxed targets ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("field")
def test_relaxed_targets_are_reached_by_more_and_said_to_be(score):
    assert ("slow", "up") in score().board.misses
    scored = score(relax_targets=0.1)
    cell = scored.board.table.cells["slow", "up"]
    assert cell.value == 90.0  # 0.79 at a target of 0.78.
    assert any("relaxed by 0.1 of their distance" in note for note in scored.notes)


@pytest.mark.usefixtures("field")
def test_tightened_targets_name_the_runs_that_ended_before_them(score, write_trial):
    write_trial("early", "up_jax", rows=[(10.0, 0.81)])
    scored = score(relax_targets=-0.2)
    assert any("1 of 25 hits are runs that ended" in note for note in scored.notes)


def test_targets_cannot_be_relaxed_where_only_hits_are_stored():
    for ruleset in ("external", "self"):
        config = score_field.Config(
            submissions_dir=None,
            compare_to="algoperf_v05",
            suite="algoperf_v05",
            ruleset=ruleset,
            relax_targets=0.1,
        )
        with pytest.raises(UsageError, match="only times to the suite's targets are stored"):
            score_field.run(config)


@pytest.mark.parametrize("share", [0.6, -1.0, math.nan])
def test_a_share_beyond_the_range_is_refused(share):
    with pytest.raises(UsageError, match=r"--relax_targets must be from -0\.5 to 0\.5"):
        relaxing.check(share)
