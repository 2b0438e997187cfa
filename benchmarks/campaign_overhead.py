"""Overhead of a campaign: time per trial of the local engine, and time to recognise finished trials.

  python benchmarks/campaign_overhead.py

The first measurement runs trials that end at once, under the engine and alone, in turn; the difference is the cost
of the engine and its launcher. The second writes summaries of 1,000 trials and times the whole command that finds
all of them finished: with scores, and with --plan, which prints the table of trials instead.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from algoperf import commands, records
from algoperf.settings import RunSettings
from campaign import job_plan
from campaign.local import LocalEngine, places
from campaign.store import Store

ROOT = Path(__file__).resolve().parents[1]
REPEATS = 3
FLAGS = flags.FLAGS
flags.DEFINE_integer("trials", 20, "Trials per turn of the first measurement.")
flags.DEFINE_integer("finished", 1000, "Finished trials of the second one.")

# A trial that only writes its summary.
EMPTY_TRIAL = """
import json, os, sys
flags = dict(argument[2:].split("=", 1) for argument in sys.argv[1:])
name = os.path.basename(os.path.dirname(flags["submission"]))
folder = os.path.join(flags["experiment_dir"], name, "study_" + flags["study"],
                      flags["workload"] + "_" + flags["framework"], "trial_" + flags["trial"])
os.makedirs(folder)
with open(os.path.join(folder, "summary.json"), "w") as file:
    json.dump({"status": "target_reached"}, file)
"""
# -I and -S skip site-packages: the start-up of the empty trial would otherwise hide the engine's own cost.
COMMAND = (sys.executable, "-I", "-S", "-c", EMPTY_TRIAL)


def main(argv: Sequence[str]) -> None:
    del argv
    with tempfile.TemporaryDirectory() as folder:
        seconds = [per_trial(Path(folder) / str(turn)) for turn in range(REPEATS)]
        overhead = [engine - alone for engine, alone in seconds]
        print(
            f"engine: {statistics.median(overhead):.3f} s per trial beside its process (median of {REPEATS} turns)"
        )
        finished(Path(folder) / "finished")


def campaign_of(folder: Path, num_trials: int) -> job_plan.Campaign:
    """A campaign of at least `num_trials` trials; a submission has 120 of them."""
    algorithms = sorted(
        path.parent.name for path in (ROOT / "reference_algorithms").glob("*/tuning_search_space.json")
    )
    chosen = algorithms[: -(-num_trials // 120)]
    return job_plan.Campaign(
        experiment_dir=folder,
        settings=RunSettings(suite="mini", framework="jax"),
        submissions=tuple(str(ROOT / "reference_algorithms" / name) for name in chosen),
    )


def per_trial(folder: Path) -> tuple[float, float]:
    """Seconds per trial: (under the engine, its process alone)."""
    campaign = campaign_of(folder, FLAGS.trials)
    jobs = job_plan.make_jobs(campaign)[: FLAGS.trials]
    engine = LocalEngine(Store(campaign.experiment_dir), jobs, places(1), None, lambda *_: None, COMMAND)
    start = time.perf_counter()
    engine.run()
    under_engine = time.perf_counter() - start
    records_of = [f"--experiment_dir={folder / 'alone'}"]
    start = time.perf_counter()
    for job in jobs:
        arguments = [one for one in job.arguments if not one.startswith("--experiment_dir=")]
        subprocess.run([*COMMAND, *arguments, *records_of], check=True)
    return under_engine / len(jobs), (time.perf_counter() - start) / len(jobs)


def finished(folder: Path) -> None:
    """Prints how long run_benchmark.py takes to recognise finished trials."""
    campaign = campaign_of(folder, FLAGS.finished)
    jobs = job_plan.make_jobs(campaign)
    header = "accumulated_submission_time,global_step,validation/loss,validation/accuracy\n"
    for job in jobs:
        job.folder.mkdir(parents=True)
        records.write_json(
            job.folder / records.SUMMARY, {"status": "target_reached", "submission_time_sec": 1.0}
        )
        (job.folder / records.EVAL_MEASUREMENTS).write_text(header + "1.0,1,1.0,0.5\n")
    flags_given = [
        f"--submissions={','.join(campaign.submissions)}",
        "--framework=jax",
        f"--experiment_dir={folder}",
    ]
    for what, extra in (
        ("until --plan is printed", ["--plan"]),
        ("until the scores are printed", ["--quiet"]),
    ):
        seconds = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            subprocess.run(
                [sys.executable, str(ROOT / "run_benchmark.py"), "--suite=mini", *flags_given, *extra],
                check=True,
                stdout=subprocess.DEVNULL,
            )
            seconds.append(time.perf_counter() - start)
        print(f"{len(jobs)} finished trials: {statistics.median(seconds):.2f} s {what} (median of {REPEATS})")


if __name__ == "__main__":
    commands.run(main)
