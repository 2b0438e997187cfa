"""What is recorded about the machine."""

import os
import subprocess
import sys

import pytest
from harness import ROOT

from algoperf import machine
from algoperf.machine import busy_warning  # Before any test replaces it.


def test_a_busy_machine_is_reported_with_its_load_and_a_free_one_is_not(monkeypatch):
    monkeypatch.setattr(machine.psutil, "cpu_percent", lambda interval: 75.0)
    assert "75 %" in busy_warning()
    monkeypatch.setattr(machine.psutil, "cpu_percent", lambda interval: 3.0)
    assert busy_warning() is None


@pytest.mark.skipif(not machine.keep_freed_memory(), reason="the C library has no switch for it")
def test_memory_that_was_freed_is_used_again_without_new_pages():
    script = """
import resource, sys
from algoperf import machine
if sys.argv[1] == "keep":
    machine.keep_freed_memory()
def faults():
    start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytearray(b"x") * 50_000_000
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start
faults()
print(faults())
"""
    counts = {}
    for setting in ("keep", "default"):
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MALLOC_")}
        command = [sys.executable, "-c", script, setting]
        done = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, check=True)
        counts[setting] = int(done.stdout)
    assert counts["keep"] < 100
    assert counts["default"] > 10 * counts["keep"]
