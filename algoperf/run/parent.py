"""What a process that starts trials measures of them by itself: wall and processor time of each of their processes.

    parent.json  {"processes": [{"wall_sec": 41.2, "cpu_sec": 79.5, "exit_code": 0}, …]}

It is written by the parent when the process has ended, so that no submission has a part in it; scoring compares it with
what the trial says of itself. A trial that is started by hand has no such parent.
"""

import contextlib
import os
import subprocess
import time
from pathlib import Path
from typing import TypedDict

from algoperf import files, records, typed_json
from algoperf.holders import stat_of


class ProcessTimes(TypedDict):
    """One process of a trial."""

    wall_sec: float
    cpu_sec: float | None
    """Of the process and the children that it has waited for; None where the system does not say."""
    exit_code: int


class _Content(TypedDict):
    processes: list[ProcessTimes]


class Watched:
    """A trial's process, as its parent sees it.

    Args:
      process: that has just been started.
      folder: of the trial.
    """

    def __init__(self, process: subprocess.Popen[bytes], folder: Path):
        self._process, self._folder = process, folder
        self._start = time.monotonic()
        self._before = _stamp(folder)
        self._cpu_sec: float | None = None

    def poll(self) -> int | None:
        """The exit code of a process that has ended, whose times are noted then; None while it runs."""
        return self._process.poll() if self._has_ended(wait=False) else None

    def wait(self) -> int:
        """The exit code, once it has ended."""
        self._has_ended(wait=True)
        return self._process.wait()

    def _has_ended(self, wait: bool) -> bool:
        """Whether it has; looked up before its record is given back to the system, which forgets its times then."""
        if not hasattr(os, "waitid") or self._process.returncode is not None:
            return True
        with contextlib.suppress(ChildProcessError):
            how = os.WEXITED | os.WNOWAIT | (0 if wait else os.WNOHANG)
            if os.waitid(os.P_PID, self._process.pid, how) is None:
                return False
            self._cpu_sec = cpu_sec(self._process.pid)
        return True

    def record(self) -> None:
        """Writes the times of the process, which has ended, beside the trial's own records, if it has made any."""
        if _stamp(self._folder) == self._before:
            return  # It was refused, or the trial had been done before.
        new = ProcessTimes(
            wall_sec=round(time.monotonic() - self._start, 3),
            cpu_sec=None if self._cpu_sec is None else round(self._cpu_sec, 3),
            exit_code=self._process.returncode,
        )
        with contextlib.suppress(OSError):  # A trial without this record is none the worse.
            content = _Content(processes=[*(read(self._folder) or []), new])
            records.write_json(self._folder / records.PARENT, content)


def read(folder: Path | str) -> list[ProcessTimes] | None:
    """The processes of a trial that had a parent; None where there is no such record, or it is no such thing."""
    content = files.read_json_or_none(f"{folder}/{records.PARENT}")
    try:
        return typed_json.value_of(_Content, content, allows_others=True)["processes"]
    except typed_json.MalformedError:
        return None


def cpu_sec(pid: int) -> float | None:
    """Processor time of a process and of the children that it has waited for; None if it is not to be seen."""
    fields = stat_of(pid)
    # Fields 14 to 17 of proc_pid_stat(5); the first of these is field 3.
    return None if fields is None else sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _stamp(folder: Path) -> tuple[str, int] | None:
    """What changes with every start of the trial in a folder."""
    path = records.newest(folder, records.meta_data_file)
    return None if path is None else (path.name, path.stat().st_mtime_ns)
