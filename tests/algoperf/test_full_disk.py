"""A full disk is no failure of the submission: the trial is interrupted, and the same command continues."""

import csv
import errno
import os

import numpy as np
import pytest
from harness import FRAMEWORKS, ROOT, SGD_FILES, assert_equal_params, command, run_trial, submission

from algoperf import commands, files, records

STEPS = 10
WRITER = csv.writer


@pytest.fixture(params=FRAMEWORKS)
def framework(request):
    return request.param


def no_room():
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class FullAt:
    """Takes the place of a function of the system that writes; the nth call finds no room."""

    def __init__(self, function, number):
        self.function, self.left = function, number

    def __call__(self, *args, **options):
        self.left -= 1
        if self.left == 0:
            raise no_room()
        return self.function(*args, **options)


class FullWriter:
    """Takes the place of csv.writer; the nth row finds no room, and half of it was written."""

    def __init__(self, number):
        self.left = number

    def __call__(self, file, **options):
        full, own = self, WRITER(file, **options)

        class Writer:
            def writerow(self, row):
                full.left -= 1
                if full.left == 0:
                    file.write(",".join(map(str, row))[:20])
                    raise no_room()
                own.writerow(row)

            def writerows(self, rows):
                own.writerows(rows)

        return Writer()


def evaluations(folder):
    """What the evaluation log says, but for times."""
    columns = records.read_csv(folder / "trial_1" / records.EVAL_MEASUREMENTS)
    return {name: values for name, values in columns.items() if "/" in name or name == records.GLOBAL_STEP}


def assert_same_run(folder, other):
    """Bit for bit, parameters and evaluations."""
    assert_equal_params(folder / "trial_1", other / "trial_1")
    found, wanted = evaluations(folder), evaluations(other)
    assert found.keys() == wanted.keys()
    for name in wanted:
        np.testing.assert_array_equal(found[name], wanted[name], err_msg=name)


@pytest.mark.parametrize(
    ("framework", "what"),
    [
        ("jax", "records"),
        ("pytorch", "records"),
        ("pytorch", "rows"),
    ],  # Rows are written without a framework.
)
def test_a_trial_that_met_a_full_disk_anywhere_goes_on_where_it_was(tmp_path, framework, what):
    run_trial(tmp_path / "whole", framework, max_steps=STEPS)
    met = 0
    for number in range(1, 100):
        folder = tmp_path / f"full_at_{number}"
        with pytest.MonkeyPatch.context() as patch:
            if what == "records":
                full = FullAt(os.fsync, number)
                patch.setattr(os, "fsync", full)
            else:
                full = FullWriter(number)
                patch.setattr(records.csv, "writer", full)
            if number == 1:
                with pytest.raises(files.StorageError, match="No space left on device"):
                    run_trial(folder, framework, max_steps=STEPS)
            else:
                try:
                    run_trial(folder, framework, max_steps=STEPS)
                except files.StorageError:
                    pass
                else:
                    break  # There are no more writes than that.
        met += 1
        assert not (folder / "trial_1" / records.SUMMARY).exists(), "nothing has failed"
        ended = run_trial(folder, framework, max_steps=STEPS)
        assert (ended["status"], ended["error"]) == ("max_steps", None)
        assert_same_run(folder, tmp_path / "whole")
    assert met >= 6, "three evaluations were logged and saved, and what is known at the start"


def test_the_command_says_so_in_one_line_and_has_an_exit_code_for_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(os, "fsync", FullAt(os.fsync, 5))
    code = command(
        tmp_path,
        workload="digits",
        submission=str(SGD_FILES["pytorch"]),
        framework="pytorch",
        tuning_search_space=str(ROOT / "tests" / "helpers" / "tuning_search_space.json"),
    )
    assert code == commands.EXIT_STORAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: Cannot write ")
    assert "make room" in line


def test_an_error_that_the_submission_makes_is_its_own(tmp_path, framework):
    """Only what the harness writes is known to be no part of the algorithm."""

    def fail(*args, **options):
        raise OSError(errno.ENOENT, "no such file", "my_table.csv")

    ended = run_trial(tmp_path, framework, submission(framework, data_selection=fail))
    assert ended["status"] == "failed"
    assert "my_table.csv" in ended["error"]


# ---- rows that a crash has lost --------------------------------------------------------------------------------------


def cut(path):
    path.write_text(path.read_text()[:-40])


def empty(path):
    path.write_text("")


def keep_the_last(path):
    header, *rows = path.read_text().splitlines(keepends=True)
    path.write_text(header + rows[-1])


@pytest.mark.parametrize(
    ("framework", "damage"),
    [("jax", cut), *(("pytorch", damage) for damage in (cut, empty, os.unlink, keep_the_last))],
)
def test_evaluations_that_a_crash_lost_are_logged_again_from_the_checkpoint(tmp_path, framework, damage):
    run_trial(tmp_path / "whole", framework, max_steps=20)
    run_trial(tmp_path / "torn", framework, max_steps=10)
    path = tmp_path / "torn" / "trial_1" / records.EVAL_MEASUREMENTS
    before = records.read_csv(path)
    damage(path)
    run_trial(tmp_path / "torn", framework, max_steps=20)
    assert_same_run(tmp_path / "torn", tmp_path / "whole")
    after = records.read_csv(path)
    for name, values in before.items():  # Times, too.
        np.testing.assert_array_equal(after[name][: len(values)], values, err_msg=name)


def test_rows_are_put_back_in_the_order_of_their_steps_and_nothing_else_changes(tmp_path):
    path = tmp_path / "log.csv"
    log = records.CsvLog(path)
    log.append({"global_step": 5, "a": 0.1})
    before = path.read_text()
    log.put_back([{"global_step": 5, "a": 7.0}])
    assert path.read_text() == before
    log.put_back([{"global_step": 1, "b": 2.0}, {"global_step": 5, "a": 7.0}, {"global_step": 9, "a": 3.0}])
    log.append({"global_step": 10, "a": 4.0})
    log.close()
    assert path.read_text() == "a,global_step,b\n,1,2.0\n0.1,5,\n3.0,9,\n4.0,10,\n"
