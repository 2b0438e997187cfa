"""Scoring of refereed trials: who is, what was noticed, broken chains, demanded suites, published seals."""

import dataclasses
import json

import pytest
from refereed import write_refereed

from algoperf import records, suites
from algoperf.spec import UsageError
from scoring import output, score_field, seals
from scoring.results import Kind
from scoring.score_field import Config

TARGETS = {"up": ("accuracy", 0.8), "up_variant": ("accuracy", 0.7), "down": ("loss", 0.2)}
NOTICED = [
    {"rule": "R3.19", "grade": "forbidden", "step": 3, "text": "It used 2.00 s while the clock was stopped."},
    {"rule": "R3.18", "grade": "for review", "step": 0, "text": "Set-up waited\nfor 40 s."},
    {"rule": "R3.18", "grade": "note", "step": 0, "text": "Nothing of weight."},
]


@pytest.fixture
def root(tmp_path):
    return tmp_path / "submissions"


@pytest.fixture
def write_entry(root):
    """write_entry(name, refereed, findings): a whole entry of the suite, of which some trials are refereed."""

    def write(name, is_refereed=lambda study: True, findings=()):
        for study in range(3):
            for number, (workload, (metric, target)) in enumerate(TARGETS.items()):
                folder = root / name / f"study_{study}" / f"{workload}_jax" / "trial_1"
                write_refereed(
                    folder,
                    [(5.0, 0.5), (10.0 + study + number / 7, target)],
                    metric=metric,
                    meta_data={"seeds": {"data": study}, "submission_hash": name},
                    findings=list(findings) if study == number == 0 else [],
                )
                if not is_refereed(study):
                    (folder / records.CHAIN).unlink()
                    (folder / records.SUMMARY).unlink()
                    records.write_json(folder / records.meta_data_file(0), {"submission_hash": name})

    return write


@pytest.fixture
def score(root, suite, monkeypatch):
    def score(refereed=suites.ANY, **options):
        own = dataclasses.replace(suite, refereed=refereed)
        monkeypatch.setattr(suites, "load", lambda name: own)
        return score_field.run(
            Config(submissions_dir=root, suite="test", bootstrap_samples=0, num_trials=1, **options)
        )

    return score


def kinds(scored):
    return {(one.submission, one.kind) for one in scored.findings}


def part_of(scored):
    return next(part for part in scored.text().split("\n\n") if part.startswith("Refereed"))


def test_refereed_trials_are_counted_by_entry_in_the_report_and_the_files(score, write_entry, tmp_path):
    write_entry("adam")
    write_entry("lion", lambda study: False)
    write_entry("muon", lambda study: study == 1)
    scored = score(output_dir=tmp_path / "out")
    assert part_of(scored).splitlines()[1:] == [
        "  yes: adam",
        "  3 of 9 trials: muon",
        "  no: lion",
    ]
    content = json.loads((tmp_path / "out" / output.SCORES_JSON).read_text())
    rows = {row["submission"]: row["refereed"] for row in content["submissions"]}
    assert {name: (row["trials"], row["of"]) for name, row in rows.items()} == {
        "adam": (9, 9),
        "lion": (0, 9),
        "muon": (3, 9),
    }


def test_a_mixture_of_refereed_and_not_is_refused_by_strict(score, write_entry):
    write_entry("adam")
    write_entry("lion", lambda study: False)
    assert kinds(score()) == {("", Kind.MIXED_FIELD)}
    with pytest.raises(UsageError, match="refereed: no in lion; yes in adam"):
        score(strict=True)


def test_a_field_that_is_all_refereed_passes_strict_whatever_is_for_review(score, write_entry):
    write_entry("adam", findings=NOTICED[1:])
    scored = score(strict=True, refereed=suites.REQUIRED)
    assert kinds(scored) == {("adam", Kind.NOTICED)}
    assert part_of(scored).splitlines()[1:] == ["  yes: adam", "  findings about adam: 1 for review (R3.18)"]


def test_findings_of_referees_stand_in_the_report_by_entry_and_grade(score, write_entry):
    write_entry("adam", findings=NOTICED)
    scored = score()
    assert sorted((one.kind, one.place, one.detail) for one in scored.findings) == [
        (Kind.NOTICED, "study_0/trial_1", "R3.18: Set-up waited for 40 s."),
        (Kind.FORBIDDEN, "study_0/trial_1", "R3.19: It used 2.00 s while the clock was stopped."),
    ]
    assert "findings about adam: 1 forbidden (R3.19), 1 for review (R3.18)" in part_of(scored)
    with pytest.raises(UsageError, match="It used 2"):
        score(strict=True)


def test_a_suite_that_demands_a_referee_names_entries_without_one(score, write_entry):
    write_entry("adam")
    write_entry("lion", lambda study: study == 1)
    scored = score(refereed=suites.REQUIRED)
    assert [one.detail for one in scored.findings if one.kind is Kind.NOT_REFEREED] == ["6 of 9 trials"]
    assert "lion" in next(line for line in scored.text().splitlines() if Kind.NOT_REFEREED in line)
    with pytest.raises(UsageError, match="not refereed, which the suite demands, as in lion"):
        score(strict=True, refereed=suites.REQUIRED)


def test_an_edited_row_is_named_and_its_trial_does_not_count_as_refereed(score, write_entry, root):
    write_entry("adam")
    path = root / "adam" / "study_1" / "up_jax" / "trial_1" / records.EVAL_MEASUREMENTS
    path.write_text(path.read_text().replace("11.0", "10.5"))
    scored = score()
    (broken,) = [one for one in scored.findings if one.kind is Kind.BROKEN_CHAIN]
    assert (broken.workload, broken.place) == ("up", "study_1/trial_1")
    assert broken.detail == "eval_measurements.csv, row 2 was changed"
    assert part_of(scored).splitlines()[1] == "  8 of 9 trials: adam"
    with pytest.raises(UsageError, match=r"up study_1/trial_1 \(eval_measurements.csv, row 2 was changed\)"):
        score(strict=True)


def test_a_refereed_trial_without_its_chain_is_named(score, write_entry, root):
    write_entry("adam")
    (root / "adam" / "study_1" / "up_jax" / "trial_1" / records.CHAIN).unlink()
    assert ("adam", Kind.BROKEN_CHAIN) in kinds(score())


def test_records_that_were_all_made_anew_have_another_seal_than_the_published_one(score, write_entry, root):
    write_entry("adam")
    listed = seals.write(root)
    assert len(json.loads(listed.read_text())) == 9
    assert score(seals=listed, strict=True).findings == ()
    folder = root / "adam" / "study_2" / "down_jax" / "trial_1"
    for path in folder.iterdir():
        path.unlink()
    write_refereed(
        folder, [(1.0, 0.2)], metric="loss", meta_data={"seeds": {"data": 2}, "submission_hash": "adam"}
    )
    assert score(strict=True).findings == ()
    (found,) = score(seals=listed).findings
    assert (found.kind, found.workload, found.place) == (Kind.OTHER_SEAL, "down", "study_2/trial_1")
    with pytest.raises(UsageError, match="seal is not the published one"):
        score(seals=listed, strict=True)


def test_a_sealed_trial_that_is_not_there_is_named(score, write_entry, root):
    write_entry("adam")
    write_entry("lion")
    listed = seals.write(root)
    for path in (root / "lion" / "study_2" / "up_jax" / "trial_1").iterdir():
        path.unlink()
    details = [one.detail for one in score(seals=listed).findings if one.kind is Kind.OTHER_SEAL]
    assert details == ["published, and not here"]
    assert not any(one.kind is Kind.OTHER_SEAL for one in score(seals=listed, include=("adam",)).findings)


def test_a_wrong_list_of_seals_is_refused(score, write_entry, tmp_path):
    write_entry("adam")
    with pytest.raises(UsageError, match="writes seals"):
        score(seals=tmp_path / "none.json")
    (tmp_path / "odd.json").write_text('{"adam": 3}')
    with pytest.raises(UsageError, match="no list of trials and seals"):
        score(seals=tmp_path / "odd.json")


def test_a_suite_says_required_or_any(suite):
    with pytest.raises(UsageError, match="'always'"):
        dataclasses.replace(suite, refereed="always")
    assert suites.load("mini").refereed == suites.ANY
