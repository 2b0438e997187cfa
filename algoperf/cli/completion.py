"""Prints what makes a shell complete this command: names of commands, flags, workloads, suites, submissions.

eval "$({command} bash)"                                     # in ~/.bashrc
eval "$({command} zsh)"                                      # in ~/.zshrc, after compinit
{command} fish > ~/.config/fish/completions/algoperf.fish
"""

import argparse
import os
from collections.abc import Callable, Mapping

from absl import flags

from algoperf.cli import names
from algoperf.cli.command import Command
from algoperf.cli.table import TABLE, command_at
from algoperf.spec import UsageError, no_such

SHELLS = ("bash", "zsh", "fish")
ASKED = "_ARGCOMPLETE"
"""Variable that the shell sets when it wants to know how a command line goes on."""


def _frameworks() -> list[str]:
    from algoperf import frameworks

    return list(frameworks.names())


VALUES: Mapping[str, Callable[[], list[str]]] = {
    "workload": names.workloads,
    "workloads": names.workloads,
    "dataset": names.workloads,
    "suite": names.suites,
    "submission": names.submissions,
    "submissions": names.submissions,
    "framework": _frameworks,
    "tuning_ruleset": lambda: ["external", "self"],
    "ruleset": lambda: ["external", "self"],
}
"""Flag -> names that it takes; of others the shell completes paths."""
ARGUMENTS: Mapping[str, Callable[[], list[str]]] = {
    "compare": names.submissions,
    "data": names.workloads,
    "list": lambda: list(names.KINDS),
    "completion": lambda: list(SHELLS),
}
"""Command -> names that its arguments may be; of others the shell completes paths."""


def define(into: flags.FlagValues) -> None:
    """It has none."""


def main(given: flags.FlagValues, arguments: list[str]) -> None:
    """Prints the code for one shell."""
    del given
    if len(arguments) != 1:
        raise UsageError(f"Say for which shell: algoperf completion {'|'.join(SHELLS)}.")
    (shell,) = arguments
    if shell not in SHELLS:
        raise no_such("shell", shell, SHELLS)
    import argcomplete

    print(argcomplete.shellcode(["algoperf"], shell=shell))


COMMAND = Command(text=__doc__, define=define, main=main, max_arguments=1, arguments="one shell")


# ---- what the shell asks ---------------------------------------------------------------------------------------------


def answer() -> None:
    """Tells the shell how its command line may go on, and ends the process; called where `ASKED` is set."""
    import argcomplete

    line = os.environ.get("COMP_LINE", "").split()
    argcomplete.autocomplete(parser(line[1] if len(line) > 1 else ""), always_complete_options="long")


def parser(name: str) -> argparse.ArgumentParser:
    """The command line as argparse describes it, for completion alone: what is run is parsed by absl.

    Args:
      name: of the command that is being typed; only its flags are looked up, for which it is imported.
    """
    whole = argparse.ArgumentParser(prog="algoperf", add_help=False)
    commands = whole.add_subparsers()
    for other, entry in TABLE.items():
        one = commands.add_parser(other, help=entry.summary, add_help=False)
        if other == name:
            _add_flags(one, name)
    return whole


def _add_flags(one: argparse.ArgumentParser, name: str) -> None:
    found = command_at(TABLE[name].place)
    one.add_argument("--help", action="store_true")
    if not isinstance(found, Command):
        return
    own = found.defined(flags.FlagValues())
    for flag in own:
        if own[flag].flag_type() == "bool":
            one.add_argument(f"--{flag}", f"--no{flag}", action="store_true", help=own[flag].help)
        else:
            _with_names(one.add_argument(f"--{flag}", help=_plain(own[flag].help)), VALUES.get(flag))
    if found.max_arguments:
        _with_names(one.add_argument("arguments", nargs="*"), ARGUMENTS.get(name))


def _plain(text: str | None) -> str:
    return (text or "").replace("%", "%%")


def _with_names(action: argparse.Action, known: Callable[[], list[str]] | None) -> None:
    """Lets the names complete a value; after a comma, the next one of a list."""
    if known is None:
        return

    def complete(prefix: str, **_: object) -> list[str]:
        before, comma, _rest = prefix.rpartition(",")
        return [f"{before}{comma}{one}" for one in known()]

    action.completer = complete  # type: ignore[attr-defined]  # Where argcomplete looks for it.
