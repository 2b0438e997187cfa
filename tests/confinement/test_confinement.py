"""A confined process can do what training needs, and nothing that reaches beyond it."""

import ctypes
import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from algoperf.confinement import __main__ as command
from algoperf.confinement import kernel, landlock, means, places, probe, seccomp, shared, start
from algoperf.confinement.means import Finding
from algoperf.confinement.rules import Rules
from algoperf.settings import RunSettings
from algoperf.spec import UsageError

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="confinement needs Linux")

FORBIDDEN = {
    "files": (
        *(
            "read a file",
            "read a file in a thread",
            "read a file in a child",
            "list a folder",
            "run a program",
        ),
        *("write a file", "change a file", "cut a file", "move a file here", "link a file here"),
        *("read a file by a link", "read what another command is", "open the memory of the parent"),
    ),
    "calls": (
        *("set an attribute", "read the memory of the parent", "trace the parent", "signal the parent"),
        *("limit the parent", "connect by TCP", "send by UDP", "connect by a Unix socket"),
        *("connect by an abstract socket", "leave a key", "leave shared memory", "mount something"),
    ),
    "mounts": ("change the rights of a file", "change the time of a file"),
    "limits": ("have more memory", "dump memory", "get more rights"),
}
"""What stops it -> attempts."""
ALLOWED = (
    *("write a file of its own", "read of the machine", "read of itself", "run a program of the system"),
    *("pass a file", "signal a child"),
)


def has_namespaces():
    code = "from algoperf.confinement import kernel; kernel.unshare(0x50020000)"
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def tried(tmp_path_factory):
    """Attempt -> 'done', or the name of the error that a confined process got."""
    outside, private = (tmp_path_factory.mktemp(name).resolve() for name in ("outside", "private"))
    (outside / "secret").write_text("secret")
    (outside / "program").write_text("#!/bin/sh\n")
    (outside / "program").chmod(0o755)
    memory = ctypes.create_string_buffer(64)
    with (
        socket.socket() as tcp,
        socket.socket(type=socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX) as unix,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        path, name = os.path.relpath(private.parent / "s", ROOT), f"algoperf_tried_{os.getpid()}"
        os.chdir(ROOT)
        for one, address in (
            (tcp, ("127.0.0.1", 0)),
            (udp, ("127.0.0.1", 0)),
            (unix, path),
            (abstract, "\0" + name),
        ):
            one.bind(address)
        for one in (tcp, unix, abstract):
            one.listen()
        told = {
            "parent": os.getpid(),
            "outside": str(outside),
            "private": str(private),
            "address": ctypes.addressof(memory),
            "tcp": tcp.getsockname()[1],
            "udp": udp.getsockname()[1],
            "unix": path,
            "abstract": name,
            "memory": 3 << 30,
        }
        run, look = places.around(places.programs(), ())
        rules = Rules(
            run=tuple(run),
            look=tuple(look),
            read=(*places.settings(), str(ROOT / "algoperf"), str(HERE)),
            write=(str(private),),
            devices=tuple(places.devices()),
            memory_bytes=2 << 30,
            max_tasks=10_000,
        )
        file = start.rules_file(rules)
        found = subprocess.run(
            [*start.command(file, "tried"), json.dumps(told)],
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}", "TMPDIR": str(private)},
            pass_fds=(file,),
            stdout=subprocess.PIPE,
            check=True,
        )
        os.close(file)
    return json.loads(found.stdout)


@pytest.mark.parametrize(
    ("what", "attempt"), [(what, one) for what, found in FORBIDDEN.items() for one in found]
)
def test_a_confined_process_can_not(tried, what, attempt):
    if what == "files" and landlock.version() < landlock.SINCE["files"]:
        pytest.skip("this kernel has no Landlock, or an old one")
    if what == "calls" and not seccomp.is_available():
        pytest.skip("there is no filter of system calls for this machine")
    if what == "mounts" and not has_namespaces():
        pytest.skip("this user may make no namespaces")
    assert tried[attempt] != "done"


@pytest.mark.parametrize("attempt", ALLOWED)
def test_a_confined_process_can(tried, attempt):
    assert tried[attempt] == "done"


def test_a_confined_process_can_compile_and_share_work(tried):
    assert tried.get("call compiled machine code", "done") == "done"
    if not has_namespaces():
        pytest.skip("this user may make no namespaces, and shared memory is for all")
    assert tried["share work with processes"] == "done"
    assert not os.path.exists(f"/dev/shm/algoperf_tried_{os.getpid()}")


# ---- what is found to hold -------------------------------------------------------------------------------------------


def missing(monkeypatch, without):
    monkeypatch.setenv(kernel.WITHOUT, without)
    return {one.means for one in command.findings() if not one.held}


def test_each_means_is_missing_where_a_machine_lacks_what_it_rests_on(monkeypatch):
    if missing(monkeypatch, ""):
        pytest.skip("this machine lacks something in any case")
    assert missing(monkeypatch, "landlock") == {means.FILES, means.DATA}
    assert missing(monkeypatch, "seccomp") == {means.TRACES, means.NETWORK}
    everything = {*means.STOPS} - {means.PRIVILEGES, means.TASKS, means.MEMORY}
    assert missing(monkeypatch, "landlock,seccomp,namespaces") == everything


def test_an_older_landlock_is_helped_out_by_the_filter(monkeypatch):
    monkeypatch.setenv(kernel.WITHOUT, "landlock>3")
    if landlock.version() != 3 or not seccomp.is_available():
        pytest.skip("this kernel has no Landlock, or an older one, or no filter")
    signals = next(one for one in command.findings() if one.means == means.SIGNALS)
    assert signals.held
    assert "signal itself only" in signals.words


def test_a_file_that_can_be_read_against_the_rules_is_named(tmp_path):
    (tmp_path / "validation").write_text("x")
    rules = Rules(run=tuple(places.programs()), read=(str(tmp_path), *places.settings()), write=())
    found = {one.means: one for one in probe.run(probe.Tries(rules=rules), [tmp_path / "validation"])}
    assert not found[means.DATA].held
    assert f"could read {tmp_path / 'validation'}" in found[means.DATA].words
    unknown = {one.means: one for one in probe.run(probe.Tries(rules=rules), None)}
    assert "does not say which files" in unknown[means.DATA].words


@pytest.mark.parametrize(("held", "code"), [(True, 0), (False, 1)])
def test_the_command_tells_what_is_missing(monkeypatch, capsys, held, code):
    monkeypatch.setattr(command, "findings", lambda: [Finding(means.FILES, held, "by words")])
    assert command.main() == code
    assert ("missing: files" in capsys.readouterr().out) != held


LOOPBACK = """
import socket, sys
from algoperf.confinement.apply import confine
from algoperf.confinement.rules import Rules
done = confine(Rules(loopback=True, run=("/",)))
with socket.socket() as listening, socket.socket() as one:
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    one.connect(listening.getsockname())
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), 2)
except ConnectionRefusedError:
    print("alone")
"""


def test_confined_processes_may_be_let_speak_with_each_other_alone():
    if not has_namespaces():
        pytest.skip("this user may make no namespaces")
    with socket.create_server(("127.0.0.1", 0)) as outside:
        done = subprocess.run(
            [sys.executable, "-S", "-c", LOOPBACK, str(outside.getsockname()[1])],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
    assert done.stdout == "alone\n", done.stderr


MEMBER = """
import os, socket, sys
from algoperf.confinement.apply import confine
from algoperf.confinement.rules import Rules
port, rules = sys.argv[1:]
confine(Rules.from_json(rules))
with socket.socket() as listening:
    try:  # The second finds the place taken, as both are in one network.
        listening.bind(("127.0.0.1", 1234))
        listening.listen()
        print("listens", flush=True)
        sys.stdin.readline()
    except OSError:
        socket.create_connection(("127.0.0.1", 1234), 2).close()
        print("meets", flush=True)
try:
    socket.create_connection(("127.0.0.1", int(port)), 2)
except ConnectionRefusedError:
    print("alone", os.getcwd())
"""


def test_processes_that_are_confined_one_by_one_share_a_network_that_nobody_else_hears():
    if not has_namespaces():
        pytest.skip("this user may make no namespaces")
    with (
        socket.create_server(("127.0.0.1", 0)) as outside,
        shared.made(Rules(run=("/",))) as rules,
    ):
        command = [sys.executable, "-S", "-c", MEMBER, str(outside.getsockname()[1]), rules.to_json()]
        started = []
        for word in ("listens", "meets"):
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            started.append(subprocess.Popen(command, cwd=ROOT, pass_fds=rules.joins, **pipes))
            assert started[-1].stdout.readline().strip() == word
        for process in started:
            assert process.communicate("", timeout=60)[0] == f"alone {ROOT}\n"


def test_processes_that_can_share_no_network_meet_on_that_of_the_host(monkeypatch):
    monkeypatch.setenv(kernel.WITHOUT, "namespaces")
    with shared.made(Rules(run=("/",))) as rules:
        assert (rules.joins, rules.network_of_host) == ((), True)
        found = {one.means: one for one in probe.run(probe.Tries(rules=rules))}
    assert "reached somebody by TCP" in found[means.NETWORK].words


def test_threads_that_would_stay_free_are_refused():
    code = "import threading, time; threading.Thread(target=time.sleep, args=(9,), daemon=True).start()\n"
    code += "from algoperf.confinement import apply, rules; apply.confine(rules.Rules())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "before it starts threads" in done.stderr


def test_require_without_a_referee_is_refused():
    with pytest.raises(UsageError, match="--confine=require needs --referee"):
        RunSettings(confine="require").check_together()


# ---- paths -----------------------------------------------------------------------------------------------------------


def test_what_is_hidden_is_left_out_and_all_else_is_covered(tmp_path):
    for name in ("a/one", "a/b/two", "a/b/hidden/three", "c/four"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a" / "link").symlink_to(tmp_path / "a" / "b" / "hidden")
    whole, above = places.around([tmp_path / "a", tmp_path / "c"], {tmp_path / "a" / "b" / "hidden"})
    assert sorted(whole) == [str(tmp_path / name) for name in ("a/b/two", "a/one", "c")]
    assert sorted(above) == [str(tmp_path / name) for name in ("a", "a/b")]


def test_a_hidden_folder_around_a_path_does_not_take_it_away(tmp_path):
    (tmp_path / "results" / "code").mkdir(parents=True)
    assert places.around([tmp_path / "results" / "code"], {tmp_path / "results"}) == (
        [str(tmp_path / "results" / "code")],
        [],
    )


def test_folders_that_hold_other_things_are_no_programs(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path), str(tmp_path.parent)])
    assert str(tmp_path) in places.programs()
    assert not {str(tmp_path), str(tmp_path.parent)} & {*places.programs(leave_out=[str(tmp_path)])}


def test_devices_are_devices():
    for path in places.devices():
        mode = os.stat(path).st_mode
        assert stat.S_ISCHR(mode) or stat.S_ISDIR(mode)
