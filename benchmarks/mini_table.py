"""Runs reference algorithms on the mini workloads and prints the table of reference_algorithms/README.md.

  python benchmarks/mini_table.py --experiment_dir=<folder>
  python benchmarks/mini_table.py --experiment_dir=<folder> --algorithms=muon --workloads=wmt_mini --point=3
  python benchmarks/mini_table.py --experiment_dir=<folder> --print_only

Each run is `submission_runner.py` in a process of its own. What is finished in the folder is not run again, so the
command can be interrupted. A run ends at the targets, at the step hint or with the budget. A cell is seconds on the
clock and updates until the validation target, and the best validation metric; or that metric and "missed".
"""

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from absl import app, flags

from algoperf import records, registry, suites
from algoperf.spec import no_such

ROOT = Path(__file__).resolve().parents[1]
ALGORITHMS = ("nadamw", "adamw", "nesterov", "schedule_free", "muon", "shampoo")

FLAGS = flags.FLAGS
flags.DEFINE_string("experiment_dir", None, "Root of the results.", required=True)
flags.DEFINE_string("data_dir", None, "Root of prepared data; the runner's default if left out.")
flags.DEFINE_list("algorithms", list(ALGORITHMS), "Folders of reference_algorithms.")
flags.DEFINE_list("workloads", None, "Workloads; all of the mini suite by default.")
flags.DEFINE_list("frameworks", ["jax", "pytorch"], "Frameworks.")
flags.DEFINE_integer("point", None, "Point of the search space, from 1; by default the self-tuning ruleset.")
flags.DEFINE_string(
    "search_space", None, "File name beside the submission; tuning_search_space.json by default."
)
flags.DEFINE_integer("jobs", 1, "Runs at a time, each on its share of the cores.")
flags.DEFINE_boolean("print_only", False, "Only print the table of what is there.")

Job = tuple[str, str, str]


def main(argv: list[str]) -> None:
    del argv
    workloads = FLAGS.workloads or suites.load("mini").workloads
    for framework in FLAGS.frameworks:
        if framework not in ("jax", "pytorch"):
            raise app.UsageError(str(no_such("framework", framework, ["jax", "pytorch"])))
    for algorithm in FLAGS.algorithms:
        if not (ROOT / "reference_algorithms" / algorithm / "self_tuning.py").is_file():
            raise app.UsageError(f"There is no folder reference_algorithms/{algorithm} with a submission.")
    jobs = [(a, w, f) for w in workloads for f in FLAGS.frameworks for a in FLAGS.algorithms]
    if not FLAGS.print_only:
        _run_all([job for job in jobs if _summary(job) is None])
    print(_table(FLAGS.algorithms, workloads, FLAGS.frameworks))


# ---- runs -------------------------------------------------------------------------------------------------


def _root() -> Path:
    """One folder per ruleset and search space, so that equal trial numbers do not meet."""
    name = "self" if FLAGS.point is None else Path(FLAGS.search_space or "external").stem
    return Path(FLAGS.experiment_dir).expanduser() / name


def _summary(job: Job) -> dict[str, Any] | None:
    """What a finished run left."""
    algorithm, workload, framework = job
    folder = records.trial_folder(_root(), f"{algorithm}/study_0", workload, framework, FLAGS.point or 1)
    file = folder / records.SUMMARY
    return json.loads(file.read_text()) if file.is_file() else None


def _run_all(jobs: list[Job]) -> None:
    waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []

    def work(number: int) -> None:
        while True:
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                return
            _run(job, cores[number :: FLAGS.jobs])

    workers = [threading.Thread(target=work, args=(number,)) for number in range(FLAGS.jobs)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def _run(job: Job, cores: list[int]) -> None:
    algorithm, workload, framework = job
    submission = ROOT / "reference_algorithms" / algorithm
    command = [sys.executable, str(ROOT / "submission_runner.py"), "--quiet", f"--workload={workload}"]
    command += [f"--submission={submission}", f"--framework={framework}", f"--experiment_dir={_root()}"]
    command += [f"--data_dir={FLAGS.data_dir}"] if FLAGS.data_dir else []
    command.append(f"--max_steps={registry.get(workload).step_hint}")  # Rates are 0 from there on.
    if FLAGS.point is None:
        command.append("--tuning_ruleset=self")
    else:
        command.append(f"--trial={FLAGS.point}")
        if FLAGS.search_space:
            command.append(f"--tuning_search_space={submission / FLAGS.search_space}")
    environment = {**os.environ, "OMP_NUM_THREADS": str(len(cores))} if cores else dict(os.environ)
    pin = (lambda: os.sched_setaffinity(0, cores)) if cores else None
    done = subprocess.run(
        command, env=environment, preexec_fn=pin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        print(
            f"{algorithm} {workload} {framework}: exit {done.returncode}\n{done.stdout[-2000:]}", flush=True
        )
    else:
        print(f"{algorithm} {workload} {framework}: {_cell(_summary(job))}", flush=True)


# ---- table ------------------------------------------------------------------------------------------------


def _cell(summary: dict[str, Any] | None) -> str:
    if summary is None:
        return ""
    name = f"validation/{summary['target_metric']}"
    reached = summary["validation_target_reached"]
    best = f"{summary['best'][name]:.4g}" if summary.get("best") else "nothing"
    if reached is None:
        return f"missed: {best} ({summary['status']})"
    return f"{reached['submission_time_sec']:.0f} s, {reached['global_step']:,}, {best}"


def _table(algorithms: list[str], workloads: tuple[str, ...], frameworks: list[str]) -> str:
    """Markdown: a row per workload and framework, a column per algorithm."""
    lines = [f"| workload | framework | {' | '.join(algorithms)} |", "| --- " * (len(algorithms) + 2) + "|"]
    for workload in workloads:
        for framework in frameworks:
            cells = [_cell(_summary((algorithm, workload, framework))) for algorithm in algorithms]
            lines.append(f"| {workload} | {framework} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    app.run(main)
