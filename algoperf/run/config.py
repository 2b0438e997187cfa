"""Everything that a trial depends on."""

import dataclasses
from pathlib import Path
from typing import Any

from algoperf import submission as submissions
from algoperf.workload import WorkloadSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrialConfig:
    """Everything that a trial depends on."""

    workload: WorkloadSpec
    framework: str
    submission: submissions.Submission
    ruleset: str
    """'external' or 'self'."""
    suite: str
    study: int
    """From 0."""
    trial: int
    """From 1."""
    point: dict[str, Any] | None
    """Hyperparameters; None in the self-tuning ruleset."""
    budget_factor: float
    rng_seed: int
    folder: Path
    data_dir: str | None = None
    eval_every_steps: int | None = None
    max_steps: int | None = None
    run_past_targets: bool = False
    skip_evals: bool = False
    save_checkpoints: bool = True
    keep_all_checkpoints: bool = False
    overwrite: bool = False
    torch_compile: bool = False
    device: str = "auto"
    quiet: bool = False
    flags: dict[str, Any] = dataclasses.field(default_factory=dict)
    """As given on the command line, for the record and for --reproduce."""

    @property
    def budget_sec(self) -> float:
        return self.workload.max_allowed_runtime_sec * self.budget_factor

    def identity(self) -> dict[str, Any]:
        """What must be equal for one run to be the continuation of another."""
        return {
            "workload": self.workload.name,
            "workload_config": self.workload.config_hash(),
            "framework": self.framework,
            "submission_source": self.submission.source_hash,
            "rng_seed": self.rng_seed,
            "study": self.study,
            "trial": self.trial,
            "eval_every_steps": self.eval_every_steps,
            "run_past_targets": self.run_past_targets,
            "hyperparameters": self.point,
        }

    def shared_settings(self) -> dict[str, Any]:
        """What must be equal on all processes of a run, or they would wait for each other for ever."""
        names = ("ruleset", "budget_sec", "max_steps", "skip_evals", "save_checkpoints", "torch_compile")
        return {**self.identity(), **{name: getattr(self, name) for name in names}}
