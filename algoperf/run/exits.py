"""Submissions that end the process: a failure of the trial like any other, with a summary and exit code 1."""

import contextlib
import os
from collections.abc import Iterator
from typing import NoReturn

FAILURES = (Exception, SystemExit, GeneratorExit)
"""What may leave a submission's code and is its failure. Not KeyboardInterrupt, which is the user's."""


class ProcessExitError(Exception):
    """The submission wanted to end the process at once."""


@contextlib.contextmanager
def refused() -> Iterator[None]:
    """Within this context `os._exit` raises in this process, so that a trial cannot end with code 0 and no summary.

    Processes that are forked here still end by it, as those of `multiprocessing` do.
    """
    own, real = os.getpid(), os._exit

    def exit_of_submission(status: int) -> NoReturn:
        if os.getpid() != own:
            real(status)
        raise ProcessExitError(
            f"os._exit({status}) was called; a submission ends its training by raising TrainingCompleteError."
        )

    exit_of_submission.real = real  # type: ignore[attr-defined]  # For the harness itself.
    os._exit = exit_of_submission
    try:
        yield
    finally:
        os._exit = real
