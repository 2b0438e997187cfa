"""How SIGINT and SIGTERM stop a trial: after the step that is under way, with a checkpoint."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from algoperf.run.training import TrainingLoop


@contextmanager
def stopping(loop: TrainingLoop) -> Iterator[None]:
    """SIGINT and SIGTERM ask the loop to stop at the next step; a second SIGINT stops at once."""

    def ask(number: int, frame: FrameType | None) -> None:
        del frame
        if loop.stop_signal and number == signal.SIGINT:
            raise KeyboardInterrupt
        loop.stop_signal = number
        with suppress(OSError):  # Whoever read it may be gone, which is why we are asked.
            print("\nStopping after this step; a checkpoint will be written.", file=sys.stderr)

    try:
        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # Not in the main thread: whoever runs us there handles signals.
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
