"""Stands in for submission_runner.py in sweeps: a result that follows from point and study, without training.

Its point is entry --trial of the --tuning_search_space. Starts and ends are appended to starts.log in the sweep folder;
a number in slow.txt there is the time that each trial takes, in seconds, and a workload named in nan.txt has no finite
metric. Standard library only, to be quick.
"""

import json
import math
import sys
import time
from pathlib import Path

flags = dict(argument[2:].split("=", 1) for argument in sys.argv[1:])
root = Path(flags["experiment_dir"])
sweep_dir = root.parent if root.name in ("reruns", "weak") else root
algorithm = Path(flags["submission"]).parent.name
trial, study, rng_seed = (int(flags[name]) for name in ("trial", "study", "rng_seed"))
point = json.loads(Path(flags["tuning_search_space"]).read_text())[trial - 1]
place = f"{algorithm}/study_{study}/{flags['workload']}_{flags['framework']}/trial_{trial}"
folder = root / place


def note(text):
    with open(sweep_dir / "starts.log", "a") as file:
        file.write(f"{text} {(root / place).relative_to(sweep_dir)}\n")


def write(name, content):
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))


note("start")
folder.mkdir(parents=True, exist_ok=True)
write("hparams.json", point)
write("meta_data_0.json", {"rng_seed": rng_seed, "seeds": {"init": 1000 * rng_seed + 100 * study + trial}})
if (sweep_dir / "slow.txt").exists():
    time.sleep(float((sweep_dir / "slow.txt").read_text()))
accuracy = 0.9 - 0.1 * abs(math.log10(point["learning_rate"] / 0.003)) - 0.001 * study
if (sweep_dir / "nan.txt").exists() and flags["workload"] == (sweep_dir / "nan.txt").read_text():
    accuracy = math.nan
steps = int(flags["max_global_steps"])
header = "global_step,accumulated_submission_time,validation/accuracy,test/accuracy,train/accuracy"
start, end = (accuracy, accuracy) if math.isnan(accuracy) else (0.0, 0.1)
rows = [
    f"1,0.1,{start},{start},1.0\n{steps // 2},10,{accuracy},{accuracy - 0.01},0.5\n{steps},20,{end},{end},0.5"
]
write("eval_measurements.csv", "\n".join([header, *rows]) + "\n")
summary = {
    "status": "max_steps",
    "submission_time_sec": 20.0,
    "global_step": steps,
    "identity": {
        "rng_seed": rng_seed,
        "hyperparameters": point,
        "run_past_targets": flags["run_past_targets"] == "True",
    },
    "validation_target_reached": None,
    "peak_memory": {"host_bytes": 1},
    "ledger": {"wall": 0.1},
}
write("summary.json", summary)
note("end")
