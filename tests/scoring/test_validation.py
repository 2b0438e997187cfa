"""`python -m scoring.validate` on small contributed folders, whole and with every kind of fault."""

import json

import pytest
from refereed import write_refereed

from algoperf import records, suites
from algoperf.spec import UsageError
from scoring import archive, next_steps, validate, validation
from scoring.results import HARMLESS, Kind

TARGETS = {"up": ("accuracy", 0.8), "up_variant": ("accuracy", 0.7), "down": ("loss", 0.2)}
INFO = "submission_name: Adam\nauthors: A. One\ndescription: As published.\n"


@pytest.fixture
def root(tmp_path, suite, monkeypatch):
    monkeypatch.setattr(suites, "load", lambda name: suite)
    return tmp_path / "submissions"


def folder_of(root, name, workload="up", study=0):
    return root / name / f"study_{study}" / f"{workload}_jax" / "trial_1"


@pytest.fixture
def write_entry(root):
    """write_entry(name, shift): a whole refereed entry of the self-tuning ruleset; `shift` moves its clock."""

    def write(name, shift=0.0):
        for study in range(3):
            for number, (workload, (metric, target)) in enumerate(TARGETS.items()):
                write_refereed(
                    folder_of(root, name, workload, study),
                    [(5.0, 0.5), (10.0 + study + number / 7 + shift, target)],
                    metric=metric,
                    meta_data={
                        "seeds": {"data": 7 * study + shift},
                        "suite": "test",
                        "ruleset": "self",
                        "submission_hash": name,
                    },
                )
        (root / name / "submission_info.yml").write_text(INFO)

    return write


def lines(found):
    return found.text().splitlines()


def test_a_whole_contribution_has_no_fault_and_its_records_say_the_rules(root, write_entry):
    write_entry("adam")
    write_entry("lion", shift=1 / 3)
    found = validation.validate(root, demands_referee=True)
    assert (found.is_valid, found.faults, found.ruleset) == (True, (), "self")
    assert lines(found) == [
        f"{root}: 2 submissions, 18 trials, suite test, self ruleset: complete and consistent."
    ]


def test_an_archive_is_as_good_as_its_folder(root, write_entry, tmp_path):
    write_entry("adam")
    archive.pack(root, tmp_path / "adam.tar.xz")
    assert validation.validate(tmp_path / "adam.tar.xz", demands_referee=True).faults == ()


def test_a_broken_a_copied_and_an_unfinished_trial_are_named_each(root, write_entry):
    write_entry("adam")
    broken = folder_of(root, "adam", "up", 0) / records.EVAL_MEASUREMENTS
    broken.write_text(broken.read_text().replace("0.8", "0.9"))
    first, copied = (folder_of(root, "adam", "down", study) for study in (0, 1))
    for path in first.iterdir():
        (copied / path.name).write_bytes(path.read_bytes())
    unfinished = folder_of(root, "adam", "up_variant", 2)
    for path in unfinished.iterdir():
        path.unlink()
    said = {"seeds": {"data": 14.0}, "suite": "test", "ruleset": "self", "submission_hash": "adam"}
    write_refereed(unfinished, [(5.0, 0.5)], meta_data=said, ends=False)
    found = validation.validate(root)
    assert not found.is_valid
    assert {(one.workload, one.place) for one in found.faults} == {
        ("", ""),  # An entry of which one trial is not refereed any more.
        ("up", "study_0/trial_1"),
        ("down", "study_1/trial_1"),
        ("up_variant", "study_2/trial_1"),
    }
    text = "\n".join(lines(found))
    assert "adam up study_0/trial_1: records are not as the referee wrote them" in text
    assert "adam down study_1/trial_1: evaluations equal to those of another trial (study_0/trial_1)" in text
    assert "adam up_variant study_2/trial_1: has not ended" in text
    assert "continue it with the same command" in text


def test_an_unfinished_trial_is_named_where_only_summaries_tell_of_the_rules(root, write_trial):
    for study in range(3):
        write_trial("adam", "up_jax", study=study, rows=[(9 + study, 0.9)], status="target_reached")
    (folder_of(root, "adam", study=2) / records.SUMMARY).unlink()
    text = validation.validate(root, "test", "self").text()
    assert [line for line in text.splitlines() if "has not ended" in line] == [
        f"fault: adam up study_2/trial_1: {validation.NOT_ENDED}; {next_steps.of(Kind.NO_EVALUATIONS)}."
    ]
    for study in range(2):
        (folder_of(root, "adam", study=study) / records.SUMMARY).unlink()
    assert "has not ended" not in validation.validate(root, "test", "self").text()  # As AlgoPerf's logs.


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: (path / "summary.json").write_text("{"), "summary.json unreadable"),
        (lambda path: (path / "eval_measurements.csv").unlink(), "trial without eval_measurements.csv"),
        (lambda path: (path / "eval_measurements.csv").write_text("score\n"), "trial unreadable"),
    ],
)
def test_a_damaged_trial_is_named_with_a_next_step(root, write_entry, spoil, words):
    write_entry("adam")
    spoil(folder_of(root, "adam"))
    (line,) = [line for line in lines(validation.validate(root)) if words in line]
    assert line.startswith("fault: adam up study_0/trial_1: ")
    assert ";" in line


def test_a_copy_of_another_submission_is_found_by_its_clock(root, write_entry):
    write_entry("adam")
    write_entry("lion")
    assert any(
        line.startswith(
            "fault: lion down study_1/trial_1: evaluations equal to those of another trial (adam "
        )
        for line in lines(validation.validate(root))
    )


def test_a_submission_that_says_nothing_of_itself_is_a_fault_and_half_of_it_a_note(root, write_entry):
    write_entry("adam")
    write_entry("lion", shift=1 / 3)
    (root / "adam" / "submission_info.yml").unlink()
    (root / "lion" / "submission_info.yml").write_text("submission_name: Lion\n")
    adam, lion = validation.validate(root).faults
    assert (adam.submission, adam.is_note) == ("adam", False)
    assert "submission_info.yml" in adam.next_step
    assert (lion.submission, lion.is_note, lion.what) == ("lion", True, "names no authors and no description")


def test_trials_without_a_referee_are_named_where_one_is_demanded(root, write_entry):
    write_entry("adam")
    write_entry("lion", shift=1 / 3)
    folder = folder_of(root, "adam", "up", 1)
    (folder / records.CHAIN).unlink()
    for study in range(3):
        for workload in TARGETS:
            path = folder_of(root, "lion", workload, study)
            (path / records.CHAIN).unlink()
            for name in (records.SUMMARY, records.meta_data_file(0)):
                content = json.loads((path / name).read_text())
                records.write_json(path / name, {**content, "refereed": False})
    text = validation.validate(root, demands_referee=True).text()
    assert (
        "fault: adam up study_1/trial_1: was not refereed, which is demanded; run it with --referee." in text
    )
    assert "fault: lion: no trial was refereed, which is demanded" in text
    assert "which is demanded" not in validation.validate(root).text()


def test_a_submission_time_that_is_not_the_sum_of_its_ledger_is_a_contradiction(root, write_entry):
    write_entry("adam")
    ledger = {"data_selection": 1.0, "update": 8.0, "prepare_for_eval": 0.0}
    path = folder_of(root, "adam", "up", 0)
    for name in list(path.iterdir()):
        name.unlink()
    write_refereed(
        path,
        [(5.0, 0.5), (10.1, 0.8)],
        meta_data={"suite": "test", "ruleset": "self", "submission_hash": "adam"},
        ledger=ledger,
        submission_time_sec=10.1,
    )
    text = validation.validate(root).text()
    assert "submission time 10.10 s there, 9.00 s by the ledger beside it" in text


def test_records_of_two_rulesets_want_a_flag(root, write_entry):
    write_entry("adam")
    path = folder_of(root, "adam") / records.meta_data_file(0)
    records.write_json(path, {**json.loads(path.read_text()), "ruleset": "external"})
    with pytest.raises(UsageError, match=r"several rulesets, external, self: .* --ruleset"):
        validation.validate(root)
    assert not validation.validate(root, ruleset="self").is_valid


def test_no_folder_is_one_error(tmp_path):
    with pytest.raises(UsageError, match="No results at"):
        validation.validate(tmp_path / "nothing")


def test_every_kind_that_strict_refuses_has_a_next_step():
    assert set(Kind) - set(HARMLESS) <= set(next_steps.OF_KIND)


def test_the_command_ends_with_2_where_something_is_to_be_repaired(root, write_entry, monkeypatch, capsys):
    write_entry("adam")
    values = {"suite": None, "ruleset": None, "refereed": True, "json": True}
    monkeypatch.setattr(validate, "FLAGS", type("Flags", (), values))
    assert validate.main(["validate", str(root)]) == 0
    assert json.loads(capsys.readouterr().out)["is_valid"] is True
    (root / "adam" / "submission_info.yml").unlink()
    assert validate.main(["validate", str(root)]) == 2
    (fault,) = json.loads(capsys.readouterr().out)["faults"]
    assert fault["submission"] == "adam"
    with pytest.raises(UsageError, match="one folder"):
        validate.main(["validate"])
