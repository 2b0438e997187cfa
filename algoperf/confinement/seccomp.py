"""A filter of system calls: what neither Landlock nor namespaces stop, or where there are none."""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Collection

from algoperf.confinement import kernel
from algoperf.confinement.rules import Rules

LOOK_INSIDE = ("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp")
"""Into other processes."""
KEPT_BY_THE_KERNEL = ("add_key", "request_key", "keyctl", "shmget", "semget", "msgget", "mq_open")
"""Memory that outlives a process: keys, and what processes share by a number or a name."""
ATTRIBUTES = (
    *("setxattr", "lsetxattr", "fsetxattr", "setxattrat"),
    *("removexattr", "lremovexattr", "fremovexattr", "removexattrat", "file_setattr"),
)
"""Of files, for which Landlock has no right and which hold bytes for later trials."""
TIMES = ("utime", "utimes", "utimensat", "futimesat")
"""Of files: the same, eight bytes each. Programs set them, so they are allowed where only own files can be reached."""
OF_THE_MACHINE = (
    *("mount", "umount2", "pivot_root", "chroot", "setns", "unshare", "open_tree", "move_mount", "fsopen"),
    *("fsconfig", "fsmount", "fspick", "mount_setattr", "open_by_handle_at", "swapon", "swapoff", "acct"),
    *("quotactl", "reboot", "sethostname", "setdomainname", "iopl", "ioperm", "init_module", "finit_module"),
    *("delete_module", "kexec_load", "kexec_file_load", "settimeofday", "clock_settime", "adjtimex"),
    *("clock_adjtime", "syslog", "bpf", "perf_event_open"),
    # It does what other calls do, where no filter sees it.
    *("io_uring_setup", "io_uring_enter", "io_uring_register"),
)
"""What changes the system, its clock among it; most of it only where the user is root."""
SIGNALS = ("tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal")
LOCAL_FAMILIES = (2, 10, 16)
"""Of sockets: both internet protocols, and the one that tells of interfaces. Unix sockets reach out of any network."""
TIOCSTI = 0x5412
"""Puts letters into a terminal as if they were typed."""

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_LOAD, _IS_EQUAL, _IS_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
"""Places in what a filter is told of a call."""
_REFUSE = _ERRNO | errno.EPERM
_OTHER_X86 = 0x40000000
"""Numbers from here on are those of a second table."""
_SET_MODE_FILTER, _SPEC_ALLOW = 1, 4

Program = list[tuple[int, int, int, int]]
"""Of the kernel's packet filter: (code, jump if true, jump if false, number)."""


def is_available() -> bool:
    """Whether filters can be made for this kind of machine."""
    return not kernel.is_without("seccomp") and platform.machine() in _ARCHITECTURES


def restrict(rules: Rules, *, guards_signals: bool, guards_times: bool) -> bool:
    """Filters the calls of this thread and of all that it will start; needs `no_new_privs`.

    Args:
      rules: for the network.
      guards_signals: whether no process may signal another than itself, as nothing else stops that.
      guards_times: whether times of files cannot be changed.

    Returns:
      Whether there is a filter.

    Raises:
      OSError: if the kernel refuses.
    """
    if not is_available():
        return False
    program = _program(rules, guards_signals, guards_times)
    code = b"".join(struct.pack("=HBBI", *one) for one in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    head = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(buffer)))
    # The flag: without it, older kernels make the whole process slower, against attacks that are no matter here.
    kernel.call("seccomp", _SET_MODE_FILTER, _SPEC_ALLOW, head)
    return True


def _program(rules: Rules, guards_signals: bool, guards_times: bool) -> Program:
    found: Program = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_IS_EQUAL, 1, 0, _ARCHITECTURES[platform.machine()]),
        (_RETURN, 0, 0, _REFUSE),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if platform.machine() == "x86_64":
        found += [(_IS_AT_LEAST, 0, 1, _OTHER_X86), (_RETURN, 0, 0, _REFUSE)]
    refused = [*LOOK_INSIDE, *OF_THE_MACHINE]
    if rules.confines_files:
        refused += [*KEPT_BY_THE_KERNEL, *ATTRIBUTES, *(TIMES if guards_times else ())]
    refused += [*(SIGNALS if guards_signals else ())]
    for name in refused:
        if name in kernel.NUMBERS:
            found += [(_IS_EQUAL, 0, 1, kernel.NUMBERS[name]), (_RETURN, 0, 0, _REFUSE)]
    found += _only("socket", 0, LOCAL_FAMILIES if rules.loopback or rules.network_of_host else ())
    found += _only("prlimit64", 0, (0,))  # Of the process itself.
    found += _but("ioctl", 1, (TIOCSTI,))
    if guards_signals:
        found += [*_only("kill", 0, (os.getpid(),)), *_only("tgkill", 0, (os.getpid(),))]
    return [*found, (_RETURN, 0, 0, _ALLOW)]


def _only(name: str, argument: int, values: Collection[int]) -> Program:
    """Refuses a call unless an argument has one of these values."""
    body: Program = [(_LOAD, 0, 0, _ARGUMENTS + 8 * argument)]
    body += [(_IS_EQUAL, len(values) - place, 0, value) for place, value in enumerate(values)]
    return _for(name, [*body, (_RETURN, 0, 0, _REFUSE), (_LOAD, 0, 0, _NUMBER)])


def _but(name: str, argument: int, values: Collection[int]) -> Program:
    """Refuses a call if an argument has one of these values."""
    body: Program = [(_LOAD, 0, 0, _ARGUMENTS + 8 * argument)]
    for value in values:
        body += [(_IS_EQUAL, 0, 1, value), (_RETURN, 0, 0, _REFUSE)]
    return _for(name, [*body, (_LOAD, 0, 0, _NUMBER)])


def _for(name: str, body: Program) -> Program:
    """Runs a part of a program for one call; the part ends with the number of the call loaded again."""
    return [(_IS_EQUAL, 0, len(body), kernel.NUMBERS[name]), *body]
