"""Stops a process and all that it has started while the clock is stopped, and finds out whether they kept still.

A child that a process leaves behind is given to the next ancestor that asks for such children (`adopt_orphans`), so
every process that the submission has started stays below the referee, whatever session or group it moves to.
"""

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from algoperf import holders
from algoperf.referee import cgroup, cpu_time
from algoperf.referee.allowance import Effort

PR_SET_CHILD_SUBREAPER = 36
PR_SET_PDEATHSIG = 1
STOP_SEC = 5.0
"""How long processes get to stop: one that waits for a disk stops after that."""
STILL_SEC = 0.03
"""Processor time of all together that counts as none: a few ticks of the kernel's own count."""
_TICKS_PER_SEC = os.sysconf("SC_CLK_TCK")


def adopt_orphans() -> bool:
    """Makes this process the parent of what its descendants leave behind; False where the system cannot."""
    return _prctl(PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> None:
    """Has this process killed when its parent ends, or ends it now if that has happened.

    Args:
      parent: its number, as the parent itself knows it.
    """
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(128 + signal.SIGKILL)


def _prctl(option: int, value: int) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    return ctypes.CDLL(None).prctl(option, int(value), 0, 0, 0) == 0


# ---- what /proc says -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Process:
    """One process at one moment."""

    pid: int
    state: str
    parent: int
    session: int
    cpu_sec: float
    """Processor time of all its threads, and of its children that have ended and were waited for."""
    own_cpu_sec: float
    """The same without its children."""

    @property
    def is_still(self) -> bool:
        """Whether it is stopped or has ended."""
        return self.state in "TtZX"


def look_at(pid: int) -> Process | None:
    """What the system says of a process; None if it is gone."""
    fields = holders.stat_of(pid)
    if fields is None:
        return None
    ticks = list(map(int, fields[11:15]))
    cpu_sec, own_sec = sum(ticks) / _TICKS_PER_SEC, sum(ticks[:2]) / _TICKS_PER_SEC
    return Process(pid, fields[0], int(fields[1]), int(fields[3]), cpu_sec, own_sec)


def children_of(pid: int) -> list[int]:
    """Numbers of the children of a process, of all its threads."""
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for thread in threads:
        with contextlib.suppress(OSError):
            found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
    return found


def descendants(pid: int, leave_out: Collection[int] = ()) -> Iterator[Process]:
    """All processes below one, but for some and those below these."""
    waiting = [pid]
    while waiting:
        for child in children_of(waiting.pop()):
            if child in leave_out:
                continue
            found = look_at(child)
            if found is not None:
                yield found
                waiting.append(child)


def cpu_sec_below(pid: int) -> float:
    """Processor time so far of a process and those below it."""
    own = look_at(pid)
    return sum(one.cpu_sec for one in descendants(pid)) + (0.0 if own is None else own.cpu_sec)


# ---- a group ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pause:
    """A group that has been stopped."""

    cpu_sec: dict[int, float]
    """Process -> its processor time when it was stopped."""
    moving: tuple[int, ...]
    """Processes that did not stop."""


class Group:
    """All processes below this one but for the evaluator and its own.

    Args:
      leaders: the processes that train, one or several; they have started none yet.
      evaluator: the process that evaluates.
      freezer: stops a group at once; without one, or for what has left it, signals do.
    """

    def __init__(self, leaders: Sequence[int], evaluator: int, freezer: cgroup.Freezer | None = None):
        self.leaders, self._evaluator = tuple(leaders), evaluator
        self._freezer = freezer if freezer is not None and all(map(freezer.add, leaders)) else None
        self.method = "SIGSTOP" if self._freezer is None else "cgroup"
        self._reaped_sec = 0.0
        """Processor time of orphans that have ended."""

    def members(self) -> list[Process]:
        """Those that run or are stopped, the leaders among them."""
        return [one for one in self._all() if one.state not in "ZX"]

    def _all(self) -> list[Process]:
        """The same with those that have ended and were not waited for."""
        found = descendants(os.getpid(), leave_out=(self._evaluator,))
        return [one for one in found if one.session != self._evaluator]

    def others(self) -> list[Process]:
        """Processes beside the leaders."""
        return [one for one in self.members() if one.pid not in self.leaders]

    def stop(self) -> Pause:
        """Stops all of them, those that are started meanwhile included."""
        deadline = time.monotonic() + STOP_SEC
        frozen: frozenset[int] = frozenset()
        if self._freezer is not None and self._freezer.freeze():
            frozen = frozenset(self._freezer.members())
        while True:
            members = self.members()
            moving = [one for one in members if not one.is_still and one.pid not in frozen]
            if not moving or time.monotonic() > deadline:
                break
            for one in moving:
                _signal(one.pid, signal.SIGSTOP)
            time.sleep(0.0002)
        self._reap()
        return Pause({one.pid: one.cpu_sec for one in self._all()}, tuple(one.pid for one in moving))

    def ran_sec(self, pause: Pause) -> float:
        """Processor time that the group has used since it was stopped; 0 if it kept still."""
        used = sum(one.cpu_sec - pause.cpu_sec.get(one.pid, 0.0) for one in self._all())
        return used if used > STILL_SEC else 0.0

    def cpu_sec(self) -> float:
        """Processor time of all of them so far, with what has ended."""
        return sum(one.cpu_sec for one in self._all()) + self._reaped_sec

    def others_cpu_sec(self) -> float:
        """Of that, what was not the leaders' own."""
        found = map(look_at, self.leaders)
        return self.cpu_sec() - sum(own.own_cpu_sec for own in found if own is not None)

    def effort(self) -> Effort:
        """Readings now: wall clock, processor time of all of them, finely, and what the first leader has waited."""
        cpu_sec = self._reaped_sec
        for one in self._all():
            own_sec = cpu_time.of_process(one.pid)
            # Of children that have ended, and were waited for, only the coarse count is left.
            cpu_sec += one.cpu_sec - one.own_cpu_sec + (one.own_cpu_sec if own_sec is None else own_sec)
        return Effort(time.monotonic(), cpu_sec, cpu_time.waited_sec(self.leaders[0]))

    def resume(self) -> None:
        """Lets all of them run."""
        for one in self.members():
            if one.state in "Tt":
                _signal(one.pid, signal.SIGCONT)
        if self._freezer is not None:
            self._freezer.thaw()

    def kill(self) -> None:
        """Ends all of them, and those that are started meanwhile."""
        for _ in range(100):
            members = self.members()
            for one in members:
                _signal(one.pid, signal.SIGKILL)
            if not members:
                break
            time.sleep(0.005)
            self._reap()
        if self._freezer is not None:
            self._freezer.remove()

    def _reap(self) -> None:
        """Takes leave of orphans that have ended; leaders are waited for by whoever has started them."""
        for pid in children_of(os.getpid()):
            if pid in (*self.leaders, self._evaluator):
                continue
            found = look_at(pid)
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(pid, os.WNOHANG)[0] and found is not None:
                    self._reaped_sec += found.cpu_sec


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
