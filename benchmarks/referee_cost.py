"""What a referee costs: pairs of runs of one submission with the same seed, with and without, in turn.

  python benchmarks/referee_cost.py [--workloads=digits,wmt_mini] [--frameworks=jax,pytorch] [--pairs=10]

Each run trains for a fixed number of updates and evaluates at the same ones, so both do the same work. Printed are the
median over the pairs of refereed / plain submission time with the least and the most, the same of two plain runs in a
row (what the machine's noise makes of nothing), the difference in wall time of the command, and whether all metrics of
all evaluations are equal. Take a machine without other work.
"""

import csv
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from absl import flags

from algoperf import commands, frameworks, records, registry
from algoperf.run import summary as summaries

ROOT = Path(__file__).resolve().parents[1]
FLAGS = flags.FLAGS
flags.DEFINE_list("workloads", ["digits", "wmt_mini"], "Workloads.")
flags.DEFINE_list("frameworks", list(frameworks.names()), "Frameworks.")
flags.DEFINE_integer("pairs", 10, "Pairs of runs for each of them.", lower_bound=1)
flags.DEFINE_integer("steps", 0, "Updates of a run; by default a quarter of the step hint.")
flags.DEFINE_string("submission", str(ROOT / "reference_algorithms" / "nadamw"), "What trains.")
flags.DEFINE_string("data_dir", None, "Folder of the data.")

NUM_EVALUATIONS = 4
"""In a run, beside that of the first update."""


@dataclass(frozen=True)
class Run:
    """What is compared."""

    submission_sec: float
    wall_sec: float
    """Of the whole command."""
    metrics: tuple[tuple[tuple[str, str], ...], ...]
    """Metrics of all evaluations, as they are written."""


def main(argv: Sequence[str]) -> None:
    del argv
    print(
        "| workload | framework | updates | time, refereed / plain | plain / plain | more wall time | equal |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for workload in FLAGS.workloads:
        for framework in FLAGS.frameworks:
            print(row(workload, framework), flush=True)


def row(workload: str, framework: str) -> str:
    """One line of the table: all pairs of a workload in a framework."""
    num_steps = FLAGS.steps or registry.get(workload).step_hint // 4
    with tempfile.TemporaryDirectory() as folder:
        runs = [
            [
                run(workload, framework, num_steps, Path(folder) / f"{pair}{mode}", mode)
                for mode in _turn(pair)
            ]
            for pair in range(FLAGS.pairs)
        ]
    # The order of the two changes from pair to pair.
    pairs = [(one, two) if _turn(pair)[0] else (two, one) for pair, (one, two) in enumerate(runs)]
    ratios = [refereed.submission_sec / plain.submission_sec for refereed, plain in pairs]
    plain = [one.submission_sec for _, one in pairs]
    noise = [late / early for early, late in zip(plain, plain[1:])]
    more = [refereed.wall_sec - one.wall_sec for refereed, one in pairs]
    share = statistics.median(more) / statistics.median(one.wall_sec for _, one in pairs)
    equal = sum(refereed.metrics == one.metrics for refereed, one in pairs)
    cells = [
        workload,
        framework,
        f"{num_steps:,}",
        spread(ratios),
        spread(noise) if noise else "-",
        f"{statistics.median(more):.1f} s ({min(more):.1f} - {max(more):.1f}), {share:.0%}",
        f"{equal} of {len(pairs)}",
    ]
    return f"| {' | '.join(cells)} |"


def _turn(pair: int) -> tuple[bool, bool]:
    """Whether the first run of a pair is refereed, and the second."""
    return (True, False) if pair % 2 else (False, True)


def spread(values: Sequence[float]) -> str:
    """Median (least - most).

    >>> spread([1.0, 3.0, 2.0])
    '2.000 (1.00 - 3.00)'
    """
    return f"{statistics.median(values):.3f} ({min(values):.2f} - {max(values):.2f})"


def run(workload: str, framework: str, num_steps: int, folder: Path, is_refereed: bool) -> Run:
    """One trial by the command that everybody uses."""
    command = [
        *(sys.executable, str(ROOT / "submission_runner.py"), "--quiet", f"--workload={workload}"),
        *(f"--framework={framework}", f"--submission={FLAGS.submission}", "--tuning_ruleset=self"),
        *(f"--experiment_dir={folder}", f"--max_global_steps={num_steps}", "--run_past_targets"),
        f"--eval_every_steps={max(1, num_steps // NUM_EVALUATIONS)}",
        *(["--referee"] if is_refereed else []),
        *([f"--data_dir={FLAGS.data_dir}"] if FLAGS.data_dir else []),
    ]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wall_sec = time.perf_counter() - start
    found = next(folder.rglob(records.SUMMARY), None)
    summary = summaries.read(found.parent) if found else None
    if found is None or summary is None or done.returncode:
        raise SystemExit(f"error: a run ended with exit code {done.returncode}:\n{done.stderr[-2000:]}")
    with open(found.parent / records.EVAL_MEASUREMENTS, newline="") as rows:
        metrics = tuple(
            tuple((name, value) for name, value in line.items() if "/" in name)
            for line in csv.DictReader(rows)
        )
    assert summary.submission_time_sec is not None
    return Run(summary.submission_time_sec, wall_sec, metrics)


if __name__ == "__main__":
    commands.run(main)
