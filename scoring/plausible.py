"""Results that people should look at before they are published (R12.15); nothing here changes a score or `--strict`.

Each rule raises nothing on any public submission or reference algorithm (docs/referee.md, *Plausibility*, has the
numbers).
"""

import collections
import csv
import functools
import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from algoperf.run import summary as summaries
from algoperf.run.jump import is_jump, share_of_way
from scoring.evaluations import EvaluationLog
from scoring.results import Finding, Hit, Kind, Trial

REFERENCES = Path(__file__).parent / "data" / "reference_examples.csv"
"""Made by `scoring.reference_examples`."""

EXAMPLES_SHARE = 1 / 3
"""Of the examples that the best reference algorithm needs to the target."""
FACTOR = 3.0
"""Between the time that something takes a submission and what it takes the others."""
EVALUATION, SET_UP = "an evaluation", "set-up"
MORE_SEC = {EVALUATION: 1.0, SET_UP: 5.0}
"""By so many seconds it has to be longer, too."""
MIN_TRIALS = 2
"""Of a submission on a workload, whose times are compared with others'."""


def findings(trials: Sequence[Trial], step_hints: Mapping[str, float | None]) -> list[Finding]:
    """What is for people to look at.

    Args:
      trials: of the field.
      step_hints: workload -> expected updates, where they are known.
    """
    return [
        *_few_examples(trials),
        *_jumps(trials, step_hints),
        *_long(trials, EVALUATION),
        *_long(trials, SET_UP),
    ]


def of_end(
    log: EvaluationLog, summary: summaries.Summary | None, hit: Hit | None, target: float
) -> dict[str, Any]:
    """The fields of `RunEnd` that `findings` reads; those that are not known are left out."""
    found: dict[str, Any] = {}
    if not math.isnan(log.evaluation_sec):
        found["each_evaluation_sec"] = log.evaluation_sec / len(log.validation)
    if summary is not None and summary.ledger is not None:
        found["set_up_sec"] = summary.ledger.get("set_up", math.nan)
    if summary is not None and summary.global_batch_size:
        found["batch_size"] = summary.global_batch_size
    if hit is not None and hit.evaluation > 0 and log.global_step[0] <= 1:  # Hardly trained; R6.7.
        first, before = log.validation[0], log.validation[hit.evaluation - 1]
        if target != first:
            found["share_before_hit"] = share_of_way(first, before, target)
            found["step_before_hit"] = log.global_step[hit.evaluation - 1]
    return found


def _few_examples(trials: Iterable[Trial]) -> Iterator[Finding]:
    """The target after a third of the examples that any reference algorithm needs."""
    best = best_references()
    for cell, group in _cells(trials).items():
        reference = best.get(cell[1])
        used = [trial.hit.global_step * trial.end.batch_size for trial in group if trial.hit and trial.end]
        few = [examples for examples in used if reference and examples < EXAMPLES_SHARE * reference[1]]
        if few and reference:
            name, needs = reference
            text = f"{min(few):,.0f} examples ({len(few)} of {len(group)} trials), {name} needs {needs:,.0f}"
            yield Finding(*cell, Kind.FEW_EXAMPLES, "", text)


def _jumps(trials: Iterable[Trial], step_hints: Mapping[str, float | None]) -> Iterator[Finding]:
    """An evaluation at the target right after one that was noise, or after a single update."""
    for trial in trials:
        if trial.hit is None or trial.end is None:
            continue
        place = f"study_{trial.study}/trial_{trial.trial}"
        if trial.hit.evaluation == 0 and trial.hit.global_step <= 1:
            yield Finding(
                trial.submission, trial.workload, Kind.JUMP, place, "at the target after one update"
            )
            continue
        hint = step_hints.get(trial.workload)
        num_steps = trial.hit.global_step - trial.end.step_before_hit
        if is_jump(trial.end.share_before_hit, num_steps, hint):
            text = f"{trial.end.share_before_hit:.0%} of the way {num_steps:,.0f} updates before"
            yield Finding(trial.submission, trial.workload, Kind.JUMP, place, text)


def _long(trials: Iterable[Trial], what: str) -> Iterator[Finding]:
    """A submission whose evaluations or set-ups all take several times as long as the others' on the same machine."""
    places: dict[tuple[object, ...], dict[str, list[float]]] = collections.defaultdict(dict)
    for trial in trials:
        if trial.end is None:
            continue
        seconds = trial.end.set_up_sec if what == SET_UP else trial.end.each_evaluation_sec
        facts = trial.facts[-1] if trial.facts else None
        host = (facts.host, facts.refereed) if facts else None
        if math.isfinite(seconds):
            place = (trial.workload, trial.framework, trial.end.device, host)
            places[place].setdefault(trial.submission, []).append(seconds)
    for (workload, *_), of_submission in places.items():
        # The least of several: the first trial on a machine may have made its data.
        least = {name: min(found) for name, found in of_submission.items() if len(found) >= MIN_TRIALS}
        for name, own in least.items():
            others = [seconds for other, seconds in least.items() if other != name]
            usual = statistics.median(others) if others else math.inf
            if own > FACTOR * usual and own > usual + MORE_SEC[what]:
                text = f"{what} took {own:.1f} s and more, {usual:.1f} s in the median of the others"
                yield Finding(name, str(workload), Kind.LONG, "", text)


def _cells(trials: Iterable[Trial]) -> dict[tuple[str, str], list[Trial]]:
    found: dict[tuple[str, str], list[Trial]] = collections.defaultdict(list)
    for trial in trials:
        found[trial.submission, trial.workload].append(trial)
    return found


# ---- reference algorithms --------------------------------------------------------------------------------------------


@functools.cache
def best_references() -> dict[str, tuple[str, float]]:
    """Workload -> (algorithm, examples to the target) of the reference algorithm that needs fewest."""
    found: dict[str, tuple[str, float]] = {}
    with open(REFERENCES, newline="") as file:
        for row in csv.DictReader(file):
            examples = float(row["examples"])
            if examples < found.get(row["workload"], ("", math.inf))[1]:
                found[row["workload"]] = (row["submission"], examples)
    return found
