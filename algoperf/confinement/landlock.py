"""Landlock: rules of the kernel that a process gives itself, for files, TCP, signals and abstract sockets.

There is a package `landlock` for it, a development version that ends at version 5 of the interface; the three calls and
their structures are documented in https://docs.kernel.org/userspace-api/landlock.html.
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable

from algoperf.confinement import kernel
from algoperf.confinement.rules import Rules

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = (1 << bit for bit in range(4))
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
"""Rights that a rule for a file can hold; others are for folders."""
_NUM_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""Version -> how many rights on files it knows."""
TCP = 0b11
"""Bind and connect; since version 4."""
SCOPES = 0b11
"""Abstract Unix sockets and signals of processes outside; since version 6."""
_CREATE_VERSION = 1
_PATH_BENEATH = 1
SINCE = {"files": 3, "tcp": 4, "signals": 6}
"""What is held completely -> since which version. Before 3 a file could be cut short that could not be written."""


def version() -> int:
    """Of the interface; 0 where there is none."""
    if kernel.is_without("landlock"):
        return 0
    try:
        found = kernel.call("landlock_create_ruleset", None, 0, _CREATE_VERSION)
    except OSError:
        return 0
    limits = [n for n in range(1, 10) if kernel.is_without(f"landlock>{n}")]
    return min([found, *limits])


def restrict(rules: Rules) -> int:
    """Restricts this thread and all that it will start; returns the version that did it, 0 where there is none.

    Raises:
      OSError: if the kernel refuses.
    """
    abi = version()
    if not abi:
        return 0
    handled = (1 << _NUM_RIGHTS[min(abi, 5)]) - 1 if rules.confines_files else 0
    tcp = TCP if abi >= SINCE["tcp"] and not (rules.loopback or rules.network_of_host) else 0
    scopes = SCOPES if abi >= SINCE["signals"] else 0
    if not handled and not tcp and not scopes:
        return 0
    # Older kernels know a shorter structure, and refuse a longer one unless the rest is zero.
    size = 8 if abi < SINCE["tcp"] else 16 if abi < SINCE["signals"] else 24
    attributes = ctypes.create_string_buffer(struct.pack("=QQQ", handled, tcp, scopes)[:size], size)
    ruleset = kernel.call("landlock_create_ruleset", attributes, size, 0)
    try:
        if handled:
            _add_all(ruleset, rules, handled)
        kernel.call("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)
    return abi


def _add_all(ruleset: int, rules: Rules, handled: int) -> None:
    read = READ_FILE | READ_DIR
    for paths, rights in (
        (rules.run, read | EXECUTE),
        (rules.read, read),
        (rules.look, READ_DIR),
        (rules.write, handled),
        (rules.devices, READ_FILE | READ_DIR | WRITE_FILE | IOCTL_DEV),
    ):
        _add(ruleset, paths, rights & handled)


def _add(ruleset: int, paths: Iterable[str], rights: int) -> None:
    for path in paths:
        try:
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue  # It has gone, and needs no right.
        try:
            found = rights if stat.S_ISDIR(os.fstat(place).st_mode) else rights & FILES
            rule = ctypes.create_string_buffer(struct.pack("=Qi", found, place), 12)
            if found:
                kernel.call("landlock_add_rule", ruleset, _PATH_BENEATH, rule, 0)
        finally:
            os.close(place)
