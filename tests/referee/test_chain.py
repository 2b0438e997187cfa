"""The chain over the records of a refereed trial: what was changed is named by file and row."""

import json
import os

import pytest
from refereed import write_refereed

from algoperf import records
from algoperf.run import chain, chain_check, chain_logger
from algoperf.run import summary as summaries
from scoring import archive

ROWS = [(1.0, 0.1), (2.0, 0.3), (3.0, 0.35), (4.0, 0.9)]
EVALUATIONS = records.EVAL_MEASUREMENTS


@pytest.fixture
def folder(tmp_path):
    """The folder of a trial, below that of its submission."""
    path = tmp_path / "results" / "adam" / "study_0" / "up_jax" / "trial_1"
    write_refereed(path, ROWS, meta_data={"device": "cpu", "environment": {"threads": 2}}, study=0, trial=1)
    return path


def problems(folder):
    return list(chain_check.check(str(folder)).problems)


def lines_of(path):
    return path.read_text().splitlines(keepends=True)


def write_lines(path, lines):
    path.write_text("".join(lines))


def test_records_as_they_were_written_have_the_seal_of_their_summary(folder):
    found = chain_check.check(str(folder))
    assert found == chain_check.Checked(summaries.read(folder).seal)
    assert len(found.seal) == chain.HASH_CHARS


def changed_cell(lines):
    return [*lines[:3], lines[3].replace("3.0", "2.5"), *lines[4:]]


EDITS = {
    "cell": (changed_cell, f"{EVALUATIONS}, row 3 was changed"),
    "removed": (lambda lines: [*lines[:2], *lines[3:]], f"{EVALUATIONS}, row 2 of 4 was removed"),
    "last": (lambda lines: lines[:-1], f"{EVALUATIONS}, row 4 of 4 was removed"),
    "added": (
        lambda lines: [*lines[:2], lines[2].replace("2.0", "1.5"), *lines[2:]],
        f"{EVALUATIONS}, row 2 was added",
    ),
    "appended": (lambda lines: [*lines, lines[-1]], f"{EVALUATIONS}, row 5 was added"),
    "moved": (lambda lines: [*lines[:2], lines[3], lines[2], lines[4]], f"{EVALUATIONS}, row 2 was row 3"),
    "column": (
        lambda lines: [lines[0].replace("validation", "valuation"), *lines[1:]],
        f"{EVALUATIONS}, row 1 was changed",
    ),
}


@pytest.mark.parametrize(("edit", "words"), EDITS.values(), ids=EDITS)
def test_a_changed_table_is_named_by_its_row(folder, edit, words):
    path = folder / EVALUATIONS
    write_lines(path, edit(lines_of(path)))
    assert problems(folder) == [words]


def test_other_files_are_named_too(folder):
    own = folder / records.MEASUREMENTS
    write_lines(own, [line.replace("0.05,", "0.06,") for line in lines_of(own)[:-1]])
    meta = folder / records.meta_data_file(0)
    meta.write_text(meta.read_text().replace('"cpu"', '"abacus"'))
    assert problems(folder) == [
        "measurements.csv, row 8 of 8 was removed",
        "meta_data_0.json, 'device' was changed",
    ]
    meta.unlink()
    own.unlink()
    assert problems(folder) == ["measurements.csv is missing", "meta_data_0.json is missing"]


def exchanged(content):
    return {**content, "submission_time_sec": 1.0}


def of_nobody(content):
    return {"status": "target_reached", "refereed": None}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (exchanged, "summary.json, 'submission_time_sec' was changed"),
        (lambda content: {**content, "seal": "0" * chain.HASH_CHARS}, "summary.json, 'seal' was changed"),
        (lambda content: {**content, "findings": None}, "summary.json, 'findings' was changed"),
    ],
)
def test_an_exchanged_summary_is_noticed(folder, change, words):
    path = folder / records.SUMMARY
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    assert problems(folder) == [words]


def test_a_summary_of_a_trial_that_did_not_end_is_nobodys_unless_it_failed(tmp_path):
    write_refereed(tmp_path, ROWS, ends=False)
    assert problems(tmp_path) == []
    summaries.write(tmp_path, summaries.Summary(status="target_reached"))
    assert problems(tmp_path) == ["summary.json is not the referee's"]
    summaries.write(tmp_path, summaries.Summary(status="failed"))  # A campaign has given it up.
    assert problems(tmp_path) == []


def test_a_chain_that_was_changed_is_broken_by_itself(folder):
    path = folder / records.CHAIN
    whole = lines_of(path)
    write_lines(path, [*whole[:3], *whole[4:]])  # With the row of the table, which alone says nothing.
    table = folder / EVALUATIONS
    assert problems(folder)
    write_lines(path, whole[:-1])
    assert problems(folder) == ["summary.json is not the referee's"]
    write_lines(path, [*whole[:4], "{}\n", *whole[4:]])
    assert problems(folder) == ["chain.jsonl, line 5 is none"]
    write_lines(path, whole)
    write_lines(table, changed_cell(lines_of(table)))
    changed = [line.replace('"step": 30', '"step": 31') for line in whole]
    write_lines(path, changed)
    assert "eval_measurements.csv, row 3 was changed" in problems(folder)
    path.unlink()
    assert problems(folder) == ["chain.jsonl is missing"]


def test_a_row_and_its_line_cannot_be_taken_out_together(folder):
    path, table = folder / records.CHAIN, folder / EVALUATIONS
    write_lines(table, [*lines_of(table)[:2], *lines_of(table)[3:]])
    kept = []
    for line in lines_of(path):
        fields = json.loads(line)
        if not (fields.get("file") == EVALUATIONS and fields["row"] == 2):
            kept.append(line)
    write_lines(path, kept)
    assert problems(folder) == ["chain.jsonl, line 9 was changed, or one before it"]
    write_lines(path, [line for line in kept if '"rows"' not in line])
    lacks = "chain.jsonl, the line of eval_measurements.csv, row 2 is missing before line"
    assert problems(folder)[-1].startswith(lacks)


def test_columns_that_come_later_and_line_ends_of_another_system_change_no_hash(tmp_path):
    own = chain.Chain(tmp_path)
    logger = chain_logger.Logger(own, tmp_path, float)
    own.start()
    logger.append_scalar_metrics({"a": 0.1, "note": 'two\nlines, "quoted"'}, 1)
    logger.append_scalar_metrics({"b": float("nan")}, 2)
    logger.finish()
    own.sync()
    assert problems(tmp_path) == []
    path = tmp_path / records.MEASUREMENTS
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert problems(tmp_path) == []


# ---- continued -------------------------------------------------------------------------------------------------------


def killed(folder, *, at=2):
    """A trial that was killed after a checkpoint and two more rows; returns the head at the checkpoint."""
    head = write_refereed(folder, ROWS[:at], ends=False)
    own = chain.Chain(folder)
    logger = chain_logger.Logger(own, folder, float)
    own._load()
    for step, value in ((10 * at + 5, 0.2), (10 * at + 10, 0.5)):
        logger.append_scalar_metrics({"grad_norm": value}, step)
        logger.append_scalar_metrics({"validation/accuracy": value, "score": 9.0}, step, is_eval=True)
    logger.finish()
    return head


def resumed(folder, head, *, step=20):
    """Continues a trial; returns (what was noticed, its logger, its chain)."""
    own = chain.Chain(folder)
    logger = chain_logger.Logger(own, folder, float, 1, last_step=step)
    return own.resume(1, step, head), logger, own


def finish(folder, logger, own):
    logger.append_scalar_metrics({"validation/accuracy": 0.9, "score": 3.0}, 30, is_eval=True)
    logger.finish()
    ended = summaries.Summary(status="target_reached", refereed=True, findings=[])
    own.add_document(records.SUMMARY, records.as_read(ended.to_json()))
    records.write_json(folder / records.SUMMARY, {**ended.to_json(), "seal": own.head})


@pytest.mark.parametrize("is_cut", [False, True])
def test_the_chain_of_a_killed_trial_goes_on_from_its_checkpoint(tmp_path, is_cut):
    head = killed(tmp_path)
    before = (tmp_path / records.CHAIN).read_bytes()
    assert problems(tmp_path) == []
    if is_cut:  # Between a line and its row, and within the next line.
        table = tmp_path / EVALUATIONS
        write_lines(table, lines_of(table)[:-1])
        (tmp_path / records.CHAIN).write_bytes(before + b'{"file": "eval')
        assert problems(tmp_path) == []
    noticed, logger, own = resumed(tmp_path, head)
    assert noticed == []
    finish(tmp_path, logger, own)
    assert problems(tmp_path) == []
    chained = (tmp_path / records.CHAIN).read_bytes()
    assert chained.startswith(before)  # The earlier attempt stays.
    table = tmp_path / EVALUATIONS
    assert len(lines_of(table)) == 1 + 3
    write_lines(table, [*lines_of(table)[:2], *lines_of(table)[3:]])
    assert problems(tmp_path) == [f"{EVALUATIONS}, row 2 of 3 was removed"]


def test_rows_that_were_changed_before_a_trial_went_on_are_noticed_then(tmp_path):
    head = killed(tmp_path)
    table = tmp_path / EVALUATIONS
    write_lines(table, [line.replace("2.0", "1.0") for line in lines_of(table)])
    own = tmp_path / records.MEASUREMENTS
    write_lines(own, lines_of(own)[:2])
    noticed, logger, chained = resumed(tmp_path, head)
    assert noticed == [
        (True, "eval_measurements.csv has not the rows that were written"),
        (False, "measurements.csv has not the rows that were written"),
    ]
    finish(tmp_path, logger, chained)
    assert problems(tmp_path) == []  # The referee has chained them anew, and says so in the findings.


@pytest.mark.parametrize("is_edited", [False, True])
def test_the_last_row_of_a_trial_that_had_ended_in_the_step_of_its_checkpoint_is_no_change(
    tmp_path, is_edited
):
    head = write_refereed(tmp_path, ROWS[:2], ends=False)
    own = chain.Chain(tmp_path)
    logger = chain_logger.Logger(own, tmp_path, float)
    own._load()
    logger.append_scalar_metrics({"score": 2.5}, 20)
    logger.finish()
    own.add_document(records.SUMMARY, {"status": "failed"})
    if is_edited:
        table = tmp_path / records.MEASUREMENTS
        write_lines(table, [line.replace("2.5", "1.5") for line in lines_of(table)])
    noticed, logger, own = resumed(tmp_path, head)
    assert noticed == [(True, "measurements.csv has not the rows that were written")] * is_edited
    finish(tmp_path, logger, own)
    assert problems(tmp_path) == []


def test_another_chain_than_that_of_the_checkpoint_is_noticed(tmp_path):
    killed(tmp_path)
    noticed, logger, own = resumed(tmp_path, "0" * chain.HASH_CHARS)
    assert noticed[0] == (True, "chain.jsonl is not that of the checkpoint")
    finish(tmp_path, logger, own)
    assert problems(tmp_path) == []


def test_an_attempt_that_never_came_to_a_checkpoint_stays_in_the_chain(tmp_path):
    write_refereed(tmp_path, ROWS[:1], ends=False)
    before = (tmp_path / records.CHAIN).read_bytes()
    write_refereed(tmp_path, ROWS)
    assert (tmp_path / records.CHAIN).read_bytes().startswith(before)
    assert problems(tmp_path) == []


# ---- archives --------------------------------------------------------------------------------------------------------


def test_a_compact_archive_has_the_chain_of_what_it_holds(folder, tmp_path):
    path = tmp_path / "results.tar.xz"
    archive.pack(tmp_path / "results", path)
    with archive.unpacked(path) as root:
        trial = root / folder.relative_to(tmp_path / "results")
        assert sorted(os.listdir(trial)) == sorted(
            [records.CHAIN, EVALUATIONS, records.meta_data_file(0), records.SUMMARY]
        )
        assert chain_check.check(str(trial)) == chain_check.Checked(summaries.read(folder).seal)
        write_lines(trial / EVALUATIONS, changed_cell(lines_of(trial / EVALUATIONS)))
        meta = trial / records.meta_data_file(0)
        meta.write_text(meta.read_text().replace('"cpu"', '"abacus"'))
        assert problems(trial) == [
            f"{EVALUATIONS}, row 3 was changed",
            "meta_data_0.json, 'device' was changed",
        ]
