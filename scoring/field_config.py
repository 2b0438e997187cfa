"""What one scoring is asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from algoperf import suites
from algoperf.spec import UsageError, no_such
from scoring import published, relaxing
from scoring.results import AXES, SUBMISSION_TIME, Trial

MAX_SAMPLES = 100_000
"""Of the bootstrap: intervals hardly move beyond some thousands, and memory grows with their number."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """The arguments of one scoring; names as the flags."""

    submissions_dir: Path | None
    """Folder of submissions or archive of one; None scores the published entries alone."""
    more_dirs: tuple[Path, ...] = ()
    """More of them, joined with the first."""
    suite: str = suites.FULL_SIZE
    ruleset: str = "external"
    official: bool = False
    strict: bool = False
    axis: str = SUBMISSION_TIME
    reference: str | None = None
    compare_to: str | None = None
    calibrate: bool = False
    """Carries own times over to the machine of the published ones."""
    bootstrap_samples: int = 1000
    seed: int = 0
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    workloads: tuple[str, ...] = ()
    """Scores these instead of the suite's workloads."""
    num_studies: int | None = None
    num_trials: int | None = None
    output_dir: Path | None = None
    report: Path | None = None
    """Writes the report alone to this file, without the others of `output_dir`."""
    sensitivity: bool = False
    reveal_data_seed: str | None = None
    """Said of which trials it is the seed of the data."""
    step_times: bool = False
    """Shows seconds per update also where frameworks do not differ by much."""
    seals: Path | None = None
    """A list of seals that was published when the runs ended."""
    relax_targets: float = 0.0
    """Share by which targets are moved before anything is scored; below 0 they are tightened."""
    with_document: bool = False
    """Whether the result has what scores.json would hold."""

    def __post_init__(self) -> None:
        suites.check_counts(flag="--", num_studies=self.num_studies, num_trials=self.num_trials)
        if self.axis not in AXES:
            raise no_such("axis", self.axis, AXES)
        if not 0 <= self.bootstrap_samples <= MAX_SAMPLES:
            raise UsageError(
                f"--bootstrap_samples must be from 0 to {MAX_SAMPLES}, got {self.bootstrap_samples}."
            )
        relaxing.check(self.relax_targets)
        if self.seed < 0:
            raise UsageError(f"--seed must be 0 or more, got {self.seed}.")
        if self.submissions_dir is None and self.compare_to is None:
            raise UsageError(
                "Give the folder of submissions, as in score_submissions.py ~/experiments; "
                "--compare_to=algoperf_v05 without a folder scores the published entries."
            )
        if self.calibrate:
            published.check_has_reference(self.compare_to)
            if self.submissions_dir is None:
                raise UsageError(
                    "--calibrate carries the times of your own submissions over: give their folder, as in "
                    "score_submissions.py --calibrate ~/experiments, or leave out --calibrate."
                )


@dataclass(frozen=True)
class SoFar:
    """What there is of a campaign that still runs."""

    submissions: tuple[str, ...]
    """All of them, those without any result among them."""
    has_ended: Callable[[Trial], bool]
    """Others count as not run."""
