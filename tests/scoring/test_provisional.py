"""Reports on results that are not all there, and what stands beside times."""

import csv
import dataclasses
import json
import shutil

import pytest

from algoperf import suites
from scoring import output, score_field

SEEN = ("first", "second", "third")


@pytest.fixture
def score(tmp_path, suite, monkeypatch):
    bare = dataclasses.replace(suite, held_out={})
    monkeypatch.setattr(suites, "load", lambda name: bare)

    def score(**options):
        options = {"bootstrap_samples": 20, "suite": "test", "num_trials": 1, **options}
        return score_field.run(score_field.Config(submissions_dir=tmp_path / "submissions", **options))

    return score


@pytest.fixture
def three(write_trial, tmp_path):
    """'first', 'second' and 'third' reach both targets in 10, 20 and 30 s and a little more in later studies."""
    for place, name in enumerate(SEEN, start=1):
        for study in range(3):
            for workload, metric, value in (("down", "loss", 0.1), ("up", "accuracy", 0.9)):
                rows = [(1.0, 0.5), (10.0 * place + study, value)]
                folder = write_trial(name, f"{workload}_jax", study=study, rows=rows, metric=metric)
                (folder / "summary.json").write_text(json.dumps({"status": "target_reached"}))
    return tmp_path / "submissions"


def scores_table(scored):
    text = scored.text()
    return text[text.index("Scores: ") :]


def test_an_entry_with_a_study_missing_is_provisional_and_keeps_the_rank_that_bounds_allow(score, three):
    before = score()
    assert "provisional" not in before.text()
    shutil.rmtree(three / "second" / "study_1" / "up_jax")
    scored = score(output_dir=three.parent / "out")
    table = scores_table(scored)
    # Without the study 20 and 22 s: the median is between them.
    assert "2     second      [0.682, 0.712] provisional" in table
    assert any(line.split()[:3] == ["1", "first", "1.000000"] for line in table.splitlines())
    assert "<= 22.0" in scored.text()
    assert "No run that is missing can change a rank." in scored.text()
    with (three.parent / "out" / output.SCORES).open() as file:
        rows = {row["submission"]: row for row in csv.DictReader(file)}
    assert (rows["second"]["provisional"], rows["second"]["rank"]) == ("1", "2")
    assert float(rows["second"]["score_at_least"]) == pytest.approx(float(rows["second"]["score"]))


def test_an_entry_with_two_of_three_studies_missing_has_no_rank_among_the_complete_ones(score, three):
    for study in (1, 2):
        shutil.rmtree(three / "second" / f"study_{study}" / "up_jax")
    scored = score(output_dir=three.parent / "out")
    text, table = scored.text(), scores_table(scored)
    assert "1 of 3 run" in text
    assert "1-3" in table
    assert "Next runs that could still change a rank" in text
    assert "second on up, 2 trials, about 40s" in " ".join(text.split())
    content = json.loads((three.parent / "out" / output.SCORES_JSON).read_text())
    second = next(one for one in content["submissions"] if one["submission"] == "second")
    assert (second["rank"], second["rank_at_best"], second["rank_at_worst"]) == (None, 1, 3)
    assert content["next_runs"][0]["workload"] == "up"


def test_what_was_not_run_is_not_shown_as_a_miss(score, three):
    for study in range(3):
        shutil.rmtree(three / "second" / f"study_{study}" / "up_jax")
    text = score().text()
    times = text[text.index("Time to target") : text.index("What explains")]
    assert "not run" in times
    assert "inf" not in times
    ratios = text[text.index("Performance ratios") :]
    assert "not run: no results on this workload" in " ".join(ratios.split())


@pytest.mark.usefixtures("three")
def test_officially_nothing_is_provisional(score, three):
    shutil.rmtree(three / "second" / "study_1" / "up_jax")
    assert "provisional" not in score(official=True).text()


def test_where_nobody_reaches_a_target_there_are_no_ranks(score, write_trial, tmp_path):
    for name in ("a", "b"):
        for study in range(3):
            write_trial(name, "up_jax", study=study, rows=[(10.0, 0.1), (95.0, 0.2)])
    scored = score(workloads=("up",), output_dir=tmp_path / "out")
    table = scores_table(scored)
    assert "Nobody reached a target that counts, so there are no ranks." in table
    assert "  -     a" in table
    with (tmp_path / "out" / output.SCORES).open() as file:
        assert [row["rank"] for row in csv.DictReader(file)] == ["", ""]


@pytest.mark.usefixtures("three")
def test_few_draws_are_said_to_say_little(score):
    assert "So few draws say little" in score(bootstrap_samples=2).text()
    assert "So few draws say little" not in score(bootstrap_samples=500).text()


def test_beside_each_time_stands_what_explains_it(score, write_trial, tmp_path):
    header = "accumulated_eval_time,global_step,score,validation/accuracy\n"
    for study in range(3):
        content = (header + "1.0,1,4.0,0.1\n6.0,101,24.0,0.9\n").encode()
        write_trial("adam", "up_jax", study=study, content=content, status="target_reached")
        write_trial("plain", "up_jax", study=study, content=content)
    scored = score(workloads=("up",), output_dir=tmp_path / "out")
    [line, *_] = [line for line in scored.text().splitlines() if line.split()[:2] == ["up", "adam"]]
    assert line.split() == ["up", "adam", "3/3", "24.0", "101", "4.2", "4.0", "20%"]
    assert ["up", "plain"] not in [line.split()[:2] for line in scored.text().splitlines()]
    content = json.loads((tmp_path / "out" / output.TIMES_JSON).read_text())
    assert content["submissions"]["plain"]["up"]["studies"][0]["explained"] == {
        "seconds": 24.0,
        "updates": 101.0,
        "updates_per_sec": pytest.approx(101 / 24),
        "first_update_sec": 4.0,
        "evaluation_share": pytest.approx(0.2),
    }


@pytest.mark.usefixtures("three")
def test_the_files_say_first_by_what_they_are_to_be_read(score, three, tmp_path):
    folder = three / "first" / "study_0" / "up_jax" / "trial_1"
    (folder / "summary.json").write_text(json.dumps({"status": "target_reached", "device": "cpu (2 cores)"}))
    score(output_dir=tmp_path / "out")
    for name in (output.SCORES_JSON, output.TIMES_JSON):
        content = json.loads((tmp_path / "out" / name).read_text())
        assert list(content.items())[:5] == [
            ("schema_version", 2),
            ("rules_version", "1.0"),
            ("suite", "test"),
            ("ruleset", "external"),
            ("devices", ["cpu (2 cores)"]),
        ]
