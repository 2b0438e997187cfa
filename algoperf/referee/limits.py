"""How many processes a submission has, and how much memory: counted by the referee, wherever it runs."""

import contextlib
import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

from algoperf.referee.freeze import Process

PERIOD_SEC = 1.0
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Limits:
    """Counts the processes and threads of a group, and the memory that they hold.

    Args:
      max_tasks: processes and threads.
      memory_bytes: of all together.
    """

    def __init__(self, max_tasks: int, memory_bytes: int):
        self._max_tasks, self._memory_bytes = max_tasks, memory_bytes
        self._next = 0.0

    def is_due(self) -> bool:
        """Whether it is time to count again."""
        return time.monotonic() >= self._next

    def exceeded(self, members: Iterable[Process]) -> str | None:
        """A sentence about a limit that a group exceeds, or None."""
        self._next = time.monotonic() + PERIOD_SEC
        pids = [one.pid for one in members]
        num_tasks = sum(map(_num_tasks, pids))
        if num_tasks > self._max_tasks:
            return f"It has {num_tasks:,} processes and threads; {self._max_tasks:,} are allowed."
        # Memory that processes share is counted for each of them at first: only a large sum is worth a second look.
        if sum(map(_held_bytes, pids)) > self._memory_bytes:
            num_bytes = sum(map(_share_bytes, pids))
            if num_bytes > self._memory_bytes:
                allowed = f"{self._memory_bytes / 2**30:.1f} GiB are allowed (--confine_memory_gib)"
                return f"It holds {num_bytes / 2**30:.1f} GiB of memory; {allowed}."
        return None


def _num_tasks(pid: int) -> int:
    with contextlib.suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/task"))
    return 0


def _held_bytes(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    return 0


def _share_bytes(pid: int) -> int:
    """What a process holds, with its share of what others hold, too."""
    with contextlib.suppress(OSError):
        found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
        return int(found[1]) * 1024 if found else 0
    return _held_bytes(pid)
