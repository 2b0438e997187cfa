"""Cores that trials on one machine take for themselves, whoever started them.

A core is taken by a lock on a file below the system's folder for temporary files. The lock ends with the last process
that holds the file open: a trial inherits it, so its cores are free when it has ended, even if it outlives whoever
started it.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Lease:
    """Cores that are taken, until closed here and by every process that inherited the files."""

    cores: tuple[int, ...]
    files: tuple[int, ...] = ()
    """Descriptors; to be inherited by the process that uses the cores."""

    def close(self) -> None:
        for file in self.files:
            os.close(file)


def usable() -> list[int]:
    """Cores that this process may use; empty where the system does not say."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def take(number: int, among: Iterable[int], folder: Path | None = None) -> Lease | None:
    """The first free cores; None if fewer than `number` are free now.

    Args:
      number: how many.
      among: those to choose from, in order.
      folder: of the locks; by default one for each user of the machine.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     first = take(2, [4, 5, 6], Path(folder))
    ...     second = take(2, [4, 5, 6], Path(folder))
    ...     first.close()
    ...     third = take(3, [4, 5, 6], Path(folder))
    ...     third.close()
    >>> first.cores, second, third.cores
    ((4, 5), None, (4, 5, 6))
    """
    folder = folder or Path(tempfile.gettempdir()) / f"algoperf_cores_{os.getuid()}"
    folder.mkdir(exist_ok=True)
    taken: dict[int, int] = {}
    try:
        with open(folder / "choosing", "w") as choosing:
            fcntl.flock(choosing, fcntl.LOCK_EX)  # Two that want all would else hold half each.
            for core in among:
                if len(taken) == number:
                    break
                file = os.open(folder / str(core), os.O_CREAT | os.O_RDWR, 0o600)
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    taken[core] = file
                except BlockingIOError:
                    os.close(file)
    except BaseException:
        Lease(tuple(taken), tuple(taken.values())).close()
        raise
    lease = Lease(tuple(taken), tuple(taken.values()))
    if len(taken) == number:
        return lease
    lease.close()
    return None
