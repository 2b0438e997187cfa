"""Printing never ends a run, whatever has become of the reader."""

import os
import subprocess
import sys

import pytest
from harness import ROOT

from algoperf import output

PRINTS = """
import sys
from algoperf import output
output.settle(lasting=True)
results = open(sys.argv[1], "w")
for number in range(3000):
    print("progress \\xe9 \\U0001f642 \\ud800", number)
    print("progress \\xe9 \\U0001f642 \\ud800", number, file=sys.stderr, flush=True)
    if number == 1000:
        sys.stdout.close()
sys.stdout.flush()
results.write("done")
results.close()
"""


def run_prints(path, redirect, **environment):
    """Exit code of a process that prints a lot, under a shell's redirection."""
    return subprocess.run(
        ["sh", "-c", f'"$0" -c "$1" "$2" {redirect}', sys.executable, PRINTS, str(path)],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
    ).returncode


@pytest.mark.parametrize(
    "redirect",
    ["> /dev/full 2>&1", ">&- 2>&-", "2>&-", "<&- >&- 2>&-", "> /dev/null 2> /dev/full"],
)
def test_a_full_disk_behind_the_output_or_no_output_at_all_ends_no_run(tmp_path, redirect):
    assert run_prints(tmp_path / "results", redirect) == 0
    assert (tmp_path / "results").read_text() == "done", "nothing was printed into the results"


def test_a_reader_that_is_gone_ends_no_run(tmp_path):
    started = subprocess.Popen(
        [sys.executable, "-c", PRINTS, str(tmp_path / "results")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    started.stdout.readline()
    started.stdout.close()
    assert started.wait() == 0
    assert (tmp_path / "results").read_text() == "done"


def test_a_locale_that_knows_ascii_only_ends_no_run(tmp_path):
    redirect = f"> {tmp_path / 'out'} 2> {tmp_path / 'err'}"
    ascii_only = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    assert run_prints(tmp_path / "results", redirect, **ascii_only) == 0
    for name in ("out", "err"):
        assert b"progress \\xe9 \\U0001f642 \\ud800 7\n" in (tmp_path / name).read_bytes()


def test_what_can_be_written_is_written(tmp_path):
    assert run_prints(tmp_path / "results", f"> {tmp_path / 'out'} 2>&1", PYTHONIOENCODING="utf-8") == 0
    lines = (tmp_path / "out").read_text().splitlines()
    assert len(lines) == 6000, "sys.stdout stays open, too"


@pytest.mark.parametrize(
    "command",
    [
        [
            *("run_benchmark.py", "--plan", "--ruleset=self", "--framework=pytorch"),
            *("--submissions=submissions/template", "--experiment_dir={}"),
        ],
        ["set_targets.py", "--plan", "--workload=digits", "--sweep_dir={}", "--framework=pytorch"],
        [
            "submission_runner.py",
            "--workload=nono",
            "--submission=submissions/template",
            "--experiment_dir={}",
        ],
    ],
)
def test_commands_that_train_outlive_their_readers(tmp_path, command):
    reading, writing = os.pipe()
    os.close(reading)
    arguments = [sys.executable, *(part.format(tmp_path / "results") for part in command)]
    done = subprocess.run(arguments, cwd=ROOT, stdout=writing, stderr=writing)
    os.close(writing)
    assert done.returncode == (2 if "--workload=nono" in command else 0)


def test_a_user_without_a_name_gets_one(monkeypatch):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)

    def unknown(uid):
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    output._name_user()
    assert "LOGNAME" not in os.environ, "the system knows this one"
    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.setenv("USER", "me")
    output._name_user()
    assert "LOGNAME" not in os.environ, "the environment does"
    monkeypatch.delenv("USER")
    monkeypatch.setenv("LOGNAME", "")
    output._name_user()
    assert os.environ["LOGNAME"] == f"uid_{os.getuid()}"
