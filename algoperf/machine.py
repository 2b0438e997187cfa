"""Facts about the machine, the software and the code of a run, for its records; and settings of the C library."""

import ctypes
import importlib.metadata
import os
import platform
import re
import resource
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from algoperf import frameworks, records

LIBRARIES = ("numpy", "scipy", "scikit-learn", "sentencepiece", "sacrebleu")
"""Packages besides the frameworks that can change data or metrics."""


def package_versions() -> dict[str, str]:
    """Installed versions of the packages that can change a result."""
    versions = {}
    of_frameworks = (package for framework in frameworks.FRAMEWORKS for package in framework.recorded)
    for package in ("algoperf", *of_frameworks, *LIBRARIES):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def installed_versions(names: Iterable[str]) -> dict[str, str]:
    """Name -> installed version, with Python's own as 'python'; what is not installed is left out.

    From the names of the folders that installers leave (PEP 376): reading what is in them takes 10 ms a package.
    """
    wanted = {_normalized(name): name for name in sorted(names)}
    found: dict[str, str] = {}
    for place in sys.path:
        try:
            entries = os.listdir(place or ".")
        except OSError:
            continue
        for entry in entries:
            name, _, version = entry.removesuffix(".dist-info").partition("-")
            if entry.endswith(".dist-info") and _normalized(name) in wanted:
                found.setdefault(wanted[_normalized(name)], version)  # The first place wins, as for imports.
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, **dict(sorted(found.items()))}


def _normalized(name: str) -> str:
    """As PEP 503 compares names of packages."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _git(*arguments: str) -> str | None:
    folder = Path(__file__).resolve().parent.parent
    try:
        # A timeout, because a repository on a slow network drive must not hold up a run.
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def git_state() -> dict[str, Any]:
    """Branch, commit, and whether files differ from it; None where there is no repository.

    New Python files count as well: a workload or a submission that nobody has committed decides about a result, too.
    Others do not, as results and notes may lie about.
    """
    changes = _git("status", "--porcelain", "--untracked-files=no")
    new = _git("ls-files", "--others", "--exclude-standard", "--", "*.py")
    return {
        "git_branch": _git("rev-parse", "--abbrev-ref", "HEAD"),
        "git_commit_hash": _git("rev-parse", "HEAD"),
        "git_dirty": None if changes is None else bool(changes or new),
    }


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _gpu_facts() -> dict[str, Any]:
    # Asked of the driver, because this module knows no framework.
    query = "name,driver_version,memory.total"
    try:
        command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader,nounits"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return {"gpu_count": 0}
    rows = [
        [cell.strip() for cell in line.split(",")]
        for line in done.stdout.splitlines()
        if line.count(",") == 2
    ]
    if done.returncode or not rows:
        return {"gpu_count": 0}
    facts = {
        "gpu_model_name": rows[0][0],
        "gpu_count": len(rows),
        "gpu_driver": rows[0][1],
        "gpu.count": len(rows),
    }
    return {**facts, **{f"gpu.{index}.mem.total": float(row[2]) for index, row in enumerate(rows)}}


def describe() -> dict[str, Any]:
    """Hardware, load and software; under AlgoPerf's names where it has them."""
    memory = psutil.virtual_memory()
    disk, net = psutil.disk_io_counters(), psutil.net_io_counters()
    frequency = psutil.cpu_freq() if hasattr(psutil, "cpu_freq") else None
    return {
        "os_platform": platform.platform(),
        "python_version": platform.python_version(),
        "python_compiler": platform.python_compiler(),
        "cpu_model_name": _cpu_model(),
        "cpu_count": os.cpu_count(),
        "cpu.util.avg_percent_since_last": psutil.cpu_percent(),
        "cpu.freq.current": frequency.current if frequency else None,
        "mem.total": memory.total,
        "mem.available": memory.available,
        "mem.used": memory.used,
        "mem.percent_used": memory.percent,
        "mem.read_bytes_since_boot": disk.read_bytes if disk else None,
        "mem.write_bytes_since_boot": disk.write_bytes if disk else None,
        "net.bytes_sent_since_boot": net.bytes_sent if net else None,
        "net.bytes_recv_since_boot": net.bytes_recv if net else None,
        "command_line": sys.argv,
        "package_versions": package_versions(),
        **_gpu_facts(),
        **git_state(),
    }


def num_cores() -> int:
    """Processors that this process may use."""
    # os.cpu_count() would count the machine's, and a trial of a campaign may use a share of them.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def busy_warning(interval_sec: float = 0.3, limit_percent: float = 40.0) -> str | None:
    """A warning if other processes keep this machine's processors busy, else None; measures for `interval_sec`.

    Threads that wait for each other suffer out of proportion where they spin; see `torch_launch.prepare`.
    """
    # 0.3 s is short beside set-up. On two cores, one busy neighbour shows as 50 %, more than the limit.
    busy = psutil.cpu_percent(interval=interval_sec)
    if busy < limit_percent:
        return None
    return (
        f"{records.BUSY}{busy:.0f} % of this machine's processors: times are not comparable with those of a free "
        "machine."
    )


def peak_host_memory_bytes() -> int:
    """Largest resident size of this process so far."""
    # ru_maxrss is in bytes on macOS and in KiB on Linux.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB, macOS in bytes.


def keep_freed_memory() -> bool:
    """Makes the C library keep large blocks of freed memory instead of returning them to the kernel.

    By default it returns them at once, and the next training step gets new pages for its temporary arrays, which the
    kernel must clear first. That took 5 to 17 % of a step on CPUs, in both frameworks. On accelerators frameworks keep
    memory themselves. A user's own setting (MALLOC_MMAP_MAX_) is left alone.

    Returns:
      Whether freed memory is kept; False if the C library has no such option.
    """
    if "MALLOC_MMAP_MAX_" in os.environ:
        return True
    mmap_max, trim_threshold = -4, -1  # Constants of glibc's malloc.h.
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    # No block gets an mmap of its own, and the top of the heap is never trimmed.
    return bool(mallopt(mmap_max, 0)) and bool(mallopt(trim_threshold, -1))
