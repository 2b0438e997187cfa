"""Stands in for submission_runner.py: behaves as the file <job's folder>/../script.json says, without training.

A script is a list with an entry per start: {"evaluations": [[seconds, step, loss], ...], "sleep": s between them,
"exit": code, "status": ..., "error": ...}. Starts and ends are appended to starts.log beside it.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

flags = dict(argument[2:].split("=", 1) for argument in sys.argv[1:])
submission = Path(flags["submission"]).parent.name
place = Path(flags["experiment_dir"]) / submission / f"study_{flags['study']}"
folder = place / f"{flags['workload']}_{flags['framework']}" / f"trial_{flags['trial']}"
folder.mkdir(parents=True, exist_ok=True)
log = Path(flags["experiment_dir"]) / "starts.log"
scripts = json.loads((Path(flags["experiment_dir"]) / "scripts.json").read_text())
script = scripts.get(str(folder.relative_to(flags["experiment_dir"])), scripts["default"])


def note(text):
    with open(log, "a") as file:
        file.write(f"{text} {folder.relative_to(flags['experiment_dir'])} {os.getpid()}\n")


def summary(status, error=None, reached=None, time_sec=0.0):
    content = {
        "status": status,
        "error": error,
        "submission_time_sec": time_sec,
        "global_step": 10,
        "validation_target_reached": reached,
        "peak_memory": {"host_bytes": 1},
        "ledger": {"wall": 0.1},
        "identity": {"rng_seed": int(flags["rng_seed"])},
    }
    stop = folder / "stop.json"
    if status == "stopped":
        content["stop_reason"] = json.loads(stop.read_text())["reason"]
    (folder / "summary.json").write_text(json.dumps(content))


def stopped(number, frame):
    if (folder / "stop.json").exists():
        summary("stopped", time_sec=now)
        note("stopped")
        os._exit(0)
    note("interrupted")
    os._exit(128 + number)


signal.signal(signal.SIGTERM, stopped)
starts = (
    sum(str(folder.relative_to(flags["experiment_dir"])) in line for line in log.read_text().splitlines())
    if log.exists()
    else 0
)
now = 0.0
note("start")
one = script[min(starts, len(script) - 1)]
if one.get("exit"):
    print(one.get("error", "no message"), file=sys.stderr)
    if one.get("status"):
        summary(one["status"], one.get("error"))
    sys.exit(one["exit"])
rows = ["global_step,accumulated_submission_time,validation/accuracy"]
reached = None
for now, step, accuracy in one["evaluations"]:
    time.sleep(one.get("sleep", 0.0))
    rows.append(f"{step},{now},{accuracy}")
    (folder / "eval_measurements.csv").write_text("\n".join(rows) + "\n")
    if accuracy >= 0.9:
        reached = {"submission_time_sec": now, "global_step": step}
        break
summary("target_reached" if reached else "budget_exhausted", reached=reached, time_sec=now)
note("end")
