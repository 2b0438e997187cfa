"""The command `algoperf`: what each subcommand says of itself, and that nothing is imported for it too early."""

import importlib
import subprocess
import sys

import pytest
from absl import flags
from harness import ROOT

from algoperf import settings
from algoperf.cli import command, help, main
from algoperf.cli.table import TABLE

COMMANDS = [name for name, entry in TABLE.items() if entry.place.startswith("algoperf.cli.")]


def command_of(name):
    module, _, member = TABLE[name].place.partition(":")
    return getattr(importlib.import_module(module), member)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_and_its_own_flags_alone(name, capsys):
    own = command_of(name)
    assert command.call(own, ["--help"], f"algoperf {name}") == 0
    shown = capsys.readouterr().out
    assert f"algoperf {name}" in shown
    assert "{command}" not in shown
    for flag in own.defined(flags.FlagValues()):
        assert f"--{flag}" in shown or f"--[no]{flag}" in shown, flag
    assert "--helpfull" not in shown
    assert "pdb" not in shown
    for names in own.groups.values():
        assert set(names) <= set(own.defined(flags.FlagValues())), "a group names what is no flag"


def test_most_settings_of_a_run_have_a_place_in_its_help():
    shown = command_of("run").help("algoperf run", command_of("run").defined(flags.FlagValues()))
    rest = shown.partition(f"\n{help.REST}:\n")[2]
    assert rest.count("--") < len(settings.marks()) / 4


def test_help_of_campaigns_shows_how_trials_are_run():
    shown = command_of("benchmark").help(
        "algoperf benchmark", command_of("benchmark").defined(flags.FlagValues())
    )
    for flag in ("--[no]plan", "--[no]status", "--workers=N"):
        assert flag in shown


def test_the_list_of_commands_imports_none_of_them():
    code = "import sys; sys.argv = ['algoperf', '--help']\nfrom algoperf.cli.main import main\n"
    code += "try: main()\nexcept SystemExit: pass\nprint('imported', *sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    for name, entry in TABLE.items():
        assert f"  {name} " in done.stdout
        assert entry.summary in done.stdout
    imported = set(done.stdout.rpartition("imported")[2].split())
    assert not imported & {"absl", "numpy", "jax", "torch", "algoperf.settings", "algoperf.cli.run"}


def test_a_mistyped_command_gets_the_nearest(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["algoperf", "scor"])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 2
    assert "the nearest is 'score'" in capsys.readouterr().err
