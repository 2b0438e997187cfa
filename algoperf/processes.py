"""Runs of several processes: where hosts meet, what process 0 decides for all, and how all end when one fails."""

import contextlib
import dataclasses
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import TypeVar

from algoperf.backends.base import Backend
from algoperf.spec import UsageError
from algoperf.training import Interrupted

T = TypeVar("T")

POLL_SEC = 0.5
FAREWELL_SEC = 5.0
"""How long process 0, which others may depend on for the news, waits for them before it ends."""
EXIT_FAILED, EXIT_USAGE = 1, 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hosts:
    """Where the processes of a run on several hosts meet; the same on each but for `host_id`."""

    coordinator: str
    """host:port of host 0, or 'auto' where the cluster's environment (Slurm, Open MPI, TPU pods) says it."""
    num_hosts: int | None = None
    host_id: int | None = None
    """From 0."""
    timeout_sec: int = 300
    """How long to wait for the other hosts."""

    def __post_init__(self) -> None:
        if self.timeout_sec < 1:
            raise UsageError(f"--hosts_timeout_sec must be at least 1, got {self.timeout_sec}.")
        if self.coordinator == "auto":
            if (self.num_hosts, self.host_id) != (None, None):
                raise UsageError(
                    "--coordinator=auto takes the number of hosts from the cluster's environment: leave out "
                    "--num_hosts and --host_id, or name the coordinator as host:port."
                )
            return
        host, _, port = self.coordinator.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
            raise UsageError(
                f"--coordinator must be host:port of host 0, for example node0:1234, or auto; got {self.coordinator!r}."
            )
        if self.num_hosts is None or self.host_id is None:
            raise UsageError(
                f"--coordinator={self.coordinator} needs --num_hosts and --host_id, on host 0 --host_id=0."
            )
        if not 0 <= self.host_id < self.num_hosts:
            raise UsageError(
                f"--host_id={self.host_id} must be one of 0 to {self.num_hosts - 1} with --num_hosts={self.num_hosts}."
            )

    @classmethod
    def from_flags(
        cls, coordinator: str | None, num_hosts: int | None, host_id: int | None, timeout_sec: int
    ) -> "Hosts | None":
        """None without --coordinator.

        Raises:
          UsageError: for flags that do not fit together.
        """
        if coordinator:
            return cls(coordinator=coordinator, num_hosts=num_hosts, host_id=host_id, timeout_sec=timeout_sec)
        for name, value in (("num_hosts", num_hosts), ("host_id", host_id)):
            if value is not None:
                raise UsageError(f"--{name}={value} needs --coordinator=<host:port of host 0>.")
        return None


def from_first(backend: Backend, make: Callable[[], T]) -> T:
    """What `make` gives on process 0, on every process; its UsageError is raised on all."""
    if backend.num_processes == 1:
        return make()
    value, problem = None, None
    if backend.process_index == 0:
        try:
            value = make()
        except UsageError as error:
            problem = str(error)
    value, problem = backend.exchange.broadcast((value, problem))
    if problem is not None:
        raise UsageError(problem)
    return value


class Together:
    """Ends all processes of a run when one of them fails; nothing happens with a single process.

    A process that waits for one that is gone may wait for ever. So the one that fails says why first, and a thread of
    each other looks for such news and ends its process.

    Args:
      backend: carries the news.
    """

    def __init__(self, backend: Backend):
        self._backend = backend
        self._closed = threading.Event()
        self._ending = threading.Lock()
        self.has_failed = False
        self.record: Callable[[str], None] = lambda reason: None
        """Called with the reason on a process that ends because another has failed."""
        if backend.num_processes > 1:
            self._watch = threading.Thread(target=self._look, name="failures", daemon=True)
            self._watch.start()

    def _look(self) -> None:
        while not self._closed.wait(POLL_SEC):
            reason = self._backend.exchange.failure()
            if reason is None:
                continue
            with self._ending:
                if self._closed.is_set():
                    return
                print(f"error: {_first_line(reason)}", file=sys.stderr)
                with contextlib.suppress(Exception):  # We end, recorded or not.
                    self.record(reason)
                return leave(self._backend, EXIT_FAILED)

    def announce(self, reason: str) -> str:
        """Tells the others that this process has failed; returns the reason of the first that did."""
        if self._backend.num_processes == 1:
            return reason
        with self._ending:
            self._closed.set()
            self.has_failed = True
            first = self._backend.exchange.announce_failure(
                f"process {self._backend.process_index}: {reason}"
            )
        if not first.endswith(reason):
            print(f"error: {_first_line(first)}", file=sys.stderr)
        return first

    def close(self) -> None:
        """Stops looking."""
        self._closed.set()


def leave(backend: Backend, exit_code: int) -> None:
    """Ends this process at once: exit handlers would wait for processes that are stuck."""
    sys.stdout.flush()
    sys.stderr.flush()
    with contextlib.suppress(Exception):
        left = backend.exchange.count_farewell()
        end = time.monotonic() + FAREWELL_SEC
        while backend.process_index == 0 and left < backend.num_processes and time.monotonic() < end:
            time.sleep(0.05)
            left = backend.exchange.count_farewell(0)
    os._exit(exit_code)


@contextlib.contextmanager
def ending_together(backend: Backend) -> Iterator[Together]:
    """Around a trial; an error that leaves it on one process ends all with exit code 1 or, for UsageError, 2."""
    together = Together(backend)
    try:
        yield together
    except Exception as error:
        if backend.num_processes == 1 or isinstance(error, Interrupted):  # All agreed on an interruption.
            raise
        is_usage = isinstance(error, UsageError)
        text = str(error) if is_usage else traceback.format_exc()
        first = together.announce(text)
        if first.startswith(f"process {backend.process_index}:") or not first.endswith(text):
            print(f"error: {text}", file=sys.stderr)
        leave(backend, EXIT_USAGE if is_usage else EXIT_FAILED)
    finally:
        together.close()


def _first_line(text: str) -> str:
    """The line that says what happened: of a traceback the last one."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    head = lines[0].partition(":")[0]
    return lines[0] if len(lines) == 1 else f"{head}: {lines[-1]}"
