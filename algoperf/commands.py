"""What all entry scripts share around their `main`: parsing, the form of errors, exit codes."""

import signal
import sys
from collections.abc import Callable, Sequence

from absl import app, flags

from algoperf.spec import Interrupted, UsageError

EXIT_FAILED = 1
"""Something that was to be run has failed."""
EXIT_USAGE = 2
"""Wrong input."""
EXIT_SIGNAL_BASE = 128
"""Stopped by signal n: 128 + n, as shells do."""

Main = Callable[[Sequence[str]], int | None]


def run(main: Main, max_arguments: int = 0, ends_with_its_reader: bool = True) -> None:
    """Runs a script's `main` and ends the process with its exit code.

    Args:
      main: gets the command line without flags, its own name first; returns the exit code, None for 0.
      max_arguments: how many arguments beside flags it takes.
      ends_with_its_reader: whether the process ends when nobody reads what it prints any more, as in `| head`.
    """
    if ends_with_its_reader:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)

    def guarded(argv: Sequence[str]) -> int:
        return exit_code_of(lambda: main(_checked(argv, max_arguments)))

    app.run(guarded, flags_parser=_parsed)


def exit_code_of(function: Callable[[], int | None]) -> int:
    """The exit code that a function comes to; what the user can put right is one line on stderr."""
    try:
        return function() or 0
    except UsageError as error:
        print_error(error)
        return EXIT_USAGE
    except Interrupted as stop:
        print("Stopped; the same command continues from here.", file=sys.stderr)
        return EXIT_SIGNAL_BASE + stop.signal_number
    except KeyboardInterrupt:
        return EXIT_SIGNAL_BASE + signal.SIGINT


def print_error(error: Exception | str) -> None:
    """One line on stderr, whatever line breaks the message has."""
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)


def _checked(argv: Sequence[str], max_arguments: int) -> Sequence[str]:
    given = argv[1:]
    if given and not max_arguments:
        raise UsageError(f"Unexpected argument {given[0]!r}: settings are given as --name=value; see --help.")
    if len(given) > max_arguments:
        raise UsageError(
            f"Give at most {max_arguments} argument{'s' * (max_arguments > 1)} beside flags, got {len(given)}: "
            f"{', '.join(given)}."
        )
    return argv


def _parsed(argv: Sequence[str]) -> list[str]:
    """Like absl's own parser, with errors in the form of all others."""
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        print_error(f"{error}; see --help.")
        sys.exit(EXIT_USAGE)
