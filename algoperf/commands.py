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


def _guarded(function: Callable[[Sequence[str]], Any]) -> Callable[[Sequence[str]], Any]:
    def call(argv: Sequence[str]) -> Any:
        try:
            return function(argv)
        except (UsageError, flags.Error) as error:
            print(f"{Path(sys.argv[0]).name}: {' '.join(str(error).split())}", file=sys.stderr)
            sys.exit(2)

    return call
