"""What changes while a trial runs, and when that makes it end."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from algoperf.settings import RunSettings


@dataclasses.dataclass(kw_only=True)
class TrialState:
    """Everything that changes while a trial runs."""

    params: Any
    model_state: Any
    optimizer_state: Any
    global_step: int = 0
    eval_results: list[tuple[int, dict[str, float]]] = dataclasses.field(default_factory=list)
    eval_times_sec: list[float] = dataclasses.field(default_factory=list)
    """Submission time of each evaluation, in seconds."""
    eval_rows: list[dict[str, float]] = dataclasses.field(default_factory=list)
    """What was logged of each evaluation, to be logged again where a crash loses it; on process 0."""
    training_complete: bool = False
    """Whether the submission declared itself done."""
    budget_spent: bool = False
    has_diverged: bool = False
    validation_goal_reached: bool = False
    test_goal_reached: bool = False
    sec_since_eval: float = math.inf
    """Wall time since the end of the last evaluation when this state was saved."""

    def end_status(self, settings: RunSettings) -> str | None:
        """How a trial in this state has ended (`records.STATUSES`); None if it goes on.

        Args:
          settings: of the run.
        """
        if self.validation_goal_reached and self.test_goal_reached and not settings.run_past_targets:
            return "target_reached"
        if self.has_diverged:
            return "diverged"
        if self.budget_spent:
            return "budget_exhausted"
        if self.training_complete:
            return "submission_ended"
        if settings.max_global_steps is not None and self.global_step >= settings.max_global_steps:
            return "max_steps"
        return None


TREES = ("params", "model_state", "optimizer_state")
"""Fields of `TrialState` that only a backend can save."""
NO_TREES: dict[str, Any] = dict.fromkeys(TREES)


def state_of(progress: Mapping[str, Any]) -> TrialState:
    """A state without its trees, from the fields that a record or a message has of it."""
    known = {field.name for field in dataclasses.fields(TrialState)} - NO_TREES.keys()
    found = {name: value for name, value in progress.items() if name in known}
    found["eval_results"] = [(step, dict(metrics)) for step, metrics in found.get("eval_results", ())]
    return TrialState(**NO_TREES, **found)
