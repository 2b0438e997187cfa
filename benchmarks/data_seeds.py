"""How much a mini workload's data decide: NadamW on data of other seeds beside its luck on the public ones.

  nice -n 10 python benchmarks/data_seeds.py --results=~/data_seeds [--workloads=ogbg_mini,wmt_mini] [--framework=jax]
  python benchmarks/data_seeds.py --results=~/data_seeds --table_only

*Luck*: the studies on the public data of docs/mini_jax.tar.xz (other initial weights, other order). *Seeds*: one run
for each of `--data_seed=1`, 2, ..., all with the initial weights of study 0, so that they differ by data, and by luck;
one more on the public data. A run has 3/4 of the step hint, does not end at the target, and has hours for a budget:
updates are counted, so other work on the machine does not matter. Stopped and started again, the command goes on; a
finished run is not repeated. All together take about 40 CPU-minutes.
"""

import dataclasses
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from algoperf import commands, files, records, registry, suites
from algoperf.run import summary
from algoperf.workload import WorkloadSpec
from scoring import archive

ROOT = Path(__file__).resolve().parents[1]
FLAGS = flags.FLAGS
flags.DEFINE_string("results", None, "Folder of the runs.", required=True)
flags.DEFINE_list("workloads", [], "Mini workloads; those of suite mini by default.")
flags.DEFINE_integer("seeds", 5, "Seeds of data, from 1.", lower_bound=1)
flags.DEFINE_string("luck", str(ROOT / "docs" / "mini_jax.tar.xz"), "Archive of studies on the public data.")
flags.DEFINE_string("framework", "jax", "Framework of the runs.")
flags.DEFINE_string("submission", str(ROOT / "reference_algorithms" / "nadamw"), "What trains.")
flags.DEFINE_bool("table_only", False, "Print the table of what is there.")

NUM_EVALUATIONS = 6
"""In a run; the update at which the target is met is interpolated between two."""
HOURS_SEC = 360_000


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of the submission."""

    spec: WorkloadSpec
    seed: int
    """Of the data; 0 for the public ones."""

    @property
    def num_steps(self) -> int:
        return self.eval_every * NUM_EVALUATIONS

    @property
    def eval_every(self) -> int:
        return round(0.75 * self.spec.step_hint / NUM_EVALUATIONS)

    def folder(self, results: Path, submission: str, framework: str) -> Path:
        name = f"{Path(submission).name}/study_0"
        return records.trial_folder(results / f"seed_{self.seed}", name, self.spec.name, framework, 1)

    def command(self, results: Path, submission: str, framework: str) -> list[str]:
        suite = results / "patient.json"
        return [
            *(sys.executable, str(ROOT / "submission_runner.py"), "--quiet", "--tuning_ruleset=self"),
            *(f"--workload={self.spec.name}", f"--framework={framework}", f"--submission={submission}"),
            *(f"--experiment_dir={results / f'seed_{self.seed}'}", f"--suite={suite}"),
            *(f"--max_steps={self.num_steps}", f"--eval_every_steps={self.eval_every}"),
            *("--run_past_targets", f"--data_seed={self.seed}", "--nosave_checkpoints"),
        ]


def runs(specs: Sequence[WorkloadSpec], num_seeds: int) -> list[Run]:
    """All runs, the public data first; whoever stops early has some of every workload."""
    return [Run(spec, seed) for seed in range(num_seeds + 1) for spec in specs]


def write_suite(path: Path, specs: Sequence[WorkloadSpec]) -> None:
    """A suite with the workloads' own targets and budgets of hours."""
    targets = {
        spec.name: {
            **dataclasses.asdict(suites.targets_from_registry(spec.name)),
            "runtime_budget_sec": HOURS_SEC,
        }
        for spec in specs
    }
    files.write_json(path, {"targets": targets})


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    steps: float
    """Updates to the validation target, interpolated; infinite where it was missed."""
    validation: float
    """The validation metric at the end."""
    test: float


def outcome(spec: WorkloadSpec, folder: Path) -> Outcome | None:
    """What a finished run came to; None for one that is not there."""
    if summary.read(folder) is None:
        return None
    table = records.read_csv(folder / records.EVAL_MEASUREMENTS)
    values = table[f"validation/{spec.target_metric_name}"]
    steps = crossing(table[records.GLOBAL_STEP], values, spec.validation_target_value, spec.higher_is_better)
    return Outcome(steps, values[-1], table[f"test/{spec.target_metric_name}"][-1])


def crossing(steps: Sequence[float], values: Sequence[float], target: float, higher_is_better: bool) -> float:
    """The update at which values first meet a target, on straight lines between evaluations.

    >>> crossing([0, 10, 20], [0.0, 0.2, 0.6], 0.5, True)
    17.5
    """
    for place, value in enumerate(values):
        if value >= target if higher_is_better else value <= target:
            if place == 0:
                return steps[0]
            before, start = values[place - 1], steps[place - 1]
            return start + (steps[place] - start) * (target - before) / (value - before)
    return math.inf


def row(name: str, public: Outcome | None, luck: Sequence[Outcome], seeded: Sequence[Outcome]) -> str:
    """One line of the table."""
    steps_there = math.nan if public is None else public.steps
    cells = [name, f"{steps_there:,.0f}" if math.isfinite(steps_there) else "missed" if public else ""]
    for found in (luck, seeded):
        steps = sorted(one.steps for one in found if math.isfinite(one.steps))
        shown = f": {statistics.median(steps):,.0f} ({steps[0]:,.0f} - {steps[-1]:,.0f})" if steps else ""
        cells.append(f"{len(steps)} of {len(found)}{shown}")
    for part in ("validation", "test"):
        values = sorted(getattr(one, part) for one in seeded)
        cells.append("" if public is None else f"{getattr(public, part):.3f}")
        cells.append(
            f"{statistics.median(values):.3f} ({values[0]:.3f} - {values[-1]:.3f})" if values else ""
        )
    return f"| {' | '.join(cells)} |"


HEAD = (
    *("workload", "updates to the target: public", "luck", "seeds"),
    *("validation at the end: public", "seeds", "test at the end: public", "seeds"),
)


def table(results: Path, specs: Sequence[WorkloadSpec], studies: Path) -> str:
    """Markdown: a row per workload, medians (least - most)."""
    lines = [f"| {' | '.join(HEAD)} |", "| --- " * len(HEAD) + "|"]
    for spec in specs:
        places = sorted(studies.glob(f"nadamw/study_*/{spec.name}_{FLAGS.framework}/trial_1"))
        luck = [found for place in places if (found := outcome(spec, place))]
        own = {
            run.seed: found
            for run in runs([spec], FLAGS.seeds)
            if (found := outcome(spec, run.folder(results, FLAGS.submission, FLAGS.framework)))
        }
        public = own.pop(0, None)
        lines.append(row(spec.name, public, luck, list(own.values())))
    return "\n".join(lines)


def main(argv: Sequence[str]) -> None:
    del argv
    results = files.expanded(FLAGS.results).resolve()
    specs = [registry.get(name) for name in FLAGS.workloads or suites.load("mini").workloads]
    if not FLAGS.table_only:
        files.make_folder(results, "--results")
        write_suite(results / "patient.json", specs)
        # Nobody looks at seconds, so compiled functions may outlive a run.
        environment = {
            **os.environ,
            "ALGOPERF_KEEP_COMPILE_CACHE": "1",
            "JAX_COMPILATION_CACHE_DIR": str(results / "compiled"),
        }
        for run in runs(specs, FLAGS.seeds):
            if outcome(run.spec, run.folder(results, FLAGS.submission, FLAGS.framework)) is None:
                command = run.command(results, FLAGS.submission, FLAGS.framework)
                subprocess.run(command, env=environment, check=True)
    with archive.unpacked(Path(FLAGS.luck)) as studies:
        print(table(results, specs, studies))


if __name__ == "__main__":
    commands.run(main)
