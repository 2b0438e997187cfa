"""Memory of a process on Linux: what it holds, the most that it held, and a fresh start of the latter."""

import contextlib
import re
from pathlib import Path

import psutil

from algoperf import machine

_PEAK = "5"
"""Written to `clear_refs`, it lets the largest resident size start anew (proc(5))."""


def peak_bytes() -> int:
    """Largest resident size of this process since `forget_peak`, or since its start where that has no effect."""
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return machine.peak_host_memory_bytes() if found is None else int(found[1]) * 1024


def forget_peak() -> None:
    """Lets `peak_bytes` start anew, where the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text(_PEAK)


def held_by(process: psutil.Process, with_children: bool) -> int:
    """Resident size of a process, and of all that it has started, in bytes; 0 once it has ended."""
    total = 0
    with contextlib.suppress(psutil.Error):
        total = process.memory_info().rss
        for child in process.children(recursive=True) if with_children else ():
            with contextlib.suppress(psutil.Error):
                total += child.memory_info().rss
    return int(total)
