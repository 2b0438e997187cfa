"""A control group of Linux (version 2) that stops all its processes at once, where this user may make one."""

import contextlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

PREFIX = "algoperf_"
FREEZE_SEC = 5.0
"""How long a group gets to stop."""


def make() -> "Freezer | None":
    """A new group below that of this process; None where that is not possible, as on most machines without systemd."""
    above = _own_group()
    if above is None:
        return None
    _remove_left_behind(above)
    folder = above / f"{PREFIX}{os.getpid()}"
    try:
        folder.mkdir()
    except OSError:
        return None
    if (folder / "cgroup.freeze").exists():
        return Freezer(folder)
    folder.rmdir()
    return None


def _own_group() -> Path | None:
    """The folder of the group that this process is in."""
    try:
        groups, mounts = Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text()
    except OSError:
        return None
    own = re.search(r"^0::(/.*)$", groups, re.MULTILINE)
    mount = re.search(r"^\S+ \S+ \S+ (/\S*) (/\S+) .* - cgroup2 ", mounts, re.MULTILINE)
    if own is None or mount is None:
        return None
    inside = os.path.relpath(own[1], mount[1])  # A container sees a part of the tree.
    folder = Path(mount[2]) / inside
    return folder if (folder / "cgroup.procs").exists() else None


def _remove_left_behind(above: Path) -> None:
    """Empty groups of referees that were killed."""
    for folder in above.glob(f"{PREFIX}*"):
        pid = folder.name.removeprefix(PREFIX)
        if pid.isdecimal() and not os.path.exists(f"/proc/{pid}"):
            with contextlib.suppress(OSError):
                folder.rmdir()


class Freezer:
    """Stops and resumes the processes of a group.

    Args:
      folder: of the group.
    """

    def __init__(self, folder: Path):
        self._folder = folder

    def add(self, pid: int) -> bool:
        """Puts a process, and all that it will start, into the group; False if that is not allowed."""
        return self._write("cgroup.procs", str(pid))

    def members(self) -> Iterator[int]:
        """Numbers of its processes."""
        with contextlib.suppress(OSError):
            yield from map(int, (self._folder / "cgroup.procs").read_text().split())

    def freeze(self) -> bool:
        """Stops them; whether all of them stand still."""
        if not self._write("cgroup.freeze", "1"):
            return False
        deadline = time.monotonic() + FREEZE_SEC
        while "frozen 1" not in (self._folder / "cgroup.events").read_text():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.0002)
        return True

    def thaw(self) -> None:
        """Lets them run."""
        self._write("cgroup.freeze", "0")

    def remove(self) -> None:
        """Takes the group away, once it is empty."""
        with contextlib.suppress(OSError):
            self._folder.rmdir()

    def _write(self, name: str, value: str) -> bool:
        try:
            (self._folder / name).write_text(value)
        except OSError:
            return False
        return True
