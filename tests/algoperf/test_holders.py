"""Who holds a claim: processes that are known by boot, namespace, number and start, and heartbeats of the others."""

import os
import pickle
import subprocess
import sys
import time

import psutil
import pytest

from algoperf import holders


def test_a_process_lives_until_it_has_ended_and_a_zombie_has():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    holder = holders.identity_of_process(child.pid)
    assert holders.is_alive(holder)
    child.stdin.close()
    while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert holders.is_alive(holder) is False, "only its exit code is left"
    child.wait()
    assert holders.is_alive(holder) is False


@pytest.mark.parametrize("step", [-30, 1.5, 3600])
def test_a_clock_that_was_set_makes_no_living_process_dead(monkeypatch, step):
    holder = holders.identity_of_process(os.getpid())
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + step)
    monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: now() + step)
    assert holders.is_alive(holder)


def test_a_later_process_of_the_same_number_is_another():
    holder = holders.identity_of_process(os.getpid())
    assert holders.is_alive({**holder, "ticks": holder["ticks"] - 1}) is False


@pytest.mark.parametrize(
    "change",
    [
        {"host": "another"},
        {"boot": "another"},
        {"pid_namespace": "pid:[1]"},
        {"pid": "7"},
        {"ticks": None},
        {"pid": None},
    ],
)
def test_nothing_is_known_of_what_runs_elsewhere_or_is_not_well_formed(change):
    holder = {**holders.identity_of_process(os.getpid()), **change}
    assert holders.is_alive(holder) is None
    assert holders.is_alive({}) is None


def test_a_number_too_large_for_the_system_is_no_process():
    holder = {**holders.identity_of_process(os.getpid()), "pid": 10**30}
    assert holders.is_alive(holder) is False


def test_a_process_that_may_not_be_looked_at_is_not_dead(monkeypatch):
    """As where /proc is mounted with hidepid, and the holder is another user's."""
    holder = holders.identity_of_process(os.getpid())
    monkeypatch.setattr(holders, "_status", lambda pid: None)
    assert holders.is_alive(holder) is None


def test_numbers_of_another_namespace_than_that_of_proc_say_nothing(monkeypatch):
    holder = holders.identity_of_process(os.getpid())
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert holders.is_alive(holder) is None
    assert "boot" not in holders.identity_of_process(1)


# ---- heartbeats --------------------------------------------------------------------------------------------------


@pytest.fixture
def claim(tmp_path):
    path = tmp_path / "claim"
    path.touch()
    return path


def dated(path, age):
    """Gives the file an age, in seconds."""
    os.utime(path, (time.time() - age,) * 2)


@pytest.mark.parametrize(("age", "is_fresh"), [(0, True), (40, True), (61, False), (-40, True)])
def test_at_first_sight_the_age_counts(claim, age, is_fresh):
    dated(claim, age)
    assert holders.Watch(claim.parent).is_fresh(claim) is is_fresh
    assert list(claim.parent.iterdir()) == [claim], "asking for the time leaves nothing"


def test_a_claim_that_is_renewed_is_fresh_even_if_the_clock_was_set(claim):
    watch = holders.Watch(claim.parent)
    assert watch.is_fresh(claim)
    assert not watch.has_beaten(claim)
    dated(claim, 3600)  # As a beat just before the clock was set an hour on.
    assert watch.is_fresh(claim)
    assert watch.has_beaten(claim)


@pytest.mark.parametrize("age", [0, -3600])
def test_a_claim_that_is_not_renewed_is_stale_after_a_while_whatever_it_is_dated(claim, age, monkeypatch):
    dated(claim, age)
    watch, now = holders.Watch(claim.parent), time.monotonic()
    assert watch.is_fresh(claim)
    monkeypatch.setattr(time, "monotonic", lambda: now + holders.STALE_AFTER_SEC + 1)
    assert not watch.is_fresh(claim)
    holders.beat(claim)
    assert watch.is_fresh(claim)


def test_a_claim_that_is_gone_is_not_fresh(claim):
    claim.unlink()
    assert not holders.Watch(claim.parent).is_fresh(claim)


def test_what_a_watch_has_seen_stays_on_its_machine(claim):
    watch = holders.Watch(claim.parent)
    watch.is_fresh(claim)
    assert pickle.loads(pickle.dumps(watch))._seen == {}
