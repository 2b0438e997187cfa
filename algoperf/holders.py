"""Who holds a claim on disk, and whether that process still lives: asked by trials and by campaigns alike.

A process is known by its boot, its process namespace, its number, and its start in clock ticks since that boot. None of
these moves when the clock is set, and containers that share a host's name differ in the namespace. Whether a process
lives is known only of those that this one can see; all others are trusted as long as they renew their claim: the age of
its file is their heartbeat.
"""

import dataclasses
import os
import secrets
import socket
import time
from collections.abc import Mapping
from pathlib import Path

HEARTBEAT_SEC = 10.0
"""Between two renewals of a claim."""
STALE_AFTER_SEC = 60.0
"""A holder that cannot be seen and has been silent for so long is gone."""

Identity = dict[str, object]
"""As it is stored in claims."""


# ---- one process -------------------------------------------------------------------------------------------------


def identity_of_process(pid: int) -> Identity:
    """What tells a process from any other, on any machine and at any time.

    Args:
      pid: of a process in the namespace of this one.

    Returns:
      `host` and `pid`, and where the system says them `boot`, `pid_namespace` and `ticks`.
    """
    found: Identity = {"host": socket.gethostname(), "pid": pid, **_here()}
    status = _status(pid)
    return found if status is None else {**found, "ticks": status[1]}


def is_here(holder: Mapping[str, object]) -> bool:
    """Whether this process would see that one, if it lives: the same host, boot and process namespace."""
    here = _here()
    return bool(here) and holder.get("host") == socket.gethostname() and here.items() <= holder.items()


def is_alive(holder: Mapping[str, object]) -> bool | None:
    """Whether a process runs, None where that cannot be seen from here.

    >>> me = identity_of_process(os.getpid())
    >>> is_alive(me), is_alive({**me, "ticks": 1}), is_alive({**me, "pid_namespace": "pid:[1]"})
    (True, False, None)
    """
    pid, ticks = holder.get("pid"), holder.get("ticks")
    if not is_here(holder) or not isinstance(pid, int) or not isinstance(ticks, int):
        return None
    status = _status(pid)
    if status is not None:
        # A zombie has ended; only its parent has not read its exit code yet.
        return status[1] == ticks and status[0] not in "ZX"
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass
    return None  # It is there and may not be looked at, as where /proc hides the processes of other users.


def _here() -> Identity:
    """What this process shares with those whose numbers it can look up; empty where it can look up none."""
    try:
        # In a new namespace without a /proc of its own the numbers there are those of other processes.
        if os.readlink("/proc/self") != str(os.getpid()):
            return {}
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return {"boot": boot, "pid_namespace": os.readlink("/proc/self/ns/pid")}
    except OSError:  # No Linux.
        return {}


def stat_of(pid: int) -> list[str] | None:
    """What the system says of a process, from field 3 of proc_pid_stat(5) on; None if it is not to be seen."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()  # The name of the program before may hold anything.


def _status(pid: int) -> tuple[str, int] | None:
    """State of a process, and its start in clock ticks since the boot; None if it is not to be seen."""
    fields = stat_of(pid)
    return None if fields is None else (fields[0], int(fields[19]))  # Fields 3 and 22.


# ---- heartbeats --------------------------------------------------------------------------------------------------


def beat(path: Path) -> None:
    """Renews a claim: the age of the file says when its holder was last known to be alive."""
    os.utime(path)


@dataclasses.dataclass(frozen=True)
class _Seen:
    mtime_ns: int
    since: float
    """On time.monotonic, when this process first saw the file with this age."""
    has_changed: bool
    """Whether this process has seen the file with another age before."""


class Watch:
    """Tells claims that are renewed from those that are not.

    At first sight a claim is judged by the clock of the file system, which all machines share. What this process has
    seen for itself counts more, because that clock may be set, too: a claim that was renewed before its eyes is fresh,
    and one that was not for `STALE_AFTER_SEC` is stale, whatever it is dated.

    Args:
      scratch: a folder on the same file system, where a file may be written for a moment.
    """

    def __init__(self, scratch: Path):
        self._scratch = scratch
        self._seen: dict[Path, _Seen] = {}

    def __reduce__(self) -> tuple[type["Watch"], tuple[Path]]:
        """Elsewhere it begins anew: what it has seen is told in this machine's own time."""
        return Watch, (self._scratch,)

    def is_fresh(self, path: Path) -> bool:
        """Whether a claim was renewed lately; False if the file is gone."""
        try:
            mtime_ns = path.stat().st_mtime_ns
        except FileNotFoundError:
            return False
        seen, now = self._seen.get(path), time.monotonic()
        if seen is None or seen.mtime_ns != mtime_ns:
            seen = self._seen[path] = _Seen(mtime_ns, now, has_changed=seen is not None)
        if now - seen.since >= STALE_AFTER_SEC:
            return False
        return seen.has_changed or self._age_sec(mtime_ns * 1e-9) < STALE_AFTER_SEC

    def has_beaten(self, path: Path) -> bool:
        """Whether a claim was renewed between two looks of this process."""
        return path in self._seen and self._seen[path].has_changed

    def _age_sec(self, mtime: float) -> float:
        """Seconds since then, on the clock of the file system."""
        if (
            abs(time.time() - mtime) < STALE_AFTER_SEC / 2
        ):  # Clocks that agree by and large settle most cases.
            return 0.0
        # What a file that is written now is dated tells the time there.
        probe = self._scratch / f".clock_{secrets.token_hex(4)}"
        try:
            probe.touch()
            now = probe.stat().st_mtime
            probe.unlink()
        except OSError:  # Read only, for whoever just looks.
            now = time.time()
        return now - mtime
