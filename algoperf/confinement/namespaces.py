"""Namespaces: a network, shared memory and mounts of a process's own, where the user may make them."""

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
from pathlib import Path

from algoperf.confinement import kernel
from algoperf.confinement.rules import Rules

_MOUNTS, _IPC, _USER, _NETWORK = 0x00020000, 0x08000000, 0x10000000, 0x40000000
_BIND, _RECURSIVE, _PRIVATE, _NO_SET_ID, _NO_DEVICES = 0x1000, 0x4000, 0x40000, 0x2, 0x4
_HERE, _AT_RECURSIVE, _READ_ONLY = -100, 0x8000, 1
SHARED_MEMORY = "/dev/shm"


def enter(rules: Rules) -> frozenset[str]:
    """Gives this process, which has one thread, its own namespaces; returns which it has got.

    Returns:
      Of 'user' or 'others', 'network', 'memory' (shared memory is its own, and empty) and 'mounts' (files can be
      written in `rules.write` only, nor can their rights and times be changed elsewhere).
    """
    if rules.joins:
        return _join(rules)
    if not rules.confines_files:
        return frozenset()  # Files of other users, which root can read, could not be read any more.
    found = _unshare(_IPC | _MOUNTS | (0 if rules.network_of_host else _NETWORK))
    if rules.loopback and "network" in found:
        _start_loopback()
    if found:
        with contextlib.suppress(OSError):
            _own_mounts(rules)
            found |= {"memory", "mounts"}
    return found


def _unshare(wanted: int) -> frozenset[str]:
    if kernel.is_without("namespaces"):
        return frozenset()
    user, group = os.getuid(), os.getgid()
    network = ["network"] if wanted & _NETWORK else []
    with contextlib.suppress(OSError):
        kernel.unshare(_USER | wanted)
        # The same user inside as outside; others have no number there.
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
        return frozenset(("user", *network))
    with contextlib.suppress(OSError):  # In a container whose user is root.
        kernel.unshare(wanted)
        return frozenset(("others", *network))
    return frozenset()


def _join(rules: Rules) -> frozenset[str]:
    """Enters namespaces that were made for several processes (`algoperf.confinement.shared`).

    Raises:
      OSError: if the kernel refuses, after which this process may be in some of them.
    """
    here = os.getcwd()
    for file in rules.joins:
        kernel.call("setns", file, 0)
        os.close(file)
    os.chdir(here)  # Whoever enters mounts finds itself at their root.
    return frozenset(rules.joined)


def _start_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        set_flags, is_up = 0x8914, 1
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sH22x", b"lo", is_up))


def _own_mounts(rules: Rules) -> None:
    """Shared memory of its own, and nothing else but the folders of the rules can be written.

    Raises:
      OSError: if that is not allowed.
    """
    kernel.mount("none", "/", None, _RECURSIVE | _PRIVATE)
    for folder in rules.write:
        kernel.mount(folder, folder, None, _BIND)
    writable = list(rules.write)
    if os.path.isdir(SHARED_MEMORY):
        kernel.mount("tmpfs", SHARED_MEMORY, "tmpfs", _NO_SET_ID | _NO_DEVICES, "mode=1777")
        writable.append(SHARED_MEMORY)
    _set_attributes("/", _AT_RECURSIVE, put=_READ_ONLY)
    for folder in writable:
        _set_attributes(folder, 0, take=_READ_ONLY)


def _set_attributes(path: str, flags: int, put: int = 0, take: int = 0) -> None:
    attributes = struct.pack("=QQQQ", put, take, 0, 0)
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    kernel.call("mount_setattr", _HERE, os.fsencode(path), flags, buffer, len(attributes))
