"""`submission_info.yml`: read where it has the published form, ignored with a note where it has another."""

import os

import pytest

from algoperf import records
from algoperf.submission_info import FILE, SubmissionInfo, read
from scoring import sources

TEXT = """# As published
submission_name: Schedule-Free "v2"
submission_folder: external_tuning/baseline
authors: [A. One, B. Two]
affiliations: Nowhere
version: 1.0
description: >
  No schedule,
  no warm-up.
"""


def test_name_authors_and_description_are_read(tmp_path):
    (tmp_path / FILE).write_text(TEXT)
    info = SubmissionInfo('Schedule-Free "v2"', "A. One, B. Two", "No schedule, no warm-up.")
    assert read(tmp_path) == (info, "")


def test_control_characters_in_a_name_do_not_reach_terminals(tmp_path):
    (tmp_path / FILE).write_text('submission_name: "Red \\e[31m\\0Adam"\n')
    info, _ = read(tmp_path)
    assert info == SubmissionInfo("Red [31mAdam")


def test_a_folder_without_one_needs_none(tmp_path):
    assert read(tmp_path) == (None, "")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"absl-py==2.1\njax==0.4\n", "has another form, without a submission_name"),
        (b"name: env\ndependencies: [jax]\n", "has another form"),
        (b"- a\n- b\n", "has another form"),
        (b"submission_name: {broken\n", "is not well formed"),
        (b"submission_name: \xff\xfe\n", "is not UTF-8"),
        (b"", "has another form"),
        (b"submission_name: x\nauthors: &a [*a]\n", "is not well formed"),
        (b"a: " + b"[" * 3000, "is nested too deeply"),
        (b"submission_name: 0x" + b"f" * 5000, "a number that is too long"),
        (b"submission_name: x\n" + b"#" * 200_000, "more than 100,000 characters"),
    ],
)
def test_a_file_of_another_form_is_ignored_with_a_note(tmp_path, content, why):
    (tmp_path / FILE).write_bytes(content)
    info, note = read(tmp_path)
    assert info is None
    assert why in note
    assert str(tmp_path / FILE) in note
    assert "ignored" in note
    assert "\n" not in note


def test_a_few_lines_that_stand_for_billions_do_not_hang(tmp_path):
    doubled = "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
    (tmp_path / FILE).write_text(f"submission_name: x\na0: &a0 [x]\n{doubled}authors: *a39\n")
    assert "an alias" in read(tmp_path)[1]


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / FILE)
    assert read(tmp_path) == (None, "")


def test_the_name_is_that_of_the_published_key(tmp_path):
    (tmp_path / FILE).write_text("submission_name: Mine\nname: of something else\n")
    info, _ = read(tmp_path)
    assert info is not None
    assert info.name == "Mine"


def test_reports_tell_folders_of_one_name_apart(tmp_path):
    (tmp_path / "baseline").mkdir()
    (tmp_path / "baseline" / FILE).write_text(TEXT)
    trial = tmp_path / "other" / "study_0" / "digits_jax" / "trial_1"
    trial.mkdir(parents=True)
    info = {"name": "Other", "authors": "C. Three", "description": ""}
    records.write_json(trial / records.meta_data_file(0), {"submission_info": info})
    (tmp_path / "plain" / "study_0" / "digits_jax" / "trial_1").mkdir(parents=True)
    submissions = ("baseline", "other", "plain")
    found = sources.read_infos([sources.Source(tmp_path, tmp_path, submissions)], submissions)
    assert list(found.notes) == [
        'baseline is Schedule-Free "v2", by A. One, B. Two: No schedule, no warm-up.',
        "other is Other, by C. Three",
    ]
    assert found.names == {"baseline": 'Schedule-Free "v2"', "other": "Other"}
