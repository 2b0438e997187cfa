"""Confines this process."""

import contextlib
import dataclasses
import os
import resource

from algoperf.confinement import kernel, landlock, namespaces, seccomp
from algoperf.confinement.rules import Rules

_pinned: list[int] = []
"""The folder of this process in /proc stays known to the kernel as the one that a rule names as long as it is open."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Applied:
    """What was done to a process."""

    landlock: int
    """The version that holds; 0 for none."""
    namespaces: frozenset[str]
    """See `namespaces.enter`."""
    seccomp: bool
    limits_tasks: bool
    """Whether the kernel counts processes and threads of this group alone."""


def confine(rules: Rules) -> Applied:
    """Confines this process and all that it will start, as far as this machine can; it cannot be undone.

    Returns:
      What was done; nothing is taken for granted, see `algoperf.confinement.probe`.

    Raises:
      RuntimeError: if this process has other threads, which would stay free.
    """
    if len(os.listdir("/proc/self/task")) > 1:
        raise RuntimeError("A process is confined before it starts threads.")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _pinned.append(os.open("/proc/self", os.O_PATH | os.O_CLOEXEC))
    before = _num_tasks_of_user()
    entered = namespaces.enter(rules)
    limits_tasks = _limit_tasks(rules, 0 if "user" in entered else before)
    with contextlib.suppress(OSError):
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    own = (namespaces.SHARED_MEMORY,) if "memory" in entered else ()
    rules = dataclasses.replace(rules, read=(*rules.read, f"/proc/{os.getpid()}"), write=(*rules.write, *own))
    abi, filtered = 0, False
    with contextlib.suppress(OSError):
        abi = landlock.restrict(rules)
    with contextlib.suppress(OSError):
        filtered = seccomp.restrict(
            rules, guards_signals=abi < landlock.SINCE["signals"], guards_times="mounts" not in entered
        )
    if rules.memory_bytes is not None:
        _lower(resource.RLIMIT_DATA, rules.memory_bytes)
    return Applied(landlock=abi, namespaces=entered, seccomp=filtered, limits_tasks=limits_tasks)


def _limit_tasks(rules: Rules, others: int) -> bool:
    """Limits processes and threads; returns whether the kernel counts them here.

    Args:
      rules: with the limit.
      others: tasks of this user that count, too, where it has no namespace.
    """
    if rules.max_tasks is None:
        return False
    _lower(resource.RLIMIT_NPROC, rules.max_tasks + others)
    return os.getuid() != 0  # The kernel does not count those of root.


def _lower(kind: int, value: int) -> None:
    """Sets a limit, unless a lower one is set already."""
    _, hard = resource.getrlimit(kind)
    wanted = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (wanted, wanted))


def _num_tasks_of_user() -> int:
    """Processes and threads of this user on the machine."""
    found = 0
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with contextlib.suppress(OSError):  # It has ended.
                if os.stat(f"/proc/{name}").st_uid == os.getuid():
                    found += len(os.listdir(f"/proc/{name}/task"))
    return found
