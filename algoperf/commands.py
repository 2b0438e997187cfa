"""What all entry scripts share: parsing of the command line, the form of error messages, exit codes."""

import itertools
import re
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from absl import app, flags

from algoperf import output
from algoperf.files import NOT_ALLOWED, FolderGoneError, StorageError
from algoperf.spec import Interrupted, UsageError

EXIT_FAILED = 1
"""A trial or another part of the command has failed."""
EXIT_USAGE = 2
"""Wrong input."""
EXIT_STORAGE = 74
"""The disk is full or broken, EX_IOERR of sysexits.h: the same command goes on once that is mended."""
EXIT_SIGNAL_BASE = 128
"""A command stopped by signal n ends with 128 + n, as in shells."""

ROOT = Path(__file__).resolve().parents[1]
"""The folder of all packages of this project: that of the repository, or where they are installed."""

T = TypeVar("T")
Main = Callable[[Sequence[str]], int | None]


def run(
    main: Main,
    max_arguments: int = 0,
    ends_with_its_reader: bool = True,
    arguments: str = "",
    argv: Sequence[str] | None = None,
    help_text: Callable[[], str] | None = None,
) -> None:
    """Runs a script's `main` and ends the process with its exit code.

    Args:
      main: takes the arguments without flags, the script's name first; returns the exit code, None for 0.
      max_arguments: how many arguments beside flags it takes.
      arguments: what they are, as in 'one folder of submissions'; said when there are too many.
      ends_with_its_reader: whether the process ends when nobody reads what it prints any more, as in `| head`. Else
        nothing that happens to its output ends it: what trains goes on when a log collector dies or a disk is full.
      argv: how it was called, and the arguments; those of the process by default.
      help_text: gives what --help prints, in place of the text of absl.
    """
    output.settle(lasting=not ends_with_its_reader)
    if ends_with_its_reader:
        # Python ignores SIGPIPE and would end with a traceback of BrokenPipeError instead.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)

    def guarded(argv: Sequence[str]) -> int:
        return exit_code_of(lambda: main(checked(argv, max_arguments, arguments)))

    # absl's own parser prints "FATAL Flags parsing error" and ends with exit code 1, as if a trial had failed.
    def parse(words: Sequence[str]) -> list[str]:
        if help_text is not None and asks_for_help(words[1:]):
            print(help_text())
            sys.exit(0)
        return _parsed(words)

    app.run(guarded, argv=None if argv is None else list(argv), flags_parser=parse)


def trial_command() -> tuple[str, ...]:
    """What begins the command line of a process that runs one trial, before its flags.

    In the repository the script, which finds the packages beside it from any working directory. Where this is installed
    they are found anyway; -P keeps the files of the working directory from taking the place of Python's own.
    """
    door = ROOT / "submission_runner.py"
    return (sys.executable, str(door)) if door.is_file() else (sys.executable, "-P", "-m", "algoperf", "run")


def exit_code_of(function: Callable[[], int | None]) -> int:
    """The exit code that a function comes to; what the user or the system can put right is one line on stderr."""
    try:
        return function() or 0
    except (UsageError, FolderGoneError) as error:
        print_error(error)
        return EXIT_USAGE
    except StorageError as error:
        print_error(error)
        return EXIT_STORAGE
    except OSError as error:
        if error.errno not in NOT_ALLOWED or error.filename is None:
            raise
        print_error(
            f"Cannot use {error.filename} ({error.strerror}): give another path, or the right to use this one."
        )
        return EXIT_USAGE
    except Interrupted as stop:
        print(f"Stopped; the same command {stop.goes_on}.", file=sys.stderr)
        return EXIT_SIGNAL_BASE + stop.signal_number
    except KeyboardInterrupt:
        return EXIT_SIGNAL_BASE + signal.SIGINT


def before_flags(function: Callable[[], T]) -> T:
    """What a function returns that flags are made of; what the user can put right ends the process as in `run`."""
    try:
        return function()
    except UsageError as error:
        print_error(error)
        sys.exit(EXIT_USAGE)


def print_error(error: Exception | str) -> None:
    """One line on stderr, whatever line breaks the message has."""
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Whether --help is among the arguments before `--`."""
    ahead = itertools.takewhile(lambda word: word != "--", arguments)
    return any(word in ("-h", "-help", "--help", "--helpshort") for word in ahead)


def checked(argv: Sequence[str], max_arguments: int, arguments: str) -> Sequence[str]:
    """The arguments that are no flags; UsageError if there are too many. See `run`."""
    given = argv[1:]
    if given and not max_arguments:
        raise UsageError(f"Unexpected argument {given[0]!r}: settings are given as --name=value; see --help.")
    if len(given) > max_arguments:
        wanted = arguments or f"at most {max_arguments} arguments beside flags"
        raise UsageError(f"Give {wanted}, got {len(given)}: {', '.join(given)}.")
    return argv


def _parsed(argv: Sequence[str]) -> list[str]:
    """The arguments without flags, which are set; as absl's own parser, with errors in the form of all others."""
    try:
        return parsed(argv, flags.FLAGS)
    except UsageError as error:
        print_error(error)
        sys.exit(EXIT_USAGE)
    except SystemExit as shown:
        if shown.code == 1:  # With which absl ends after --help; who asked for it has got what was wanted.
            sys.exit(0)
        raise


def parsed(argv: Sequence[str], given: flags.FlagValues) -> list[str]:
    """Sets flags from a command line; returns its other arguments, the first of which is how it was called.

    Raises:
      UsageError: for what it does not take.
    """
    try:
        return given(argv)
    except flags.Error as error:
        raise UsageError(_of_flag(str(error), given)) from None


def _of_flag(found: str, given: flags.FlagValues) -> str:
    """What absl says of a flag, as a sentence that names the next step."""
    parts = re.match(r"flag --(\w+)=(.*?): ", found, re.DOTALL)
    if parts is None or parts[1] not in given:
        return f"{found.rstrip('.')}; see --help."
    name, value = parts.groups()
    flag = given[name]
    if value == "None":
        return f"--{name} is missing: give --{name}=<value>. {flag.help}"
    wanted = {"bool": "true or false", "int": "a whole number", "float": "a number"}.get(flag.flag_type())
    return (
        f"--{name} must be {wanted}, got {value!r}; see --help."
        if wanted
        else f"{found.rstrip('.')}; see --help."
    )
