"""Finds out what confinement holds here, by trying: a short child is confined and tries to break out.

python -m algoperf.confinement.probe <descriptor of a file with what to try>
"""

import contextlib
import ctypes
import dataclasses
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from algoperf.confinement import kernel, landlock, means
from algoperf.confinement.apply import Applied, confine
from algoperf.confinement.means import Finding
from algoperf.confinement.namespaces import SHARED_MEMORY
from algoperf.confinement.rules import Rules

TIMEOUT_SEC = 60.0
CANNOT_READ = "could not read"
"""In the words of a finding: the rules keep a process from what it needs."""
_PTRACE_SEIZE = 0x4206
_CREATE, _REMOVE = 0o1600, 0
"""Flags of `shmget` and `shmctl`."""
_OF_PROCESS = -2
"""A ring of keys that is gone with the process."""
_SECRET = "not for everybody"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tries:
    """What the child is to try, beside what it can try by itself."""

    rules: Rules
    secrets: tuple[str, ...] = ()
    """Files that it must not be able to read."""
    needed: tuple[str, ...] = ()
    """Files that it must be able to read."""


def run(tries: Tries, hidden_data: Sequence[Path] | None = (), is_watched: bool = False) -> list[Finding]:
    """What holds for a process with these rules; takes about a tenth of a second.

    Args:
      tries: the rules, and what is out of their reach.
      hidden_data: files with evaluation data; None where it is not known which those are.
      is_watched: whether somebody counts the processes and the memory of the group, and ends it.
    """
    memory = ctypes.create_string_buffer(64)
    with _listeners() as (places, was_heard), _outside() as outside:
        content = {
            **dataclasses.asdict(tries),
            "data": [str(path) for path in hidden_data or ()],
            "outside": str(outside),
            "parent": os.getpid(),
            "address": ctypes.addressof(memory),
            **places,
        }
        told = _asked(content)
        if "error" in told:  # Without a word of what could be done, nothing holds.
            words = f"no process could be confined: {told['error']}"
            return [Finding(name, False, words) for name in means.STOPS]
        told[means.NETWORK] += was_heard()
        told[means.TRACES] += _left_in_memory(told["pid"])
        if not outside.exists() or outside.read_text() != _SECRET:
            told[means.FILES].append("changed a file outside")
        return _findings(tries.rules, told, hidden_data is not None, is_watched)


def _asked(content: dict[str, Any]) -> dict[str, Any]:
    file = os.memfd_create("tries")
    try:
        os.write(file, json.dumps(content).encode())
        root = str(Path(__file__).resolve().parents[2])
        done = subprocess.run(
            [sys.executable, "-S", "-m", "algoperf.confinement.probe", str(file)],
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": root, "PYTHONDONTWRITEBYTECODE": "1"},
            pass_fds=(file, *content["rules"]["joins"]),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SEC,
        )
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        return {"error": last[0]}
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"error": str(error)}
    finally:
        os.close(file)
    return found


@contextlib.contextmanager
def _listeners() -> Iterator[tuple[dict[str, Any], Callable[[], list[str]]]]:
    """Where somebody listens, and a function that tells who was reached."""
    with (
        socket.socket() as tcp,
        socket.socket(type=socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX) as unix,
        tempfile.TemporaryDirectory() as folder,
    ):
        path = os.path.relpath(f"{folder}/s")  # The shorter of two names: the kernel takes about 100 letters.
        path = min(path, f"{folder}/s", key=len)
        for one, address in ((tcp, ("127.0.0.1", 0)), (udp, ("127.0.0.1", 0)), (unix, path)):
            one.bind(address)
            one.setblocking(False)
        tcp.listen()
        unix.listen()

        def was_heard() -> list[str]:
            found = []
            for name, take in (
                ("TCP", tcp.accept),
                ("UDP", lambda: udp.recv(9)),
                ("Unix sockets", unix.accept),
            ):
                with contextlib.suppress(BlockingIOError):
                    taken = take()
                    found.append(f"reached somebody by {name}")
                    if isinstance(taken, tuple):
                        taken[0].close()
            return found

        yield {"tcp": tcp.getsockname()[1], "udp": udp.getsockname()[1], "unix": path}, was_heard


@contextlib.contextmanager
def _outside() -> Iterator[Path]:
    """A file that the child has nothing to do with."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(os.path.realpath(folder)) / "outside"
        path.write_text(_SECRET)
        yield path


# ---- what it means ---------------------------------------------------------------------------------------------------


def _findings(rules: Rules, told: dict[str, Any], knows_data: bool, is_watched: bool) -> list[Finding]:
    applied = Applied(**{**told["applied"], "namespaces": frozenset(told["applied"]["namespaces"])})
    abi, own = applied.landlock, applied.namespaces
    has_landlock = f"Landlock, version {abi}" if abi else "no Landlock (Linux 5.13, switched on)"
    has_filter = "a filter of system calls" if applied.seccomp else "no filter of system calls"
    whose = "the processes' own" if rules.joins else "its own"
    has_network = f"a network of {whose}" if "network" in own else "no network namespace"
    has_mounts = "mounts of its own" if "mounts" in own else "no mounts of its own"
    signals = (
        has_landlock
        if abi >= landlock.SINCE["signals"]
        else f"{has_filter}, which lets it signal itself only"
    )
    counted = ["counted by the referee every second"] * is_watched
    tasks = [*["limited by the kernel"] * applied.limits_tasks, *counted]
    memory = [*["limited by the kernel for each process"] * bool(told["memory_limited"]), *counted]
    words = {
        means.PRIVILEGES: "no_new_privs",
        means.FILES: f"{has_landlock}; {has_mounts}",
        means.DATA: has_landlock if knows_data else "the workload does not say which files training needs",
        means.TRACES: f"a private folder; {has_mounts}; {has_filter}",
        means.NETWORK: f"{has_network}; {has_filter}",
        means.SIGNALS: signals,
        means.INSPECTION: f"{has_landlock}; {has_filter}",
        means.TASKS: ", ".join(tasks) or "nobody counts them",
        means.MEMORY: ", ".join(memory) or "nobody limits it",
    }
    broken: dict[str, list[str]] = {name: list(told.get(name, ())) for name in means.STOPS}
    broken[means.DATA] += [] if knows_data else ["could read all of the data"]
    if broken[means.FILES] and not broken[means.DATA] and not abi:
        broken[means.DATA].append("could read other files")
    broken[means.TASKS] += [] if tasks else ["has no limit"]
    broken[means.MEMORY] += [] if memory else ["has no limit"]
    return [
        Finding(name, not broken[name], "; ".join([words[name], *(f"it {text}" for text in broken[name])]))
        for name in means.STOPS
    ]


# ---- the child -------------------------------------------------------------------------------------------------------


def main(arguments: list[str]) -> int:
    """Is confined, tries, and prints what it could do."""
    with open(int(arguments[0])) as file:
        file.seek(0)
        content = json.load(file)
    rules = Rules.from_json(json.dumps(content["rules"]))
    applied = dataclasses.asdict(confine(rules))
    told: dict[str, Any] = {
        "applied": {**applied, "namespaces": sorted(applied["namespaces"])},
        means.PRIVILEGES: _privileges(),
        means.FILES: [*_files(content["secrets"], content["needed"]), *_writes(content["outside"])],
        means.DATA: [f"could read {path}" for path in content["data"] if _can_read(path)],
        means.TRACES: _traces(content["outside"]),
        means.NETWORK: _network(content),
        means.SIGNALS: _signals(content["parent"]),
        means.INSPECTION: _inspection(content["parent"], content["address"]),
        "pid": os.getpid(),
        "memory_limited": resource.getrlimit(resource.RLIMIT_DATA)[0] != resource.RLIM_INFINITY,
    }
    print(json.dumps(told))
    return 0


def _could(attempt: Callable[[], object], text: str) -> list[str]:
    """The text if an attempt succeeds."""
    try:
        attempt()
    except (OSError, ValueError):
        return []
    return [text]


def _can_read(path: str) -> bool:
    """Whether a file, or the names of a folder, can be read."""
    return bool(_could(lambda: os.listdir(path) if os.path.isdir(path) else open(path, "rb").close(), path))


def _privileges() -> list[str]:
    with contextlib.suppress(OSError):
        if kernel.prctl(kernel.PR_GET_NO_NEW_PRIVS) == 1:
            return []
    return ["may get more rights"]


def _files(secrets: Sequence[str], needed: Sequence[str]) -> list[str]:
    found = [f"could read {path}" for path in secrets if _can_read(path)]
    return found + [f"{CANNOT_READ} {path}" for path in needed if not _can_read(path)]


def _writes(outside: str) -> list[str]:
    folder = os.path.dirname(outside)
    return [
        *(["read a file outside"] if _can_read(outside) else []),
        *_could(lambda: open(outside, "a").close(), "opened a file outside for writing"),
        *_could(lambda: os.truncate(outside, 3), "cut a file short"),
        *_could(lambda: open(f"{folder}/new", "w").close(), "made a file outside"),
        *_could(lambda: os.rename(outside, f"{folder}/moved"), "moved a file"),
    ]


def _traces(outside: str) -> list[str]:
    with contextlib.suppress(OSError), open(_in_shared_memory(os.getpid()), "w"):
        pass  # The other side looks whether it is there.
    with contextlib.suppress(OSError):
        kernel.call("shmget", os.getpid(), 1, _CREATE)
    return [
        *_could(lambda: os.setxattr(outside, b"user.probe", b"1"), "could set an attribute of a file"),
        *_could(lambda: os.utime(outside), "could set the time of a file"),
        *_could(lambda: kernel.call("add_key", b"user", b"probe", b"1", 1, _OF_PROCESS), "could leave a key"),
    ]


def _left_in_memory(pid: int) -> list[str]:
    """What a child has left in memory that processes share, which is removed."""
    found = []
    with contextlib.suppress(OSError):
        os.remove(_in_shared_memory(pid))
        found.append("left something in /dev/shm")
    with contextlib.suppress(OSError):
        kernel.call("shmctl", kernel.call("shmget", pid, 0, 0), _REMOVE, None)
        found.append("left a segment of shared memory")
    return found


def _in_shared_memory(pid: int) -> str:
    return f"{SHARED_MEMORY}/algoperf_probe_{pid}"


def _network(content: dict[str, Any]) -> list[str]:
    for family, kind, address in (
        (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", content["tcp"])),
        (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", content["udp"])),
        (socket.AF_UNIX, socket.SOCK_STREAM, content["unix"]),
    ):
        with contextlib.suppress(OSError), socket.socket(family, kind) as one:
            one.settimeout(1.0)
            one.connect(address)
            one.send(b"x")
    return []  # The other side says who was reached.


def _signals(parent: int) -> list[str]:
    return _could(lambda: os.kill(parent, 0), "could signal the referee")


def _inspection(parent: int, address: int) -> list[str]:
    here, size = ctypes.create_string_buffer(8), 8
    own, other = ((ctypes.c_size_t * 2)(place, size) for place in (ctypes.addressof(here), address))
    return [
        *_could(lambda: open(f"/proc/{parent}/mem", "rb").close(), "opened the memory of the referee"),
        *_could(lambda: open(f"/proc/{parent}/environ", "rb").close(), "read the variables of the referee"),
        *_could(lambda: kernel.call("ptrace", _PTRACE_SEIZE, parent, 0, 0), "traced the referee"),
        *_could(lambda: kernel.call("process_vm_readv", parent, own, 1, other, 1, 0), "read its memory"),
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
