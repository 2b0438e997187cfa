"""The identity of a trial: compared before a run is continued, counted as finished, or reproduced."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algoperf.settings import IDENTITY, RunSettings
from algoperf.spec import UsageError
from algoperf.workload import WorkloadSpec

Identity = dict[str, Any]
"""The stored form: settings with `is_identity`, and hashes of the files that they stand for."""

SOURCE = "submission_source"
"""Hash of the submission's files."""


def identity_of(
    settings: RunSettings, workload: WorkloadSpec, submission_source: str, point: Mapping[str, object] | None
) -> Identity:
    """The identity of a trial.

    Args:
      settings: the settings of its command, with `framework` and `trial` filled in.
      workload: the workload, with the targets and the budget of its suite.
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
    """The first difference between two identities, or None. A key that is not stored counts as equal."""
    for key, value in wanted.items():
        # Older versions stored fewer keys, and their runs must still be continued.
        if key in stored and stored[key] != value:
            return Difference(key, stored[key], value)
    return None


def check_same(stored: Mapping[str, object], wanted: Identity, folder: Path) -> None:
    """Raises UsageError if a trial's folder holds another trial than the wanted one."""
    found = difference(stored, wanted)
    if found is not None:
        raise UsageError(
            f"{folder} holds a run with another {found.key} ({found.stored!r}, now {found.wanted!r}): continue it with "
            "the same settings, choose another --experiment_dir, or start over with --overwrite."
        )
