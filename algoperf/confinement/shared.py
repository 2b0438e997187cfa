"""Namespaces that the processes of one trial share: they hear each other over a network, and nobody else.

    python -m algoperf.confinement.shared <descriptor of a file with rules> <descriptor of a socket>

makes them and sends their descriptors over the socket. It ends then: the namespaces last as long as a process is in
them, or somebody holds a descriptor.
"""

import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from algoperf.confinement import namespaces, start
from algoperf.confinement.rules import Rules

TIMEOUT_SEC = 60.0
"""Python's start, on a busy machine."""
KINDS = ("user", "net", "ipc", "mnt")
"""In the order in which they are entered: the rights to enter the others come with the first."""


@contextlib.contextmanager
def made(rules: Rules) -> Iterator[Rules]:
    """Rules with which all processes meet in the same namespaces, which are there as long as the context.

    Args:
      rules: of each of them.

    Returns:
      With the network of the host where this user may make no namespaces, as nothing else would let them meet.
    """
    files, entered = _asked(dataclasses.replace(rules, loopback=True))
    try:
        if "network" in entered:
            yield dataclasses.replace(rules, loopback=True, joins=files, joined=entered)
        else:
            yield dataclasses.replace(rules, network_of_host=True)
    finally:
        for file in files:
            os.close(file)


def _asked(rules: Rules) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """(descriptors of namespaces, what they are: see `namespaces.enter`) from a child; nothing where it fails."""
    own, other = socket.socketpair()
    file = start.rules_file(rules)
    with own:
        own.settimeout(TIMEOUT_SEC)
        with other, contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(
                [sys.executable, "-S", "-m", "algoperf.confinement.shared", str(file), str(other.fileno())],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
                pass_fds=(file, other.fileno()),
                timeout=TIMEOUT_SEC,
            )
        os.close(file)
        with contextlib.suppress(OSError, ValueError):
            text, files, _, _ = socket.recv_fds(own, 1 << 12, len(KINDS))
            return tuple(files), tuple(json.loads(text))
    return (), ()


def main(arguments: list[str]) -> int:
    """Makes the namespaces and hands them over."""
    file, other = map(int, arguments)
    with open(file) as reader:
        reader.seek(0)
        rules = Rules.from_json(reader.read())
    before = _own()
    entered = namespaces.enter(rules)
    changed = [name for name in KINDS if before[name] != _own()[name]]
    files = [os.open(f"/proc/self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in changed]
    with socket.socket(fileno=other) as end:
        socket.send_fds(end, [json.dumps(sorted(entered)).encode()], files)
    return 0


def _own() -> dict[str, str]:
    """Kind -> the namespace in which this process is."""
    return {name: os.readlink(f"/proc/self/ns/{name}") for name in KINDS}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
