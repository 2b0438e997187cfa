"""docs/records.md names every file and column of a run, and no other."""

import dataclasses
import re

from harness import ROOT

from algoperf import records
from algoperf.evaluation import SPLITS
from algoperf.run.summary import Summary

IN_BOTH_CSV = {
    *records.evaluation_columns("<metric>"),
    *(f"{prefix}/<metric>" for prefix in SPLITS.values()),
}


def named():
    """(file, name) of each row of the table; of a file itself, name is ''."""
    file = ""
    rows = []
    for line in (ROOT / "docs" / "records.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("| ") or cells[0] in ("file", "---"):
            continue
        file = cells[0].strip("`") or file
        rows.append((file, cells[1].strip("`")))
    return rows


def test_the_table_names_every_file_of_a_trial_and_no_other():
    files = {file for file, _ in named() if file != "both CSV files"}
    assert all(records.is_own(re.sub("<.*?>", "1", file)) for file in files)
    # Every alternative of the pattern by which a trial knows its own files has a row.
    alternatives = records._OWN_NAMES.pattern.split("|")
    assert [
        one for one in alternatives if not any(re.fullmatch(one, re.sub("<.*?>", "1", f)) for f in files)
    ] == []
    assert len(alternatives) == len(files)


def test_the_table_names_every_column_and_field_and_no_other():
    rows = named()
    columns = [name for file, name in rows if file == "both CSV files"]
    assert sorted(columns) == sorted(IN_BOTH_CSV)
    fields = [name for file, name in rows if file == "summary.json"]
    stored = {field.name for field in dataclasses.fields(Summary)} - {"already_finished"}
    assert sorted(fields) == sorted(stored)


def test_the_table_names_every_status():
    text = (ROOT / "docs" / "records.md").read_text()
    assert [status for status in records.STATUSES if f"`{status}`" not in text] == []
