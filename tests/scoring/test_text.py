"""Tables that fit their width."""

import subprocess
import sys
from pathlib import Path

import pytest

from scoring import text

SCRIPT = Path(__file__).resolve().parents[2] / "score_submissions.py"
WORDS = "five words of some length, and then five more words of some length"


def widest(table):
    return max(map(len, table.splitlines()))


def test_a_table_that_fits_is_not_folded():
    rows = [["a", "1"], ["bcdef", "2"]]
    assert text.table(["name", "n"], rows, width=40) == text.table(["name", "n"], rows)


def test_words_of_a_wide_cell_go_to_further_lines():
    table = text.table(["name", "what"], [["first", WORDS], ["second", "short"]], num_left=2, width=40)
    assert widest(table) <= 40
    lines = table.splitlines()
    assert lines[1].split()[0] == "first"
    assert lines[2].startswith(" " * 10), "below its column"
    assert lines[-1].split() == ["second", "short"]
    assert " ".join(table.split()).count("words of some length") >= 1


def test_where_little_is_left_the_last_column_goes_under_its_row():
    rows = [["a_submission_name", "a_workload_with_a_name", "some_reason", WORDS], ["b", "c", "d", ""]]
    table = text.table(["submission", "workload", "reason", "detail"], rows, num_left=4, width=80)
    assert widest(table) <= 80
    lines = table.splitlines()
    assert lines[0].split() == ["submission", "workload", "reason"]
    assert lines[1].split() == rows[0][:3]
    assert lines[2].strip().startswith("five words")
    assert lines[-1].split() == ["b", "c", "d"]


def test_a_path_that_cannot_be_broken_does_not_widen_the_table():
    rows = [
        [
            "adam",
            "wmt_mini_with_a_name",
            "unreadable",
            "a/path/that/is/long/and/has/no/place/to/be/broken: damaged",
        ]
    ]
    table = text.table(["submission", "workload", "what", "where"], rows, num_left=4, width=80)
    assert widest(table) <= 80


def test_numbers_that_do_not_fit_stand_in_a_second_block():
    header = ["name", *(f"column_{index}" for index in range(8))]
    table = text.table(header, [["adam", *["123.4"] * 8]], width=60)
    assert widest(table) <= 60
    assert table.count("adam") == 2
    assert table.count("123.4") == 8


def test_names_are_never_broken():
    name = "imagenet_resnet_large_bn_init"
    table = text.table(["name", "what"], [[name, WORDS]], num_left=2, width=30)
    assert name in table


@pytest.mark.slow
def test_a_report_that_goes_to_a_file_fits_100_columns():
    command = [sys.executable, str(SCRIPT), "--suite=algoperf_v05", "--compare_to=algoperf_v05"]
    command += ["--reference=baseline", "--bootstrap_samples=20"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [line for line in done.stdout.splitlines() if len(line) > 100] == []
