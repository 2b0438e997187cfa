"""The configuration of one trial: its settings and everything they were resolved to."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from algoperf.run import checkpoint
from algoperf.run.identity import Identity, check_same, identity_of
from algoperf.run.intact import Intact
from algoperf.run.sources import Sources
from algoperf.settings import SHARED, RunSettings
from algoperf.submission import Submission, SubmissionFacts
from algoperf.workload import WorkloadSpec

UNLIMITED_SEC = 1e9
"""More seconds than any run takes: 30 years."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrialFacts:
    """One trial: the settings of its command, and the workload, submission and point that they mean."""

    settings: RunSettings
    """The settings, with the framework and the number of this trial filled in."""
    workload: WorkloadSpec
    """The workload, with the targets and the budget of the suite."""
    submission: SubmissionFacts
    suite: str
    point: dict[str, Any] | None
    """Hyperparameters; None in the self-tuning ruleset."""
    budget_factor: float
    """The ruleset's factor on the workload's budget."""
    folder: Path
    environment: dict[str, Any] | None = None
    """See `identity.ENVIRONMENT`; as it was when the submission had been imported."""
    device: str | None = None
    """See `Backend.device_kind`."""
    torch_compile: bool | None = None
    """Whether its models are compiled; None, as of the two before, where no process has said so yet."""
    sources: Sources | None = None
    """The code as it was then, and versions."""
    eval_steps: tuple[int, ...] | None = None
    """The updates after which a run is evaluated that repeats another one; else the settings say when."""

    @property
    def framework(self) -> str:
        assert self.settings.framework is not None
        return self.settings.framework

    @property
    def trial(self) -> int:
        """Number of the trial, from 1."""
        assert self.settings.trial is not None
        return self.settings.trial

    @property
    def budget_sec(self) -> float:
        """The budget of this trial in seconds on the submission clock."""
        return self.workload.max_allowed_runtime_sec * self.budget_factor

    @property
    def time_limit_sec(self) -> float:
        """The budget, but of a repetition, which ends where the stored run did, however long that takes here."""
        return self.budget_sec if self.eval_steps is None else UNLIMITED_SEC

    def identity(self) -> Identity:
        """Everything that must be equal for one run to continue another (R6.16)."""
        return identity_of(
            self.settings,
            self.workload,
            self.submission.source_hash,
            self.point,
            budget_sec=self.budget_sec,
            known=self.sources,
            environment=self.environment,
            device=self.device,
            torch_compile=self.torch_compile,
            eval_steps=None if self.eval_steps is None else list(self.eval_steps),
        )

    def check_same(self, stored: Mapping[str, object] | None) -> tuple[str, ...]:
        """See `identity.check_same`; `stored` is in the form that JSON gives back."""
        accepts = self.settings.accept_changes
        return check_same(stored or {}, checkpoint.plain(self.identity()), self.folder, self.sources, accepts)

    def flags(self) -> dict[str, Any]:
        """The settings as they are recorded, for people and for `--reproduce`."""
        return {**dataclasses.asdict(self.settings), "submission_file": str(self.submission.path)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrialConfig(TrialFacts):
    """One trial in the process that has imported its submission."""

    submission: Submission
    torch_compile: bool = False
    intact: Intact | None = None
    """The code that the submission has found; None where nobody has looked."""

    def shared_settings(self) -> dict[str, Any]:
        """Everything that must be equal on all processes of a run; else they wait for each other for ever."""
        own = {"budget_sec": self.budget_sec, "torch_compile": self.torch_compile}
        return {**self.identity(), **self.settings.values(SHARED), **own}
