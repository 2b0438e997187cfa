"""What is recorded about the machine."""

from algoperf import machine
from algoperf.machine import busy_warning  # Before any test replaces it.


def test_a_busy_machine_is_reported_with_its_load_and_a_free_one_is_not(monkeypatch):
    monkeypatch.setattr(machine.psutil, "cpu_percent", lambda interval: 75.0)
    assert "75 %" in busy_warning()
    monkeypatch.setattr(machine.psutil, "cpu_percent", lambda interval: 3.0)
    assert busy_warning() is None
