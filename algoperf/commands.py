"""What the entry scripts share around their `main`."""

import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from absl import app, flags

from algoperf.spec import UsageError


def run(main: Callable[[Sequence[str]], Any]) -> None:
    """Runs `main` as absl does; what the user can put right is one line on stderr and exit code 2."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends quietly.
    app.run(_guarded(main), flags_parser=_guarded(flags.FLAGS))


def continuable(function: Callable[[], int | None]) -> int:
    """The exit code of a command that can be stopped by a signal and run again."""
    from algoperf.run.runner import EXIT_SIGNAL_BASE
    from algoperf.run.training import Interrupted

    try:
        return function() or 0
    except Interrupted as stop:
        print("Stopped; the same command continues from here.", file=sys.stderr)
        return EXIT_SIGNAL_BASE + stop.signal_number


def _guarded(function: Callable[[Sequence[str]], Any]) -> Callable[[Sequence[str]], Any]:
    def call(argv: Sequence[str]) -> Any:
        try:
            return function(argv)
        except (UsageError, flags.Error) as error:
            print(f"{Path(sys.argv[0]).name}: {' '.join(str(error).split())}", file=sys.stderr)
            sys.exit(2)

    return call
