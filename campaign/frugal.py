"""Which running trials can no longer change a score, given the results that are there already.

Scoring takes a study's time from the trial that reached the target first on the clock; its updates are the study's
updates. So there are two reasons:

- *sibling*: another trial of the study has reached the target earlier than this one still can. It cannot be the one
  that is taken.
- *r_max*: the trial is beyond r_max times the fastest submission on the workload, by seconds and by updates, as both
  are scored. A finite score would need a smaller median over the studies, which this one cannot lower any more. That
  holds for the middle one of an odd number of studies; with an even number the median is a mean of two, so nothing is
  stopped. It takes the study's other trials to have ended without reaching the target: one that comes later on the
  clock, but with fewer updates, would else be taken in the place of the one that was stopped. Workloads that a
  held-out variant guards are left alone: the variant may yet disqualify the fastest.

A trial that has not started can always still be the fastest, so none is left out. Scores are those of the whole
campaign; their intervals need not be, as resampling may draw only studies that were stopped.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from algoperf.run.summary import Reached
from algoperf.suites import Suite
from campaign.job_plan import Job

Cost = tuple[float, float]
"""(submission seconds, updates)."""
NEVER: Cost = (math.inf, math.inf)


@dataclass(frozen=True)
class StopReason:
    """Why a running trial may be stopped."""

    rule: str
    """'sibling' or 'r_max'."""
    text: str


class Limits:
    """Costs beyond which a running trial can no longer change a score; every finished trial may lower them.

    Args:
      jobs: all of the campaign.
      suite: gives r_max, the studies, and which workloads are guarded.
      num_studies: of the ruleset.
    """

    def __init__(self, jobs: Iterable[Job], suite: Suite, num_studies: int):
        self._r_max, self._num_studies = suite.r_max, num_studies
        self._guarded = {*suite.held_out, *suite.held_out.values()}
        self._studies: dict[tuple[str, str, int], list[str]] = {}
        for job in jobs:
            self._studies.setdefault(job.siblings, []).append(job.key)
        self._costs: dict[str, Cost] = {}

    def finished(self, job: Job, reached: Reached | None) -> None:
        """Takes in how a trial ended: `validation_target_reached` of its summary, None for a miss."""
        cost = NEVER if reached is None else (reached["submission_time_sec"], reached["global_step"])
        # Scoring does not count a target that was reached after the budget, so here it is a miss, too.
        self._costs[job.key] = cost if cost[0] <= job.budget_sec else NEVER

    def goes_on(self, job: Job) -> None:
        """Takes back that a trial has ended."""
        self._costs.pop(job.key, None)

    def why_stop(self, job: Job, cost: Cost) -> StopReason | None:
        """Why a trial that has not reached the target by an evaluation at `cost` may be stopped; None if it may not."""
        seconds, steps = cost
        siblings = [key for key in self._studies[job.siblings] if key != job.key]
        first = min((self._costs.get(key, NEVER) for key in siblings), default=NEVER)
        # Equality is enough: this trial has not reached the target at `seconds`, so it can only do so later.
        if seconds >= first[0]:
            return StopReason(
                "sibling", f"another trial of study {job.study} reached the target after {first[0]:.1f} s"
            )
        # A sibling that is still running has no cost, so this is False until all others have ended without the target.
        have_missed = all(self._costs.get(key) == NEVER for key in siblings)
        if not have_missed or self._num_studies % 2 == 0 or job.workload in self._guarded:
            return None
        fastest = self._fastest(job.workload)
        # Beyond on both axes, as a trial may be slow in seconds and still be among the best in updates.
        if seconds > self._r_max * fastest[0] and steps > self._r_max * fastest[1]:
            return StopReason(
                "r_max",
                f"beyond {self._r_max:g} times the fastest submission, {fastest[0]:.1f} s and {fastest[1]:,.0f} steps",
            )
        return None

    def _study(self, keys: Sequence[str]) -> Cost:
        """What is known of a study's cost: none of its final values can be larger.

        Its updates are those of the trial that is first on the clock, so they are known when all have ended.
        """
        seconds, steps = min(self._costs.get(key, NEVER) for key in keys)
        return seconds, (steps if all(key in self._costs for key in keys) else math.inf)

    def _fastest(self, workload: str) -> Cost:
        """The least median over studies among submissions, on each axis; what is not done yet can only lower it."""
        by_submission: dict[str, list[Cost]] = {}
        for (submission, name, _), keys in self._studies.items():
            if name == workload:
                by_submission.setdefault(submission, []).append(self._study(keys))
        # Studies without a result yet count as infinite: an upper bound of the median, so nothing is stopped too early.
        medians = [np.median(np.array(studies), axis=0) for studies in by_submission.values()]
        return tuple(np.min(medians, axis=0).tolist()) if medians else NEVER
