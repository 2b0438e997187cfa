"""Runs of several processes: what process 0 decides for all, and how all end when one fails."""

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
from algoperf.commands import EXIT_FAILED, EXIT_SIGNAL_BASE, EXIT_USAGE
from algoperf.spec import Interrupted, UsageError

T = TypeVar("T")

POLL_SEC = 0.5  # One request to the store each time; a failure may well be told so much later.
GRACE_PERIOD_SEC = 5.0
"""How long process 0, whose store others may ask for the failure, waits for them to depart before it ends."""
EXIT_CODES = {"": EXIT_FAILED, "wrong input": EXIT_USAGE, "stopped": EXIT_SIGNAL_BASE + signal.SIGINT}
"""How a process ended -> exit code of all; only '', a failure, is recorded."""
ANNOUNCED = re.compile(r"process (\d+)(?: \(([a-z ]+)\))?: ")


def from_first(backend: Backend, make: Callable[[], T]) -> T:
    """What `make` gives on process 0, on every process; its UsageError is raised on all."""
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
    """To be called by all processes at once; costs nothing with a single one.

    Raises:
      UsageError: on all processes, if one of them was started with other settings than process 0.
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
    """Ends all processes of a run when one of them fails; nothing happens with a single process.

    A process that waits for one that is gone may wait for ever. So the one that fails announces why first, and a thread
    of each other polls for failures and ends its process.

    Args:
      backend: carries the announcements.
    """

    def __init__(self, backend: Backend):
        self._backend = backend
        self._closed = threading.Event()
        self._ending = threading.Lock()
        self.has_failed = False
        self.record: Callable[[str], None] = lambda reason: None
        """Called with the reason on a process that ends because one has failed; not for wrong input."""
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
                print(f"error: {_first_line(reason)}", file=sys.stderr)
                return self.leave(reason)

    def leave(self, announced: str) -> None:
        """Ends this process because of what one has announced; a failure is recorded."""
        how = _announced(announced)[1]
        if not how:
            with contextlib.suppress(Exception):  # We end, recorded or not.
                self.record(announced)
        leave(self._backend, EXIT_CODES[how])

    def announce(self, reason: str, how: str = "") -> str:
        """Tells the others that this process has failed; returns the reason of the first that did.

        Args:
          reason: text for people.
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
            print(f"error: {_first_line(first)}", file=sys.stderr)
        return first

    def close(self) -> None:
        """Stops polling."""
        self._closed.set()


def leave(backend: Backend, exit_code: int) -> None:
    """Ends this process at once: exit handlers would wait for processes that are stuck."""
    sys.stdout.flush()
    sys.stderr.flush()
    with contextlib.suppress(Exception):
        departed = exchange_of(backend).count_departed()
        end = time.monotonic() + GRACE_PERIOD_SEC
        while backend.process_index == 0 and departed < backend.num_processes and time.monotonic() < end:
            time.sleep(0.05)
            departed = exchange_of(backend).count_departed(0)
    os._exit(exit_code)


@contextlib.contextmanager
def watch_failures(backend: Backend) -> Iterator[FailureWatcher]:
    """Around a trial; what leaves it on one process ends all: exit code 1 or, for UsageError, 2, for Ctrl-C 130."""
    failures = FailureWatcher(backend)
    try:
        with _sigterm_grace_period(backend):
            yield failures
    except BaseException as error:
        if backend.num_processes == 1 or isinstance(error, Interrupted):  # All agreed on an interruption.
            raise
        kinds: dict[type[BaseException], str] = {UsageError: "wrong input", KeyboardInterrupt: "stopped"}
        how = next((name for kind, name in kinds.items() if isinstance(error, kind)), "")
        text = traceback.format_exc() if how == "" else str(error) or "stopped"
        first = failures.announce(text, how)
        if _announced(first)[0] == backend.process_index or not first.endswith(text):
            print(f"error: {text}", file=sys.stderr)
        failures.leave(first)
    finally:
        failures.close()


@contextlib.contextmanager
def _sigterm_grace_period(backend: Backend) -> Iterator[None]:
    """Within, SIGTERM ends process 0 a moment later: a launcher sends it as soon as another process has failed."""
    in_main_thread = threading.current_thread() is threading.main_thread()  # Others cannot handle signals.
    if backend.num_processes == 1 or backend.process_index or not in_main_thread:
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        # Meanwhile the failure watcher records why and ends this process.
        time.sleep(3 * POLL_SEC)
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _announced(text: str) -> tuple[int, str]:
    """Number of the process that announced a failure, and how it ended, one of `EXIT_CODES`."""
    found = ANNOUNCED.match(text)
    assert found is not None
    return int(found[1]), found[2] or ""


def _first_line(text: str) -> str:
    """The line that says what happened: of a traceback the last one."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    head = lines[0].partition(":")[0]
    return lines[0] if len(lines) == 1 else f"{head}: {lines[-1]}"
