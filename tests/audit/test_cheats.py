"""Every trick of `tests/cheats/` is named as its docstring says; honest submissions are not."""

import re

import pytest
from harness import ROOT

from audit.audit import audit
from audit.findings import Grade

CHEATS = sorted(path.parent for path in ROOT.glob("tests/cheats/*/submission.py"))
HONEST = sorted(
    {path.parent for path in ROOT.glob("reference_algorithms/*/submission_*.py")}
    | {path.parent for path in ROOT.glob("submissions/template/submission_*.py")}
    | {path.parent for path in ROOT.glob("tests/submissions_of_all_kinds/*/submission_*.py")}
)


def expected(folder):
    """Ids of the checks in the last line of a trick's docstring; an empty set where it says invisible."""
    line = re.search(r"^Audit: (.+)\.$", (folder / "submission.py").read_text(), re.MULTILINE)
    assert line is not None, f"{folder.name} does not say what the audit finds"
    return set() if line[1] == "invisible" else set(line[1].split(", "))


def graver(report):
    return {one.check.id for one in report.findings if one.grade > Grade.NOTE}


def test_there_are_tricks_of_many_kinds():
    assert len(CHEATS) >= 35
    assert len({check for folder in CHEATS for check in expected(folder)}) >= 25


@pytest.mark.parametrize("folder", CHEATS, ids=lambda folder: folder.name)
def test_a_trick_is_named_as_its_docstring_says(folder):
    found = graver(audit(folder))
    assert expected(folder) <= found
    assert expected(folder) or not found


@pytest.mark.parametrize("folder", HONEST, ids=lambda folder: folder.name)
def test_honest_submissions_raise_nothing_above_a_note(folder):
    report = audit(folder)
    assert graver(report) == set(), report.text()
    assert report.exit_code == 0


def test_honest_submissions_are_found():
    assert len(HONEST) >= 18 + 1 + 15


SHARED = ROOT.parent / "shared" / "cheats"
ALLOWED = {"00_honest", "68_evaluation_on_demand", "74_nan_skips_records"}
"""What its index calls allowed or without gain."""


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the collection of tricks beside the project")
def test_tricks_of_others_are_named():
    folders = sorted(path for path in SHARED.iterdir() if path.is_dir())
    missed = set()
    for folder in folders:
        method = folder / "method.py"
        if (
            method.exists()
        ):  # Given as a file with a name of its own: nothing of it is against the rules of section 3.
            continue
        if not graver(audit(folder)):
            missed.add(folder.name)
    assert missed == ALLOWED & {folder.name for folder in folders}
