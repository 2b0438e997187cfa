"""Results of the short trials that tests of the referee run."""

import csv
import json
import time
import types

STEPS = 6
EVERY = 3


def results(folder, framework="pytorch"):
    """The folder of the trial, its summary, and rows of its evaluations."""
    trial = folder / "x" / f"digits_{framework}" / "trial_1"
    rows = []
    if (trial / "eval_measurements.csv").exists():
        with open(trial / "eval_measurements.csv") as file:
            rows = list(csv.DictReader(file))
    summary = trial / "summary.json"
    found = json.loads(summary.read_text()) if summary.exists() else None
    return types.SimpleNamespace(trial=trial, summary=found, rows=rows)


def wait_for(is_there, what, seconds=200):
    """Waits until something is there."""
    end = time.monotonic() + seconds
    while not is_there():
        assert time.monotonic() < end, f"no {what}"
        time.sleep(0.05)
