"""Stopping a process and all that it has started."""

import json
import os
import subprocess
import sys
import time

import pytest

from algoperf.referee import freeze

# A process with a thread, a child, and a grandchild that has left its session and its parent.
TREE = """
import os, subprocess, sys, threading, time
folder = sys.argv[1]
while not os.path.exists(folder + "/begin"):
    time.sleep(0.01)
COUNT = '''
import os, sys, time
with open(sys.argv[1], "w", buffering=1) as file:
    while True:
        sum(range(10_000)); file.write("x"); file.flush(); time.sleep(0.001)
'''
subprocess.Popen([sys.executable, "-S", "-c", COUNT, folder + "/child"])
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv(sys.executable, [sys.executable, "-S", "-c", COUNT, folder + "/orphan"])
    os._exit(0)
os.wait()
threading.Thread(target=exec, args=(COUNT.replace("sys.argv[1]", "folder + '/thread'"), globals()), daemon=True).start()
time.sleep(600)
"""
# The referee is a process of its own here, as it takes orphans in.
PARENT = """
import json, os, subprocess, sys, time
from algoperf.referee import cgroup, freeze
folder = sys.argv[1]
NAMES = ("child", "orphan", "thread")
def sizes():
    return [os.path.getsize(f"{folder}/{name}") if os.path.exists(f"{folder}/{name}") else 0 for name in NAMES]
def grown(seconds):
    before = sizes(); time.sleep(seconds)
    return [after - one for one, after in zip(before, sizes())]
freeze.adopt_orphans()
def started(*arguments):
    return subprocess.Popen([sys.executable, "-S", *arguments], start_new_session=True)
freezer = cgroup.make() if sys.argv[2] == "cgroup" else None
leader = started(folder + "/tree.py", folder)
bystander = started("-c", "import time; time.sleep(600)")
group = freeze.Group([leader.pid], bystander.pid, freezer)
open(folder + "/begin", "w").close()
while not all(sizes()):
    time.sleep(0.01)
found = {"method": group.method, "members": len(group.members()), "others": len(group.others())}
pause = group.stop()
found["moving"], found["stopped"] = len(pause.moving), grown(0.2)
found["ran"] = group.ran_sec(pause)
group.resume()
before = group.effort()
found["resumed"] = grown(0.5)
used = group.effort().minus(before)
found["used"] = [used.wall_sec, used.cpu_sec]
pause = group.stop()
os.kill(next(one.pid for one in group.others()), 18)
end = time.monotonic() + (20 if freezer is None else 0.5)
while not group.ran_sec(pause) and time.monotonic() < end:
    time.sleep(0.05)
found["ran_again"] = group.ran_sec(pause)
group.kill()
found["left"], found["bystander"] = len(group.members()), bystander.poll()
bystander.kill(); bystander.wait(); leader.wait()
print(json.dumps(found))
"""


@pytest.fixture(scope="module", params=["SIGSTOP", "cgroup"])
def found(request, tmp_path_factory):
    """What happened to such a tree of processes, which was stopped in one of two ways."""
    folder = tmp_path_factory.mktemp("tree")
    (folder / "tree.py").write_text(TREE)
    command = [sys.executable, "-c", PARENT, str(folder), request.param]
    text = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    result = json.loads(text)
    if result["method"] != request.param:
        pytest.skip("this user may make no control group here")
    return result


def test_children_orphans_and_threads_are_stopped_with_a_process(found):
    assert found["members"] == 3
    assert found["others"] == 2
    assert (found["moving"], found["stopped"], found["ran"]) == (0, [0, 0, 0], 0)


def test_they_go_on_when_they_may(found):
    assert all(found["resumed"])


def test_what_they_use_meanwhile_is_measured(found):
    wall_sec, cpu_sec = found["used"]
    assert wall_sec >= 0.5
    assert cpu_sec > 0


def test_processor_time_of_children_that_have_ended_counts(monkeypatch):
    group = freeze.Group([os.getpid()], evaluator=0)
    group._reaped_sec = 4.0
    own = freeze.Process(os.getpid(), "R", 0, 0, cpu_sec=3.0, own_cpu_sec=1.0)
    monkeypatch.setattr(group, "_all", lambda: [own])
    before = time.process_time()
    assert before + 2 + 4 <= group.effort().cpu_sec <= time.process_time() + 2 + 4


def test_one_that_is_woken_by_another_is_found_or_stays_asleep(found):
    assert (found["ran_again"] > 0) == (found["method"] == "SIGSTOP")


def test_nothing_is_left_of_them_in_the_end(found):
    assert (found["left"], found["bystander"]) == (0, None)
