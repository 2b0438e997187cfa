"""Procedures are found by their files, with the flags that these declare."""

import dataclasses
import subprocess
import sys

import pytest
import sweep_folders
from harness import ROOT

from algoperf import commands
from algoperf.spec import UsageError
from campaign import flags as campaign_flags
from target_setting import procedure_flags, procedures
from target_setting.discovery import Flag, Kind, discover, read_procedure
from target_setting.procedures import run
from target_setting.sweep_jobs import SweepConfig

MADE_UP = '''"""The least result to some power.

It is made up for a test.
"""

from dataclasses import dataclass

import numpy as np

from target_setting.outcome import Outcome


@dataclass(frozen=True, kw_only=True)
class Options:
    """The flags."""

    power: float | None = 1.5
    """Exponent of the
    result."""
    seed: int = 0
    """Seed of nothing."""
    also: tuple[str, ...] = ("a", "b")
    """Texts to print."""


def analyse(selection, options):
    (found,) = selection.results()
    value = np.min(found.costs) ** options.power
    return Outcome(
        table=f"{found.title}: {value:.4f} {options.also}",
        content={"value": value},
        panels=[("least", "x", "y", lambda go: [go.Bar(x=[1], y=[value])])],
        title="Made up",
    )
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A second folder of procedures, with one in it."""
    added = tmp_path / "procedures"
    added.mkdir()
    (added / "made_up.py").write_text(MADE_UP)
    monkeypatch.setattr(procedures, "__path__", [*procedures.__path__, str(added)])
    return added


def run_script_with(folder, *arguments):
    """`set_targets.py` in a process that looks for procedures in one more folder."""
    code = (
        "import runpy, sys\n"
        "from target_setting import procedures\n"
        f"procedures.__path__.append({str(folder)!r})\n"
        f"sys.argv = ['set_targets.py', *{[*map(str, arguments)]!r}]\n"
        "runpy.run_path('set_targets.py', run_name='__main__')"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)


# ---- one more file ------------------------------------------------------------------------------------------------


def test_a_file_is_a_procedure_with_its_flags(folder):
    found = discover()
    assert list(found) == [*procedures.LISTED_FIRST, "made_up"]
    made_up = found["made_up"]
    assert made_up.summary == "The least result to some power."
    assert made_up.flags == (
        Flag("power", Kind.FLOAT, 1.5, "Exponent of the result."),
        Flag("seed", Kind.INTEGER, 0, "Seed of nothing."),
        Flag("also", Kind.LIST, ("a", "b"), "Texts to print."),
    )
    assert not made_up.starts_trials
    assert "target_setting.procedures.made_up" not in sys.modules, "read, and not imported"


def test_the_command_lists_it_and_takes_its_flags(folder, tmp_path):
    sweep_folders.write_sweep(tmp_path / "sweep", "adam", {"criteo1tb_mini": [0.3, 0.1]})
    shown = " ".join(run_script_with(folder, "--help").stdout.split())
    assert "with intervals made_up the least result to some power The sweep folder" in shown
    assert "--power=X made_up: exponent of the result. [1.5]" in shown
    assert "--seed=N budgets: seed of the sampling; made_up: seed of nothing. [0]" in shown
    sweep_dir = f"--sweep_dir={tmp_path / 'sweep'}"
    done = run_script_with(folder, "made_up", sweep_dir, "--power=3", "--also=c")
    assert (done.returncode, done.stderr) == (0, "")
    assert "adam, criteo1tb_mini: 0.0010 ('c',)" in done.stdout
    assert (tmp_path / "sweep" / "target_setting" / "made_up.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["budgets", "--power=3"], "--power means nothing to budgets; it has --sweep_dir, "),
        (["made_up", "--size=3"], "--framework, --power, --seed, --also."),
        (["made_up", "--quiet"], "--quiet means nothing to made_up"),
        (["made_up", "--power=high"], "--power"),
    ],
)
def test_flags_of_one_procedure_are_refused_for_others(folder, arguments, words):
    done = run_script_with(folder, *arguments, "--sweep_dir=x")
    assert words in done.stderr
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, "")


def test_a_procedure_may_start_trials_and_then_has_their_flags(folder):
    text = MADE_UP.replace("def analyse(selection, options):", "def start(common, options, how):")
    (folder / "made_up.py").write_text(text)
    assert discover()["made_up"].starts_trials
    own = procedure_flags.names_of(discover()["made_up"])
    assert own == ["power", "seed", "also", *campaign_flags.NAMES]
    shown = " ".join(run_script_with(folder, "--help").stdout.split())
    assert "--[no]quiet run, made_up: Print only the end." in shown


# ---- the procedures that there are -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", discover())
def test_every_procedure_declares_what_its_options_are(name):
    procedure = discover()[name]
    assert procedure.summary.endswith(".")
    fields = {field.name: field.default for field in dataclasses.fields(procedure.module().Options)}
    assert {flag.name: flag.default for flag in procedure.flags} == fields, "none is inherited, or computed"
    for flag in procedure.flags:
        assert len(flag.help) > 10, flag
        assert flag.help.endswith("."), flag
    assert procedure.module().Options() == procedure.module().Options(**fields)


def test_a_sweep_has_the_defaults_of_the_flags():
    of_flags = {field.name: field.default for field in dataclasses.fields(run.Options)}
    of_sweeps = {field.name: field.default for field in dataclasses.fields(SweepConfig)}
    assert of_flags.items() - of_sweeps.items() == {("workload", None)}


def test_no_flag_is_declared_in_two_ways(folder):
    assert discover(), "else it raises"
    (folder / "made_up.py").write_text(MADE_UP.replace("seed: int = 0", "seed: int = 1"))
    with pytest.raises(
        UsageError, match="--seed of made_up is integer 1 by default, and of budgets integer 0"
    ):
        discover()
    (folder / "made_up.py").write_text(MADE_UP.replace("power:", "workloads:"))
    with pytest.raises(UsageError, match="--workloads is a flag for more than one procedure"):
        procedure_flags.define(discover())


# ---- what a file must declare --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (MADE_UP.split("\n\nfrom")[0], "", "has no docstring"),
        ("class Options", "class Choices", "has no class Options"),
        ("def analyse", "def analyze", r"defines neither of analyse\(\) and start\(\)"),
        ("def analyse", "def start(): pass\ndef analyse", r"defines analyse and start of"),
        ('"""Seed of nothing."""', "", "seed has no docstring, which is the help of its flag"),
        ("seed: int = 0", "seed: int", "line 20: seed has no default"),
        ("seed: int = 0", "seed: int = SEED", "seed has a default that is not written out"),
        ("seed: int = 0", "seed: complex = 0", "seed is a complex; flags are str, int, "),
    ],
)
def test_what_a_file_lacks_is_named(folder, old, new, words):
    path = folder / "made_up.py"
    assert old in MADE_UP
    path.write_text(MADE_UP.replace(old, new, 1))
    with pytest.raises(UsageError, match=words) as raised:
        read_procedure(path)
    assert str(path) in str(raised.value)


def test_a_file_that_is_no_python_is_one_line_and_no_traceback(folder, capsys):
    path = folder / "made_up.py"
    path.write_text("def analyse(:\n")
    with pytest.raises(SystemExit) as ended:
        commands.before_flags(discover)
    assert ended.value.code == commands.EXIT_USAGE
    said = capsys.readouterr().err
    assert said.startswith(f"error: {path} is no valid Python (line 1: ")
    assert said.count("\n") == 1


def test_two_procedures_of_one_name_are_refused(folder):
    (folder / "budgets.py").write_text(MADE_UP)
    with pytest.raises(UsageError, match=r"budgets\.py is the second procedure called 'budgets'"):
        discover()
