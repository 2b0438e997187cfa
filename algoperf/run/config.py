"""What one trial depends on."""

import dataclasses
from pathlib import Path
from typing import Any

from algoperf.run.identity import Identity, identity_of
from algoperf.settings import SHARED, RunSettings
from algoperf.submission import Submission
from algoperf.workload import WorkloadSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrialConfig:
    """One trial: the settings of its command, and what was found for them."""

    settings: RunSettings
    """With the framework and the number of this trial filled in."""
    workload: WorkloadSpec
    """With the targets and the budget of the suite."""
    submission: Submission
    suite: str
    point: dict[str, Any] | None
    """Hyperparameters; None in the self-tuning ruleset."""
    budget_factor: float
    """Of the ruleset, on the workload's budget."""
    folder: Path
    torch_compile: bool = False

    @property
    def framework(self) -> str:
        assert self.settings.framework is not None
        return self.settings.framework

    @property
    def trial(self) -> int:
        """From 1."""
        assert self.settings.trial is not None
        return self.settings.trial

    @property
    def budget_sec(self) -> float:
        """On the submission clock."""
        return self.workload.max_allowed_runtime_sec * self.budget_factor

    def identity(self) -> Identity:
        """What must be equal for one run to be the continuation of another."""
        return identity_of(self.settings, self.workload, self.submission.source_hash, self.point)

    def shared_settings(self) -> dict[str, Any]:
        """What must be equal on all processes of a run, or they would wait for each other for ever."""
        own = {"budget_sec": self.budget_sec, "torch_compile": self.torch_compile}
        return {**self.identity(), **self.settings.values(SHARED), **own}

    def flags(self) -> dict[str, Any]:
        """The settings as they are recorded, for people and for `--reproduce`."""
        return {**dataclasses.asdict(self.settings), "submission_file": str(self.submission.path)}
