"""Runs of several processes: decisions of process 0 for all, and the end of all when one fails."""

import contextlib
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import TypeVar, cast

from algoperf.backends.base import Backend, exchange_of
from algoperf.commands import EXIT_FAILED, EXIT_SIGNAL_BASE, EXIT_STORAGE, EXIT_USAGE
from algoperf.files import StorageError
from algoperf.spec import Interrupted, UsageError

T = TypeVar("T")
Speaker = Callable[[str, str], None]
"""See `FailureWatcher`."""

POLL_SEC = 0.5  # Each poll is a request to the store; a failure may be noticed half a second late.
GRACE_PERIOD_SEC = 5.0
"""How long process 0 waits for the others to end first: they read the failure from a store in its process."""
WRONG_INPUT = "wrong input"
EXIT_CODES = {
    "": EXIT_FAILED,
    WRONG_INPUT: EXIT_USAGE,
    "no storage": EXIT_STORAGE,
    "stopped": EXIT_SIGNAL_BASE + signal.SIGINT,
}
"""How a process ended -> exit code of all processes; '' stands for a failure, which alone is recorded."""
ANNOUNCED = re.compile(r"process (\d+)(?: \(([a-z ]+)\))?: ")


def from_first(backend: Backend, make: Callable[[], T]) -> T:
    """Calls `make` on process 0 and returns its result on every process; a UsageError is raised on all."""
    if backend.num_processes == 1:
        return make()
    value: T | None = None
    problem: str | None = None
    if backend.process_index == 0:
        try:
            value = make()
        except UsageError as error:
            problem = str(error)
    value, problem = exchange_of(backend).broadcast((value, problem))
    if problem is not None:
        raise UsageError(problem)
    return cast(T, value)


def check_same_settings(backend: Backend, settings: Mapping[str, object]) -> None:
    """Compares the settings of all processes, which must call it together; does nothing in a run of one process.

    Raises:
      UsageError: on all processes, if the settings of one of them differ from process 0's.
    """
    if backend.num_processes == 1:
        return
    first, *others = exchange_of(backend).gather(dict(settings))
    for index, other in enumerate(others, start=1):
        for key, value in first.items():
            if other.get(key) != value:
                raise UsageError(
                    f"Process {index} was started with another {key} ({other.get(key)!r}) than process 0 "
                    f"({value!r}): start the same command, with the same files, on every host."
                )


class FailureWatcher:
    """Ends all processes of a run when one of them fails; does nothing in a run of one process.

    A process that waits for a dead one may wait for ever. So a process that fails first announces the reason, and in
    each other process a thread polls for announcements and ends its process.

    Args:
      backend: its exchange carries the announcements.
      speaker: told the reason and the kind (of `EXIT_CODES`) when this process ends because one has failed, in place
        of records and of what it would print.
    """

    def __init__(self, backend: Backend, speaker: Speaker | None = None):
        self._backend, self._speaker = backend, speaker
        self._closed = threading.Event()
        # Only one of two may end this process: the polling thread, or the main thread with an error of its
        # own.
        self._ending = threading.Lock()
        self.has_failed = False
        self.record: Callable[[str], None] = lambda reason: None
        """Called with the reason when this process ends because one has failed; not called for wrong input."""
        if backend.num_processes > 1:
            self._watch = threading.Thread(target=self._poll, name="failure-watcher", daemon=True)
            self._watch.start()

    def _poll(self) -> None:
        while not self._closed.wait(POLL_SEC):
            reason = exchange_of(self._backend).failure()
            if reason is None:
                continue
            with self._ending:
                if self._closed.is_set():
                    return
                self.tell(_first_line(reason))
                return self.leave(reason)

    def leave(self, announced: str) -> None:
        """Ends this process because of an announcement; a failure is recorded first."""
        how = _announced(announced)[1]
        with contextlib.suppress(Exception):  # A failed record must not keep the process from ending.
            if self._speaker is not None:
                self._speaker(announced, how)
            elif not how:
                self.record(announced)
        leave(self._backend, EXIT_CODES[how])

    def announce(self, reason: str, how: str = "") -> str:
        """Tells the others that this process has failed; returns the first announced reason.

        Args:
          reason: what happened, for people.
          how: one of `EXIT_CODES`.
        """
        if self._backend.num_processes == 1:
            return reason
        with self._ending:
            self._closed.set()
            self.has_failed = True
            head = f"process {self._backend.process_index}" + (f" ({how})" if how else "")
            first = exchange_of(self._backend).announce_failure(f"{head}: {reason}")
        if not first.endswith(reason):
            self.tell(_first_line(first))
        return first

    def tell(self, text: str) -> None:
        """Prints an error, unless somebody else is told."""
        if self._speaker is None:
            print(f"error: {text}", file=sys.stderr)

    def close(self) -> None:
        """Stops polling."""
        self._closed.set()


def leave(backend: Backend, exit_code: int) -> None:
    """Ends this process at once, without exit handlers, which would wait for stuck processes."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # Nobody may be there to read it.
            stream.flush()
    with contextlib.suppress(Exception):
        departed = exchange_of(backend).count_departed()
        end = time.monotonic() + GRACE_PERIOD_SEC
        while backend.process_index == 0 and departed < backend.num_processes and time.monotonic() < end:
            time.sleep(0.05)
            departed = exchange_of(backend).count_departed(0)
    getattr(os._exit, "real", os._exit)(
        exit_code
    )  # While a submission is loaded, `exits.refused` has its own.


@contextlib.contextmanager
def watch_failures(backend: Backend, speaker: Speaker | None = None) -> Iterator[FailureWatcher]:
    """Around a trial; what leaves it on one process ends all, with its exit code: 1 or one of `EXIT_CODES`."""
    failures = FailureWatcher(backend, speaker)
    try:
        with _sigterm_grace_period(backend):
            yield failures
    except BaseException as error:
        # All processes have agreed on an interruption, so nobody waits.
        if backend.num_processes == 1 or isinstance(error, Interrupted):
            raise
        kinds: dict[type[BaseException], str] = {
            UsageError: WRONG_INPUT,
            StorageError: "no storage",
            KeyboardInterrupt: "stopped",
        }
        how = next((name for kind, name in kinds.items() if isinstance(error, kind)), "")
        text = traceback.format_exc() if how == "" else str(error) or "stopped"
        first = failures.announce(text, how)
        if _announced(first)[0] == backend.process_index or not first.endswith(text):
            failures.tell(text)
        failures.leave(first)
    finally:
        failures.close()


@contextlib.contextmanager
def _sigterm_grace_period(backend: Backend) -> Iterator[None]:
    """Context in which SIGTERM ends process 0 with a delay: torchrun sends it when another process has failed."""
    in_main_thread = threading.current_thread() is threading.main_thread()  # Python sets handlers only there.
    if backend.num_processes == 1 or backend.process_index or not in_main_thread:
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        # In the meantime the failure watcher records the reason and ends this process.
        time.sleep(3 * POLL_SEC)
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _announced(text: str) -> tuple[int, str]:
    """(number of the process that announced a failure, how it ended: one of `EXIT_CODES`)."""
    found = ANNOUNCED.match(text)
    assert found is not None
    return int(found[1]), found[2] or ""


def reason_of(announced: str) -> str:
    """The announced reason without the process that has announced it."""
    return announced[len(cast(re.Match[str], ANNOUNCED.match(announced))[0]) :]


def _first_line(text: str) -> str:
    """The line that says what happened; in a traceback that is the last one."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    head = lines[0].partition(":")[0]
    return lines[0] if len(lines) == 1 else f"{head}: {lines[-1]}"
