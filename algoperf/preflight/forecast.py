"""From a few updates to a whole trial: hours, memory and disk."""

import dataclasses
import math
import statistics

from algoperf.evaluation import CACHE_LIMIT_BYTES, splits_of
from algoperf.preflight import found
from algoperf.preflight.found import Facts, Found
from algoperf.settings import RunSettings
from algoperf.workload import WorkloadSpec

RECORD_BYTES = 64 * 2**10
"""Of flags, versions, sources and the summary of a trial; 30 to 50 kB in trials of the mini suite."""
ROW_BYTES = 600
"""Of an evaluation in the records: 20 numbers, twice, and a hash."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a trial takes that goes on to the end of its budget, or to its last step."""

    update_sec: float
    """The median of later updates, data selection included."""
    compile_sec: float
    """By how much the first update was slower: code that is compiled, memory that is new."""
    evaluation_sec: float
    """Of all splits together, from one batch; without what metrics compute from all batches at the end."""
    num_updates: int
    """At the end."""
    of_hint: float
    """Those as a share of the workload's step hint."""
    num_evaluations: int
    submission_sec: float
    """At the end, on the submission clock."""
    wall_sec: float
    """With set-up and evaluations."""
    host_bytes: int
    """Of the trial's process, evaluation batches that it keeps included."""
    device_bytes: int | None
    """Of the first accelerator; None on a processor."""
    disk_bytes: int
    """In its folder at the end, and one checkpoint more, which is there while it is being written."""


def of(spec: WorkloadSpec, settings: RunSettings, budget_sec: float, one: Found) -> Forecast | None:
    """The forecast of a trial; None where the preflight did not come to two updates.

    Args:
      spec: the workload, with the budget of the suite.
      settings: of the trial.
      budget_sec: on the submission clock.
      one: what the preflight found.
    """
    facts = one.facts
    update_sec = later_update_sec(facts)
    if update_sec is None or facts.first_update_sec is None:
        return None
    compile_sec = max(0.0, facts.first_update_sec - update_sec)
    num_updates = max(1, 1 + int((budget_sec - facts.first_update_sec) / update_sec))
    if settings.max_global_steps is not None:
        num_updates = min(num_updates, settings.max_global_steps)
    submission_sec = facts.first_update_sec + (num_updates - 1) * update_sec
    num_evaluations = 1 + math.floor(submission_sec / spec.eval_period_time_sec)
    if settings.eval_every_steps is not None:
        num_evaluations = 1 + math.ceil(num_updates / settings.eval_every_steps)
    num_evaluations = 0 if settings.skip_evals else min(num_evaluations, num_updates)
    batches = _num_eval_batches(spec, facts)
    evaluation_sec = batches * (facts.eval_batch_sec or 0.0)
    compile_of_evaluation_sec = max(0.0, (facts.first_eval_sec or 0.0) - (facts.eval_batch_sec or 0.0))
    set_up_sec = sum(phase.seconds for phase in one.phases if phase.name in _SET_UP)
    kept = min(CACHE_LIMIT_BYTES, batches * (facts.eval_batch_bytes or 0))
    checkpoint = (facts.checkpoint_bytes or 0) if settings.save_checkpoints else 0
    num_checkpoints = num_evaluations if settings.save_intermediate_checkpoints else 1
    device = [phase.device_bytes for phase in one.phases if phase.device_bytes is not None]
    return Forecast(
        update_sec=update_sec,
        compile_sec=compile_sec,
        evaluation_sec=evaluation_sec,
        num_updates=num_updates,
        of_hint=num_updates / spec.step_hint,
        num_evaluations=num_evaluations,
        submission_sec=submission_sec,
        wall_sec=set_up_sec + submission_sec + compile_of_evaluation_sec + num_evaluations * evaluation_sec,
        host_bytes=one.host_bytes + kept,
        device_bytes=max(device) if device else None,
        disk_bytes=RECORD_BYTES + num_evaluations * ROW_BYTES + (num_checkpoints + 1) * checkpoint,
    )


_SET_UP = (found.START, found.DATA, found.MODEL, found.OPTIMIZER, found.QUEUE)


def later_update_sec(facts: Facts) -> float | None:
    """The median of the later half of the updates after the first; None where there is none.

    >>> later_update_sec(Facts(update_secs=(0.9, 0.2, 0.1, 0.1, 0.1)))
    0.1
    """
    secs = facts.update_secs[len(facts.update_secs) // 2 :]
    return statistics.median(secs) if secs else None


def _num_eval_batches(spec: WorkloadSpec, facts: Facts) -> int:
    """Batches of one evaluation of all splits."""
    sizes = {
        "eval_train": spec.num_eval_train_examples,
        "validation": spec.num_validation_examples,
        "test": spec.num_test_examples or 0,
    }
    batch = facts.eval_batch_size or spec.eval_batch_size
    return sum(-(-sizes[split] // batch) for split in splits_of(spec))
