"""What control groups of Linux let this process have of a machine: memory and processor time, versions 1 and 2."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from algoperf import machine

_UNLIMITED_BYTES = 1 << 60
"""Version 1 says 'no limit' as the largest number of pages that there is."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Of this host, as far as this process may use it; bytes."""

    total: int
    """What the machine has, or what the control group allows where that is less."""
    available: int
    """What can still be had."""
    is_limited: bool
    """Whether a control group allows less than the machine has."""


def memory(root: Path = Path("/")) -> Memory:
    """Memory that processes of this one can have.

    Args:
      root: of the file system; tests have another.
    """
    own = psutil.virtual_memory()
    total, available, is_limited = int(own.total), int(own.available), False
    for folder in _folders("memory", root):
        limit, used = _memory_of(folder)
        if limit is not None and limit < total:
            total, is_limited = limit, True
        if limit is not None:
            available = min(available, max(0, limit - used))
    return Memory(total=total, available=available, is_limited=is_limited)


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Processors' worth of time that the control group allows; None where it does not limit it.

    Args:
      root: of the file system; tests have another.
    """
    found = []
    for folder in _folders("cpu", root):
        quota, period = [*_text(folder / "cpu.max").split(), "", ""][:2]
        if not quota:
            quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
        if quota.isdecimal() and period.isdecimal() and int(period):
            found.append(int(quota) / int(period))
    return min(found, default=None)


def cores() -> float:
    """Processors that this process may use: those of its affinity, or fewer where a control group limits their time."""
    quota = cpu_quota()
    return machine.num_cores() if quota is None else min(machine.num_cores(), quota)


def _memory_of(folder: Path) -> tuple[int | None, int]:
    """(limit, what is used and cannot be given back) of a control group, in bytes."""
    for limit_name, used_name in (
        ("memory.max", "memory.current"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        limit, used = _text(folder / limit_name), _text(folder / used_name)
        if limit.isdecimal() and int(limit) < _UNLIMITED_BYTES:
            # Pages of files count as used, and are given back when memory is asked for.
            cached = re.search(
                r"^(?:total_)?inactive_file (\d+)$", _text(folder / "memory.stat"), re.MULTILINE
            )
            return int(limit), max(0, int(used or 0) - (int(cached[1]) if cached else 0))
    return None, 0


def _folders(controller: str, root: Path) -> Iterator[Path]:
    """The groups of this process that have to do with a controller, and those above them: each may limit it."""
    paths = {}
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, names, path = line.split(":", 2)
        paths.update(dict.fromkeys(names.split(","), path))
    for line in _text(root / "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        mounted, place = before.split()[3:5]
        kind, _, options = [*after.split(), "", "", ""][:3]
        if kind == "cgroup2":
            own = paths.get("", "/")
        elif kind == "cgroup" and controller in options.split(","):
            own = paths.get(controller, "/")
        else:
            continue
        top = root / place.lstrip("/")
        yield top
        # A container sees a part of the tree, and may be told a path that lies outside of it.
        below = own.removeprefix(mounted.rstrip("/")).strip("/")
        folder = top
        for name in filter(None, below.split("/")):
            folder = folder / name
            if not folder.is_dir():
                break
            yield folder


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
