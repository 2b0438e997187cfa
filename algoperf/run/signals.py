"""SIGINT and SIGTERM stop a trial after the current step, with a checkpoint."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from algoperf.run.training import TrainingLoop


@contextmanager
def stopping(loop: TrainingLoop, promise: Callable[[], str]) -> Iterator[None]:
    """SIGINT and SIGTERM ask the loop to stop at the next step; a second SIGINT stops at once.

    Args:
      loop: that runs.
      promise: what will become of the trial's state, for people.
    """

    def ask(number: int, frame: FrameType | None) -> None:
        del frame
        if loop.stop_signal and number == signal.SIGINT:
            raise KeyboardInterrupt
        loop.stop_signal = number
        # Whoever read it may be gone, which is why we are asked; or the signal came in the middle of another print.
        with suppress(OSError, RuntimeError):
            print(f"\nStopping after this step; {promise()}.", file=sys.stderr)

    try:
        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    # Python sets handlers in the main thread only; a caller in another thread handles signals itself.
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
