"""Where a trial's summary says something else than the evaluations beside it, which count."""

import math
from collections.abc import Iterator, Mapping

from algoperf.run import clock
from algoperf.run import summary as summaries
from algoperf.suites import WorkloadTargets
from scoring.evaluations import EvaluationLog
from scoring.results import Hit, Trial

CLOSE = 1e-6
"""Evaluations hold the digits of the summary, so that numbers are equal up to how they are written."""


def find(
    summary: summaries.Summary,
    log: EvaluationLog,
    hit: Hit | None,
    best: float,
    identity: Trial,
    targets: WorkloadTargets,
) -> str | None:
    """The first contradiction in a few words, as in '7 evaluations there, 2 here'; None where there is none.

    What an older or a cut summary does not say is not compared.

    Args:
      summary: the trial's.
      log: its evaluations.
      hit: the first that met the target of `targets`.
      best: best validation metric among them.
      identity: the trial by the names of its folders.
      targets: that are scored.
    """
    return next(_contradictions(summary, log, hit, best, identity, targets), None)


def _contradictions(
    summary: summaries.Summary,
    log: EvaluationLog,
    hit: Hit | None,
    best: float,
    identity: Trial,
    targets: WorkloadTargets,
) -> Iterator[str]:
    for name in ("workload", "framework", "study", "trial"):
        said, found = getattr(summary, name), getattr(identity, name)
        if said is not None and said != found:
            yield f"{name} {said} there, {found} here"
    if summary.validation_target is not None and is_target(summary.validation_target, targets):
        reached = summary.validation_target_reached
        same = (reached is None) == (hit is None)
        if reached is not None and hit is not None:
            same = math.isclose(reached["submission_time_sec"], hit.submission_time_sec, rel_tol=CLOSE)
        if not same:
            says = "not reached" if reached is None else f"reached at {reached['submission_time_sec']:.2f} s"
            found = "not reached" if hit is None else f"reached at {hit.submission_time_sec:.2f} s"
            yield f"target {says} there, {found} here"
    num_evaluations = len(log.submission_time_sec)
    if summary.num_evaluations is not None and summary.num_evaluations != num_evaluations:
        yield f"{summary.num_evaluations} evaluations there, {num_evaluations} here"
    last = log.submission_time_sec[-1]
    if summary.submission_time_sec is not None and summary.submission_time_sec < last * (1 - CLOSE):
        yield f"{summary.submission_time_sec:.2f} s there, {last:.2f} s here"
    yield from _of_ledger(summary)
    if summary.global_step is not None and summary.global_step < log.global_step[-1]:
        yield f"{summary.global_step:,} updates there, {log.global_step[-1]:,.0f} here"
    for name, row, value in (("last", summary.last, log.validation[-1]), ("best", summary.best, best)):
        metric = f"validation/{targets.metric_name}"
        said = None if row is None else _number(row, metric)
        if said is not None and not (math.isnan(value) or math.isclose(said, value, rel_tol=CLOSE)):
            yield f"{name} {metric} {said:g} there, {value:g} here"
    step = None if summary.last is None else _number(summary.last, "global_step")
    if step is not None and step != log.global_step[-1] and not math.isnan(log.global_step[-1]):
        yield f"last evaluation at step {step:,.0f} there, {log.global_step[-1]:,.0f} here"


def _of_ledger(summary: summaries.Summary) -> Iterator[str]:
    """Where the submission time is not what the parts of the ledger add up to."""
    ledger, said = summary.ledger, summary.submission_time_sec
    parts = [None if ledger is None else _number(ledger, name) for name in clock.SUBMISSION_BUCKETS]
    known = [part for part in parts if part is not None]
    if said is None or len(known) < len(parts):
        return
    if not math.isclose(sum(known), said, rel_tol=CLOSE, abs_tol=CLOSE):
        yield f"submission time {said:.2f} s there, {sum(known):.2f} s by the ledger beside it"


def is_target(value: float, targets: WorkloadTargets) -> bool:
    """Whether a recorded validation target is that of `targets`, up to how it was computed.

    AlgoPerf computes those of ImageNet from error rates.
    """
    return math.isclose(value, targets.validation_target, rel_tol=1e-9)


def _number(row: Mapping[str, object], key: str) -> float | None:
    value = row.get(key)
    return value if isinstance(value, (int, float)) else None
