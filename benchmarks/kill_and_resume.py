"""Kills trials at random moments (`kill -9`) and continues them: is any lost, begun anew, or different in the end?

  python benchmarks/kill_and_resume.py --kills=200

Each trial of the small submissions in tests/submissions_of_all_kinds/ runs once without being disturbed, and once under
fire: its process is killed a few times, at moments that are spread over its updates, evaluations and writing of
checkpoints, and the same command is given again until the trial ends. A trial is *lost* where that command fails,
*restarted* where it goes on from less than the newest checkpoint, and *unequal* where its evaluations or its last
checkpoint differ from those of the undisturbed run in any bit. The last line of the output is the result.
"""

import contextlib
import dataclasses
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from algoperf import commands, files, frameworks, records, suites
from algoperf.run import checkpoint

ROOT = Path(__file__).resolve().parents[1]
KINDS = ROOT / "tests" / "submissions_of_all_kinds"
FLAGS = flags.FLAGS
flags.DEFINE_integer("kills", 200, "How often processes are killed, all trials together.", lower_bound=1)
flags.DEFINE_integer("kills_per_trial", 5, "How often each trial is killed.", lower_bound=1)
flags.DEFINE_integer("seed", 0, "Of the moments.")
flags.DEFINE_list(
    "workloads", ["digits", "ogbg_mini", "wmt_mini"], "On which to run; the first one with all kinds."
)
flags.DEFINE_list("kinds", [], "Names of folders; all of them by default.")

MAX_STEPS, EVAL_EVERY = 24, 2
START_TIMEOUT_SEC = 600.0


@dataclass(frozen=True, kw_only=True)
class Case:
    """A submission on a workload."""

    kind: str
    framework: str
    workload: str = "digits"
    max_steps: int = MAX_STEPS

    def command(self, folder: Path) -> list[str]:
        """The command of its only trial; its budget is one of hours, as a busy machine would end it early."""
        folder.mkdir(parents=True, exist_ok=True)
        # Beside the results, as the folder of a run is compared with that of another.
        suite = folder.parent / f"patient_{self.workload}.json"
        targets = {
            **dataclasses.asdict(suites.targets_from_registry(self.workload)),
            "runtime_budget_sec": 360_000,
        }
        files.write_json(suite, {"targets": {self.workload: targets}})
        return [
            *(sys.executable, str(ROOT / "submission_runner.py"), "--quiet", "--tuning_ruleset=self"),
            *(f"--workload={self.workload}", f"--framework={self.framework}", f"--experiment_dir={folder}"),
            *(f"--submission={KINDS / self.kind}", f"--max_steps={self.max_steps}"),
            *(f"--eval_every_steps={EVAL_EVERY}", "--rng_seed=1", f"--suite={suite}"),
        ]

    def trial(self, folder: Path) -> Path:
        """Where its records are."""
        return folder / self.kind / "study_0" / f"{self.workload}_{self.framework}" / "trial_1"


def cases(workloads: Sequence[str], only: Sequence[str] = ()) -> Iterator[Case]:
    """Every kind on the first workload, and a few on the others, in the frameworks that they are written for."""
    for place, workload in enumerate(workloads):
        for framework in frameworks.names():
            for file in frameworks.get(framework).submission_files:
                for number, path in enumerate(sorted(KINDS.glob(f"*/{file}"))):
                    kind = path.parent.name
                    if kind in only or (not only and (place == 0 or number % 4 == place)):
                        yield Case(kind=kind, framework=framework, workload=workload)


# ---- one trial -------------------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Outcome:
    """What became of a trial under fire."""

    kills: int = 0
    problem: str | None = None
    """'lost', 'restarted' or 'unequal', and what was seen."""


def under_fire(case: Case, folder: Path, straight: Path, kills: int, draw: random.Random) -> Outcome:
    """Kills a trial and continues it until it ends; compares it with the undisturbed one in `straight`."""
    outcome = Outcome()
    evaluations_after_first = range(2, case.max_steps // EVAL_EVERY)
    chosen = draw.sample(evaluations_after_first, min(kills, len(evaluations_after_first)))
    for step in [number * EVAL_EVERY for number in sorted(chosen)]:
        before = newest_step(case.trial(folder))
        with tempfile.TemporaryFile("w+") as output:
            started = subprocess.Popen(case.command(folder), stdout=output, stderr=output)
            if _kill_after(started, case.trial(folder), step, draw):
                outcome.kills += 1
            elif started.wait():
                output.seek(0)
                outcome.problem = f"lost: exit {started.returncode}, {output.read().strip()[-300:]}"
                return outcome
        after = newest_step(case.trial(folder))
        if after < before:
            outcome.problem = f"restarted: the newest checkpoint went from step {before} to {after}"
            return outcome
    # Of one that was killed as its last act, nothing is left to be continued.
    is_done = (case.trial(folder) / records.SUMMARY).exists()
    before = 0 if is_done else newest_step(case.trial(folder))
    ended = subprocess.run(case.command(folder), capture_output=True, text=True)
    outcome.problem = _problem(case, folder, straight, ended, before)
    return outcome


def _kill_after(started: subprocess.Popen[bytes], trial: Path, step: int, draw: random.Random) -> bool:
    """Waits until the trial comes near a step, and for a random while; returns whether there was something to kill."""
    end = time.monotonic() + START_TIMEOUT_SEC
    # The last checkpoint before the step, so that what comes next is on its way when the signal comes.
    while newest_step(trial) < step - EVAL_EVERY and time.monotonic() < end:
        if started.poll() is not None:
            return False
        time.sleep(0.001)
    time.sleep(draw.uniform(0, 0.1))
    if started.poll() is not None:
        return False
    started.kill()
    started.wait()
    return True


def _problem(
    case: Case, folder: Path, straight: Path, ended: subprocess.CompletedProcess[str], before: int
) -> str | None:
    trial, other = case.trial(folder), case.trial(straight)
    if ended.returncode:
        return f"lost: exit {ended.returncode}, {ended.stderr.strip()[-300:]}"
    summary = records.read_json(trial / records.SUMMARY)
    if before and not summary["preemption_count"]:
        return f"restarted: it had a checkpoint of step {before}"
    found, wanted = (evaluations(one) for one in (trial, other))
    if found != wanted:
        return f"unequal: evaluations differ, {sorted(found.keys() ^ wanted.keys()) or 'in their values'}"
    found_state, wanted_state = (dict(leaves(checkpoint.load(one))) for one in (trial, other))
    if found_state.keys() != wanted_state.keys():
        return f"unequal: {sorted(found_state.keys() ^ wanted_state.keys())[:3]} in one checkpoint only"
    odd = [name for name, value in found_state.items() if not np.array_equal(value, wanted_state[name])]
    return f"unequal: {odd[:3]}" if odd else None


def newest_step(trial: Path) -> int:
    """Of the newest checkpoint; 0 where there is none."""
    names = [path.name for path in trial.glob(f"{records.CHECKPOINT_PREFIX}*")] if trial.exists() else []
    steps = [name.removeprefix(records.CHECKPOINT_PREFIX) for name in names]
    return max((int(step) for step in steps if step.isdigit()), default=0)


def evaluations(trial: Path) -> dict[float, dict[str, float]]:
    """Step -> metrics; times left out."""
    rows = records.read_csv(trial / records.EVAL_MEASUREMENTS)
    names = [name for name in rows if "/" in name]
    return {step: {name: rows[name][row] for name in names} for row, step in enumerate(rows["global_step"])}


def leaves(content: Any, path: str = "training") -> Iterator[tuple[str, Any]]:
    """(path, array) of the parameters and the optimizer state in what `checkpoint.load` gives."""
    if path == "training":
        content = content["training"]
    if isinstance(content, dict):
        for key, value in content.items():
            yield from leaves(value, f"{path}.{key}")
    elif isinstance(content, (list, tuple)):
        for number, value in enumerate(content):
            yield from leaves(value, f"{path}.{number}")
    elif hasattr(content, "thawed"):
        yield from leaves(content.thawed(), f"{path}.state")
    elif hasattr(content, "key_impl"):  # A JAX array on the host.
        yield path, np.asarray(content.array)
    elif hasattr(content, "detach"):
        yield path, content.detach().float().numpy()
    elif isinstance(content, np.ndarray):
        yield path, content


# ---- the command -----------------------------------------------------------------------------------------------------


def main(argv: Sequence[str]) -> int:
    """Prints a line a trial and the sum; exit code 1 if anything was lost, restarted or unequal."""
    del argv
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    draw = random.Random(FLAGS.seed)
    chosen = list(cases(FLAGS.workloads, FLAGS.kinds))
    kills, trials, problems, straight_done = 0, 0, [], set()
    with tempfile.TemporaryDirectory() as name, contextlib.suppress(KeyboardInterrupt):
        root = Path(name)
        while kills < FLAGS.kills:
            case = chosen[trials % len(chosen)]
            straight = root / f"straight_{case.workload}"
            if case not in straight_done:
                subprocess.run(case.command(straight), check=True, capture_output=True)
                straight_done.add(case)
            wanted = min(FLAGS.kills_per_trial, FLAGS.kills - kills)
            outcome = under_fire(case, root / f"trial_{trials}", straight, wanted, draw)
            kills, trials = kills + outcome.kills, trials + 1
            if outcome.problem:
                problems.append(outcome.problem)
            print(
                f"{case.workload} {case.framework} {case.kind}: {outcome.kills} kills, {outcome.problem or 'equal'}",
                flush=True,
            )
    counts = ", ".join(
        f"{sum(text.startswith(word) for text in problems)} {word}"
        for word in ("lost", "restarted", "unequal")
    )
    print(f"{kills} kills of {trials} trials, {len(straight_done)} kinds of runs: {counts}")
    return int(bool(problems))


if __name__ == "__main__":
    commands.run(main)
