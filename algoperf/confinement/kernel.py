"""System calls of Linux that Python has no function for."""

import ctypes
import os
import platform
import sys

PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38
PR_GET_NO_NEW_PRIVS = 39

WITHOUT = "ALGOPERF_CONFINE_WITHOUT"
"""Variable with what is to count as missing, for tests: 'landlock', 'namespaces', 'seccomp', or 'landlock>3' for what
came after version 3 of Landlock; several with commas between."""

_COMMON = {
    # Since 2019 new calls have one number on all machines.
    **{"pidfd_send_signal": 424, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427},
    **{"open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433},
    **{
        "pidfd_getfd": 438,
        "process_madvise": 440,
        "mount_setattr": 442,
        "setxattrat": 463,
        "removexattrat": 466,
    },
    **{"landlock_create_ruleset": 444, "landlock_add_rule": 445, "landlock_restrict_self": 446},
    **{"fchmodat2": 452, "file_setattr": 469},
}
_X86_64 = {
    **{
        "ioctl": 16,
        "shmget": 29,
        "shmctl": 31,
        "socket": 41,
        "kill": 62,
        "semget": 64,
        "msgget": 68,
        "ptrace": 101,
    },
    **{
        "syslog": 103,
        "rt_sigqueueinfo": 129,
        "utime": 132,
        "pivot_root": 155,
        "adjtimex": 159,
        "chroot": 161,
    },
    **{"acct": 163, "settimeofday": 164, "mount": 165, "umount2": 166, "swapon": 167, "swapoff": 168},
    **{
        "reboot": 169,
        "sethostname": 170,
        "setdomainname": 171,
        "iopl": 172,
        "ioperm": 173,
        "init_module": 175,
    },
    **{"delete_module": 176, "quotactl": 179, "setxattr": 188, "lsetxattr": 189, "fsetxattr": 190},
    **{"removexattr": 197, "lremovexattr": 198, "fremovexattr": 199, "tkill": 200, "clock_settime": 227},
    **{"tgkill": 234, "utimes": 235, "mq_open": 240, "kexec_load": 246, "add_key": 248, "request_key": 249},
    **{"keyctl": 250, "futimesat": 261, "unshare": 272, "utimensat": 280, "rt_tgsigqueueinfo": 297},
    **{
        "perf_event_open": 298,
        "prlimit64": 302,
        "open_by_handle_at": 304,
        "clock_adjtime": 305,
        "setns": 308,
    },
    **{"process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312, "finit_module": 313, "seccomp": 317},
    **{"kexec_file_load": 320, "bpf": 321},
}
_AARCH64 = {
    **{
        "setxattr": 5,
        "lsetxattr": 6,
        "fsetxattr": 7,
        "removexattr": 14,
        "lremovexattr": 15,
        "fremovexattr": 16,
    },
    **{
        "ioctl": 29,
        "umount2": 39,
        "mount": 40,
        "pivot_root": 41,
        "chroot": 51,
        "quotactl": 60,
        "utimensat": 88,
    },
    **{"acct": 89, "unshare": 97, "kexec_load": 104, "init_module": 105, "delete_module": 106},
    **{"clock_settime": 112, "syslog": 116, "ptrace": 117, "kill": 129, "tkill": 130, "tgkill": 131},
    **{"rt_sigqueueinfo": 138, "reboot": 142, "sethostname": 161, "setdomainname": 162, "settimeofday": 170},
    **{
        "adjtimex": 171,
        "mq_open": 180,
        "msgget": 186,
        "semget": 190,
        "shmget": 194,
        "shmctl": 195,
        "socket": 198,
    },
    **{"add_key": 217, "request_key": 218, "keyctl": 219, "swapon": 224, "swapoff": 225},
    **{"rt_tgsigqueueinfo": 240, "perf_event_open": 241, "prlimit64": 261, "open_by_handle_at": 265},
    **{"clock_adjtime": 266, "setns": 268, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272},
    **{"finit_module": 273, "seccomp": 277, "bpf": 280, "kexec_file_load": 294},
}
NUMBERS: dict[str, int] = {
    **_COMMON,
    **{"x86_64": _X86_64, "aarch64": _AARCH64}.get(platform.machine(), {}),
}
"""Name of a system call -> its number on this machine; only those of all machines where it is of another kind."""


def is_without(what: str) -> bool:
    """Whether something is to count as missing; see `WITHOUT`."""
    return not sys.platform.startswith("linux") or what in os.environ.get(WITHOUT, "").split(",")


def call(name: str, *arguments: object) -> int:
    """Makes a system call; returns what it returns.

    Args:
      name: of the call.
      *arguments: numbers and pointers.

    Raises:
      OSError: if it fails, or this machine has no such call.
    """
    number = NUMBERS.get(name)
    if number is None or not sys.platform.startswith("linux"):
        raise OSError(38, f"{name} is not known on this machine")
    # As long numbers: on the way to a function of C without a signature, ctypes would cut them.
    values = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return _checked(_libc().syscall(ctypes.c_long(number), *values), name)


def prctl(option: int, value: int = 0) -> int:
    """`prctl`, with zeros for what follows.

    Raises:
      OSError: if it fails.
    """
    if not sys.platform.startswith("linux"):
        raise OSError(38, "prctl is a call of Linux")
    zero = ctypes.c_ulong(0)
    return _checked(_libc().prctl(ctypes.c_int(option), ctypes.c_ulong(value), zero, zero, zero), "prctl")


def unshare(flags: int) -> None:
    """Gives this process namespaces of its own.

    Raises:
      OSError: if that is not allowed.
    """
    _checked(_libc().unshare(ctypes.c_int(flags)), "unshare")


def mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    """`mount`.

    Raises:
      OSError: if that is not allowed.
    """
    texts = [None if text is None else os.fsencode(text) for text in (source, target, kind, options)]
    _checked(_libc().mount(*texts[:3], ctypes.c_ulong(flags), texts[3]), f"mount of {target}")


def hide() -> None:
    """Keeps other processes of this user from looking into this one, and from its memory; does nothing where there is
    no such call."""
    if sys.platform.startswith("linux"):
        prctl(PR_SET_DUMPABLE, 0)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int, name: str) -> int:
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), name)
    return result
