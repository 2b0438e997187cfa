"""What makes a trial this trial and no other: asked before a run is continued, counted as done, or reproduced."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algoperf.settings import IDENTITY, RunSettings
from algoperf.spec import UsageError
from algoperf.workload import WorkloadSpec

Identity = dict[str, Any]
"""As it is stored in records: the settings that count, and hashes of what they stand for."""

SOURCE = "submission_source"
"""Hash of the submission's files."""


def identity_of(
    settings: RunSettings, workload: WorkloadSpec, submission_source: str, point: Mapping[str, object] | None
) -> Identity:
    """The identity of a trial.

    Args:
      settings: of its command; `framework` and `trial` are those that were chosen.
      workload: with the targets and the budget of its suite.
      submission_source: `Submission.source_hash`.
      point: hyperparameters; None in the self-tuning ruleset.
    """
    return {
        **settings.values(IDENTITY),
        "workload": workload.name,
        "workload_config": workload.config_hash(),
        SOURCE: submission_source,
        "hyperparameters": None if point is None else dict(point),
    }


@dataclass(frozen=True)
class Difference:
    """The first thing in which two identities differ."""

    key: str
    stored: object
    wanted: object


def difference(stored: Mapping[str, object], wanted: Identity) -> Difference | None:
    """Where a stored identity is another one; what an older version did not store counts as equal."""
    for key, value in wanted.items():
        if key in stored and stored[key] != value:
            return Difference(key, stored[key], value)
    return None


def check_same(stored: Mapping[str, object], wanted: Identity, folder: Path) -> None:
    """Raises UsageError where a trial's folder holds another trial than the one that is wanted."""
    found = difference(stored, wanted)
    if found is not None:
        raise UsageError(
            f"{folder} holds a run with another {found.key} ({found.stored!r}, now {found.wanted!r}): continue it with "
            "the same settings, choose another --experiment_dir, or start over with --overwrite."
        )
