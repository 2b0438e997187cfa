"""The plan of a trial that is only looked at."""

import dataclasses
from collections.abc import Iterable
from typing import Any

from algoperf.run.study import StudyPlan


def off_the_record(plan: StudyPlan, eval_steps: Iterable[int], **changes: Any) -> StudyPlan:
    """The plan of a trial that keeps nothing, and ends when whoever looks at it says so.

    Args:
      plan: that of the trial as it would run.
      eval_steps: the updates after which it evaluates.
      changes: more settings that are others.
    """
    settings = dataclasses.replace(
        plan.settings,
        max_global_steps=None,
        eval_every_steps=None,
        skip_evals=False,
        referee=False,
        save_checkpoints=False,
        overwrite=False,
        quiet=True,
        run_past_targets=True,
        **changes,
    )
    return dataclasses.replace(plan, settings=settings, eval_steps=tuple(eval_steps))
