"""Finds the subcommand that is asked for, and runs it; imports no other."""

import os
import runpy
import sys
from collections.abc import Callable, Sequence

from algoperf.cli.table import TABLE, command_at

PROGRAM = "algoperf"


def main() -> None:
    """What the command `algoperf` and `python -m algoperf` do; ends the process with an exit code."""
    if "_ARGCOMPLETE" in os.environ:
        from algoperf.cli import completion

        completion.answer()
    given = sys.argv[1:]
    if not given or given[0] in ("-h", "-help", "--help", "help"):
        print(usage())
        sys.exit(0 if given else 2)
    if given[0] in ("-V", "--version"):
        print(version())
        sys.exit(0)
    if given[0] not in TABLE:
        from algoperf.commands import print_error
        from algoperf.spec import no_such

        print_error(no_such("command", given[0], TABLE, "`algoperf --help` says what each does"))
        sys.exit(2)
    start(TABLE[given[0]].place, f"{PROGRAM} {given[0]}", given[1:])


def start(place: str, called: str, arguments: Sequence[str]) -> None:
    """Runs a subcommand as what this process is for; ends the process with its exit code.

    Args:
      place: where it is, as in the table.
      called: how it was called, for its texts.
      arguments: after its name.
    """
    found = command_at(place)
    if found is None:
        sys.argv = [called, *arguments]
        runpy.run_module(place, run_name="__main__", alter_sys=True)
        sys.exit(0)

    from algoperf.cli import command

    if isinstance(found, command.Command):
        command.start(found, called, arguments)
    else:
        function: Callable[[Sequence[str]], int | None] = found
        sys.exit(function(list(arguments)) or 0)


def script(place: str) -> None:
    """What a script in the repository's root does: a subcommand, under the name of the script."""
    start(place, f"python {sys.argv[0]}", sys.argv[1:])


def usage() -> str:
    """What `algoperf --help` prints."""
    width = max(map(len, TABLE)) + 3
    lines = [f"  {name:{width}}{entry.summary}" for name, entry in TABLE.items()]
    return "\n".join(
        [
            "How long does a training algorithm take to reach a target that others set?",
            "",
            f"    {PROGRAM} compare nadamw nesterov --workload=digits --framework=pytorch",
            "",
            "Commands:",
            *lines,
            "",
            f"`{PROGRAM} <command> --help` lists a command's flags.",
        ]
    )


def version() -> str:
    """The version of this package, as it was installed."""
    from importlib import metadata

    try:
        return f"{PROGRAM} {metadata.version(PROGRAM)}"
    except metadata.PackageNotFoundError:
        return f"{PROGRAM}, not installed"
