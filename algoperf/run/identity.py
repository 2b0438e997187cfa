"""The identity of a trial: compared before a run is continued, counted as finished, or reproduced."""

import dataclasses
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
ENVIRONMENT = "environment"
"""What changes numbers beside the settings: precision, flags of the compiler, threads; see `Backend.numerics`."""


def identity_of(
    settings: RunSettings,
    workload: WorkloadSpec,
    submission_source: str,
    point: Mapping[str, object] | None,
    environment: Mapping[str, object] | None = None,
) -> Identity:
    """The identity of a trial.

    Args:
      settings: the settings of its command, with `framework` and `trial` filled in.
      workload: the workload, with the targets and the budget of its suite.
      submission_source: `Submission.source_hash`.
      point: hyperparameters; None in the self-tuning ruleset.
      environment: of the process that runs it; None where that is not known, or not to be compared.
    """
    known = {} if environment is None else {ENVIRONMENT: dict(environment)}
    return {
        **known,
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
    """The first difference between two identities, or None. A key that is not stored counts as equal.

    >>> difference({ENVIRONMENT: {"threads": 2}}, {ENVIRONMENT: {"threads": 1, "x64": False}})
    Difference(key='environment.threads', stored=2, wanted=1)
    """
    for key, value in wanted.items():
        # Older versions stored fewer keys, and their runs must still be continued.
        if key not in stored or stored[key] == value:
            continue
        earlier = stored[key]
        if key != ENVIRONMENT or not isinstance(earlier, Mapping):
            return Difference(key, earlier, value)
        found = difference(earlier, value)
        if found is not None:
            return dataclasses.replace(found, key=f"{key}.{found.key}")
    return None


def check_same(stored: Mapping[str, object], wanted: Identity, folder: Path) -> None:
    """Raises UsageError if a trial's folder holds another trial than the wanted one."""
    found = difference(stored, wanted)
    if found is not None:
        raise UsageError(
            f"{folder} holds a run with another {found.key} ({found.stored!r}, now {found.wanted!r}): continue it with "
            "the same settings, choose another --experiment_dir, or start over with --overwrite."
        )
