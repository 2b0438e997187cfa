"""What a subcommand is, and how one is run: by a process of its own, or within one."""

import contextlib
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, TextIO

from absl import flags

from algoperf import commands
from algoperf.cli import help as help_texts

JSON = "json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """One subcommand: its flags, and the function that they are handed to."""

    text: str
    """For --help; `{command}` stands for how it was called. The first paragraph is a sentence."""
    define: Callable[[flags.FlagValues], None]
    """Defines its flags."""
    main: Callable[[flags.FlagValues, list[str]], int | None]
    """Takes flags and arguments; returns the exit code, None for 0. Below it, functions depend on arguments only."""
    arguments: str = ""
    """What it takes beside flags, as in 'one folder'."""
    max_arguments: int = 0
    lasts: bool = False
    """Whether it goes on when nobody reads its output any more."""
    groups: Mapping[str, Collection[str]] = dataclasses.field(default_factory=dict)
    """Heading -> names of flags, for --help; those of no group come under a heading of their own."""

    def defined(self, into: flags.FlagValues) -> flags.FlagValues:
        """`into`, with the flags of this command."""
        self.define(into)
        return into

    def help(self, called: str, given: flags.FlagValues) -> str:
        """What --help prints.

        Args:
          called: how it was called, as in 'algoperf run'.
          given: has its flags, and may have others.
        """
        own = self.defined(flags.FlagValues())
        names = [name for name in given if name in own]
        return help_texts.text(self.text, called, {name: given[name] for name in names}, self.groups)


def start(command: Command, called: str, arguments: Sequence[str]) -> None:
    """Runs a command as what this process is for, and ends the process with its exit code.

    Its flags are those of the process, as submissions that read `absl.flags.FLAGS` expect.
    """
    commands.before_flags(lambda: command.define(flags.FLAGS))
    commands.run(
        lambda argv: command.main(flags.FLAGS, list(argv[1:])),
        max_arguments=command.max_arguments,
        ends_with_its_reader=not command.lasts,
        arguments=command.arguments,
        argv=[called, *arguments],
        help_text=lambda: command.help(called, flags.FLAGS),
    )


def call(command: Command, arguments: Sequence[str], called: str = "algoperf") -> int:
    """Runs a command within this process, with flags of its own; returns the exit code."""
    given = flags.FlagValues()

    def run() -> int | None:
        command.define(given)
        if commands.asks_for_help(arguments):
            print(command.help(called, given))
            return 0
        rest = commands.parsed([called, *arguments], given)
        return command.main(given, list(commands.checked(rest, command.max_arguments, command.arguments)[1:]))

    return commands.exit_code_of(run)


# ---- results for other programs --------------------------------------------------------------------------------------


def define_json(into: flags.FlagValues) -> None:
    """Defines --json."""
    flags.DEFINE_bool(
        JSON, False, "Print the result as JSON on stdout; everything else goes to stderr.", flag_values=into
    )


def asks_for_json(given: flags.FlagValues) -> bool:
    """Whether --json was given."""
    return bool(given[JSON].value)


@contextlib.contextmanager
def result_stream(is_json: bool) -> Iterator[Callable[[Any], None]]:
    """Within this context, standard output is for one JSON document alone; the value writes it.

    What this process, its children and compiled code print to stdout comes out on stderr.

    Args:
      is_json: whether that was asked for; else nothing changes, and what would be written is dropped.
    """
    if not is_json:
        yield lambda content: None
        return
    before = sys.stdout
    before.flush()
    with _descriptor_of_stdout_is_stderr(before), contextlib.redirect_stdout(sys.stderr):
        found: list[Any] = []
        yield found.append
    from algoperf import records  # numpy; --help does without

    for content in found:
        print(json.dumps(records.as_read(content), indent=1), file=before, flush=True)


@contextlib.contextmanager
def _descriptor_of_stdout_is_stderr(stream: TextIO) -> Iterator[None]:
    """The same for file descriptor 1, which children inherit."""
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 1)
        os.close(kept)
