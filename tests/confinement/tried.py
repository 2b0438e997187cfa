"""What a confined process tries; prints attempt -> what came of it. Run with `algoperf.confinement.start`."""

import ctypes
import json
import multiprocessing
import os
import resource
import shutil
import socket
import subprocess
import sys
import threading

from algoperf.confinement import kernel


def outcome(attempt):
    try:
        return attempt() or "done"
    except (OSError, MemoryError, subprocess.CalledProcessError) as error:
        return type(error).__name__


def opened(path, mode="r"):
    open(path, mode).close()


def in_a_thread(attempt):
    found = []
    thread = threading.Thread(target=lambda: found.append(outcome(attempt)))
    thread.start()
    thread.join()
    return found[0]


def in_a_child(code, *arguments):
    subprocess.run([sys.executable, "-S", "-c", code, *arguments], check=True, stderr=subprocess.DEVNULL)


def connected(family, kind, address):
    with socket.socket(family, kind) as one:
        one.settimeout(2)
        one.connect(address)
        one.send(b"x")


def passed_a_file():
    """A message with an open file, as the referee gets it."""
    own, other = socket.socketpair()
    with own, other, open(os.devnull) as file:
        socket.send_fds(own, [b"x"], [file.fileno()])
        _, (descriptor,), _, _ = socket.recv_fds(other, 1, 1)
        os.close(descriptor)


def called_machine_code(folder):
    with open(f"{folder}/one.c", "w") as file:
        file.write("int one(void) { return 1; }")
    subprocess.run(["cc", "-shared", "-fPIC", f"{folder}/one.c", "-o", f"{folder}/one.so"], check=True)
    assert ctypes.CDLL(f"{folder}/one.so").one() == 1


def shared_work():
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.map(abs, [-1]) == [1]


def read_memory_of(pid, address):
    here = ctypes.create_string_buffer(8)
    own, other = ((ctypes.c_size_t * 2)(place, 8) for place in (ctypes.addressof(here), address))
    kernel.call("process_vm_readv", pid, own, 1, other, 1, 0)


def main(arguments):
    told = json.loads(arguments[0])
    parent, outside, private = told["parent"], told["outside"], told["private"]
    secret, program = f"{outside}/secret", f"{outside}/program"
    inet, unix, stream = socket.AF_INET, socket.AF_UNIX, socket.SOCK_STREAM
    with open(f"/dev/shm/algoperf_tried_{parent}", "w"):
        pass
    attempts = {
        "read a file": lambda: opened(secret),
        "read a file in a thread": lambda: in_a_thread(lambda: opened(secret)),
        "read a file in a child": lambda: in_a_child("import sys; open(sys.argv[1])", secret),
        "list a folder": lambda: os.listdir(outside) and None,
        "run a program": lambda: subprocess.run([program], check=True) and None,
        "write a file": lambda: opened(f"{outside}/new", "w"),
        "change a file": lambda: opened(secret, "a"),
        "cut a file": lambda: os.truncate(secret, 0),
        "move a file here": lambda: os.rename(secret, f"{private}/secret"),
        "link a file here": lambda: os.link(secret, f"{private}/link"),
        "read a file by a link": lambda: (os.symlink(secret, f"{private}/other"), opened(f"{private}/other"))[
            1
        ],
        "change the rights of a file": lambda: os.chmod(secret, 0o666),
        "change the time of a file": lambda: os.utime(secret, (1, 1)),
        "set an attribute": lambda: os.setxattr(secret, b"user.x", b"1"),
        "read what another command is": lambda: opened(f"/proc/{parent}/cmdline"),
        "open the memory of the parent": lambda: opened(f"/proc/{parent}/mem", "rb"),
        "read the memory of the parent": lambda: read_memory_of(parent, told["address"]),
        "trace the parent": lambda: kernel.call("ptrace", 0x4206, parent, 0, 0),
        "signal the parent": lambda: os.kill(parent, 0),
        "limit the parent": lambda: resource.prlimit(parent, resource.RLIMIT_CPU) and None,
        "connect by TCP": lambda: connected(inet, stream, ("127.0.0.1", told["tcp"])),
        "send by UDP": lambda: connected(inet, socket.SOCK_DGRAM, ("127.0.0.1", told["udp"])),
        "connect by a Unix socket": lambda: connected(unix, stream, told["unix"]),
        "connect by an abstract socket": lambda: connected(unix, stream, "\0" + told["abstract"]),
        "leave a key": lambda: kernel.call("add_key", b"user", b"x", b"1", 1, -2) and None,
        "leave shared memory": lambda: kernel.call("shmget", parent, 1, 0o1600) and None,
        "mount something": lambda: kernel.mount("none", private, "tmpfs", 0),
        "have more memory": lambda: bytearray(told["memory"]) and None,
        "dump memory": lambda: None if resource.getrlimit(resource.RLIMIT_CORE)[1] else "no",
        "get more rights": lambda: None if kernel.prctl(kernel.PR_GET_NO_NEW_PRIVS) == 0 else "no",
        "write a file of its own": lambda: opened(f"{private}/own", "w"),
        "read of the machine": lambda: opened("/proc/meminfo"),
        "read of itself": lambda: opened("/proc/self/status"),
        "run a program of the system": lambda: subprocess.run(["true"], check=True) and None,
        "pass a file": passed_a_file,
        "share work with processes": shared_work,
        "signal a child": lambda: subprocess.Popen(["sleep", "60"]).kill(),
    }
    if shutil.which("cc"):
        attempts["call compiled machine code"] = lambda: called_machine_code(private)
    print(json.dumps({name: outcome(attempt) for name, attempt in attempts.items()}))
    return 0
