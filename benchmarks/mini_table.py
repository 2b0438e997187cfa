"""Prints the results of campaigns on the mini workloads: the table of reference_algorithms/README.md.

  python run_benchmark.py --suite=mini --ruleset=self --framework=jax --experiment_dir=<a> --submissions=...
  python run_benchmark.py --suite=mini --ruleset=self --framework=pytorch --experiment_dir=<b> --submissions=...
  python benchmarks/mini_table.py <a> <b>

A cell gives seconds on the clock and updates until the validation target, and the best validation metric; or "missed"
and that metric. With several studies it gives how many reached the target, and medians; a miss counts as infinite.
"""

import collections
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from absl import flags

from algoperf import commands, records
from algoperf.run import summary as summaries
from algoperf.run.summary import Summary
from algoperf.spec import UsageError, no_such

FLAGS = flags.FLAGS
flags.DEFINE_list("algorithms", None, "Columns, in this order; by default all algorithms found.")

Summaries = Mapping[tuple[str, str, str], Sequence[Summary]]
"""(workload, framework, algorithm) -> summaries of its studies."""


def main(argv: Sequence[str]) -> None:
    if len(argv) < 2:
        raise UsageError("Give one or more experiment folders of run_benchmark.py.")
    found = read([Path(name).expanduser() for name in argv[1:]])
    algorithms = sorted({algorithm for _, _, algorithm in found})
    for name in FLAGS.algorithms or ():
        if name not in algorithms:
            raise no_such("algorithm in these folders", name, algorithms)
    print(table(found, FLAGS.algorithms or algorithms))


def read(folders: Sequence[Path]) -> Summaries:
    """All finished first trials.

    Raises:
      UsageError: if there are none in one of the folders.
    """
    found = collections.defaultdict(list)
    for folder in folders:
        paths = sorted(folder.glob(f"*/study_*/*/trial_1/{records.SUMMARY}"))
        if not paths:
            raise UsageError(
                f"No finished trials in {folder}: give the --experiment_dir of run_benchmark.py."
            )
        for path in paths:
            algorithm, _, place = path.relative_to(folder).parts[:3]
            workload, _, framework = place.rpartition("_")
            summary = summaries.read(path.parent)
            if summary is not None:
                found[workload, framework, algorithm].append(summary)
    return found


def cell(trials: Sequence[Summary]) -> str:
    """One cell of the table; its format is described at the top of this file."""
    if not trials:
        return ""
    bests = [(one.best or {}).get(f"validation/{one.target_metric}") for one in trials]
    known = [best for best in bests if best is not None]
    best = f"{statistics.median(known):.4g}" if known else "nothing"
    hits = [one.validation_target_reached for one in trials if one.validation_target_reached]
    if not hits:
        return f"missed: {best} ({trials[0].status})"
    many = f"{len(hits)} of {len(trials)}: " if len(trials) > 1 else ""
    # With half of the studies missed, the median over all of them would be infinite.
    if 2 * len(hits) <= len(trials):
        return f"{many}{best}"
    lost = [float("inf")] * (len(trials) - len(hits))
    seconds, steps = (
        statistics.median([*(hit[name] for hit in hits), *lost])
        for name in ("submission_time_sec", "global_step")
    )
    return f"{many}{seconds:.0f} s, {steps:,.0f}, {best}"


def table(found: Summaries, algorithms: Sequence[str]) -> str:
    """Markdown: a row per workload and framework, a column per algorithm."""
    lines = [f"| workload | framework | {' | '.join(algorithms)} |", "| --- " * (len(algorithms) + 2) + "|"]
    for workload, framework in sorted({key[:2] for key in found}):
        cells = [cell(found.get((workload, framework, algorithm), ())) for algorithm in algorithms]
        lines.append(f"| {workload} | {framework} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    commands.run(main, max_arguments=1000)
