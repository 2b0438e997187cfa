"""How much processor time a process has used, to the nanosecond, and how long it has waited for a processor."""

import contextlib
import time
from pathlib import Path

_OF_PROCESS = 2
"""Of Linux's clocks of another process, the one that counts when it runs (CPUCLOCK_SCHED)."""


def of_process(pid: int) -> float | None:
    """Processor time in seconds of all threads of a process so far, without its children; None where nobody says.

    The kernel's other count, in /proc/<pid>/stat, has steps of 10 ms.
    """
    try:
        return time.clock_gettime((~pid << 3) | _OF_PROCESS)
    except OSError:
        return None


def waited_sec(pid: int) -> float:
    """Seconds that the main thread of a process was ready to run and had no processor; 0 where nobody says."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    return 0.0
