"""The identity of a trial: compared before a run is continued, counted as finished, or reproduced."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algoperf import records, source_digest
from algoperf.run import sources
from algoperf.run.sources import Sources
from algoperf.settings import IDENTITY, RunSettings
from algoperf.spec import UsageError
from algoperf.workload import WorkloadSpec

Identity = dict[str, Any]
"""The stored form: settings with `is_identity`, and digests of the files that decide the run."""

SOURCE = sources.SUBMISSION
"""Digest of the submission's files and of what they import."""
ENVIRONMENT = "environment"
"""What changes numbers beside the settings: precision, flags of the compiler, threads; see `Backend.numerics`."""
VERSIONS = sources.VERSIONS
NESTED = (ENVIRONMENT, VERSIONS)
"""Keys whose entries are compared one by one."""
ACCEPTABLE = (sources.HARNESS, sources.WORKLOAD, VERSIONS)
"""What `--accept_changes` passes over. A changed submission, workload, budget or point is another result."""
BEFORE = {"data_seed": None}
"""What runs had before there was a choice; of other keys that older versions did not store, nothing is known."""
META_SOURCES = "sources"
"""Key of a trial's meta data: part of the identity -> file -> digest, so that the file can be named that changed."""


def identity_of(
    settings: RunSettings,
    workload: WorkloadSpec,
    submission_source: str,
    point: Mapping[str, object] | None,
    *,
    budget_sec: float | None = None,
    known: Sources | None = None,
    **of_process: object,
) -> Identity:
    """The identity of a trial.

    Args:
      settings: the settings of its command, with `framework` and `trial` filled in.
      workload: the workload, with the targets and the budget of its suite.
      submission_source: `Submission.source_hash`.
      point: hyperparameters; None in the self-tuning ruleset.
      budget_sec: on the submission clock, the ruleset's factor included.
      known: the rest of the code, and versions.
      **of_process: what only the process that runs it knows, such as `environment` and `device`; None is left out.
    """
    # In the order in which differences are told: what a person can read goes before the digest that includes it.
    return {
        **{key: value for key, value in of_process.items() if value is not None},
        **settings.values(IDENTITY),
        "workload": workload.name,
        "validation_target": workload.validation_target_value,
        "test_target": workload.test_target_value,
        **({} if budget_sec is None else {"budget_sec": budget_sec}),
        "step_hint": workload.step_hint,
        "workload_config": workload.config_hash(),
        "hyperparameters": None if point is None else dict(point),
        **({} if known is None else known.identity()),
        SOURCE: submission_source,
    }


# ---- comparing -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """One thing in which two identities differ."""

    key: str
    stored: object
    wanted: object
    files: tuple[str, ...] = ()
    """Of a part of the code: what has become of which files, as far as the records know."""

    @property
    def is_acceptable(self) -> bool:
        """Whether a run may go on over it, if its user says so."""
        return self.key.split(".")[0] in ACCEPTABLE

    def __str__(self) -> str:
        if self.files:
            return f"{self.key} ({source_digest.first_of(self.files)})"
        return f"{self.key} ({self.stored!r}, now {self.wanted!r})"


def differences(
    stored: Mapping[str, object],
    wanted: Mapping[str, object],
    stored_files: Mapping[str, Mapping[str, str]] | None = None,
    files: Mapping[str, Mapping[str, str]] | None = None,
) -> list[Difference]:
    """All differences between two identities. A key that is not stored counts as equal.

    Args:
      stored: of the trial that is there; older versions stored fewer keys, and their runs must still be continued.
      wanted: of the trial that is asked for.
      stored_files: part -> file -> digest as recorded; empty where it is not known.
      files: the same as it is now.

    >>> differences({ENVIRONMENT: {"threads": 2}}, {ENVIRONMENT: {"threads": 1, "x64": False}})
    [Difference(key='environment.threads', stored=2, wanted=1, files=())]
    """
    if SOURCE in stored and sources.HARNESS not in stored:
        # Runs from before there were parts: their hash was over the submission's folder alone.
        wanted = {**wanted, SOURCE: wanted.get(sources.OLDER, wanted.get(SOURCE))}
    if stored:
        stored = {**BEFORE, **stored}
    found = []
    for key, value in wanted.items():
        earlier = stored.get(key)
        if key not in stored or earlier == value or key == sources.OLDER:
            continue
        if key in NESTED and isinstance(earlier, Mapping) and isinstance(value, Mapping):
            inner = differences(earlier, value)
            found += [dataclasses.replace(one, key=f"{key}.{one.key}") for one in inner]
        else:
            found.append(
                Difference(
                    key,
                    earlier,
                    value,
                    _changed(earlier, (stored_files or {}).get(key), (files or {}).get(key)),
                )
            )
    return found


def _changed(
    digest: object, then: Mapping[str, str] | None, now: Mapping[str, str] | None
) -> tuple[str, ...]:
    # Records may be of another start of the trial than the identity: then they are no help.
    if not then or not now or source_digest.combined(then) != digest:
        return ()
    return tuple(source_digest.changes(then, now))


def difference(stored: Mapping[str, object], wanted: Mapping[str, object]) -> Difference | None:
    """The first of `differences`, or None."""
    return next(iter(differences(stored, wanted)), None)


def recorded_files(folder: Path) -> dict[str, dict[str, str]]:
    """Part of the identity -> file -> digest, as the newest start of a trial recorded it; empty if none did."""
    try:
        found = records.newest_meta_data(folder).get(META_SOURCES)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and all(isinstance(one, dict) for one in found.values()) else {}


def check_same(
    stored: Mapping[str, object],
    wanted: Identity,
    folder: Path,
    known: Sources | None = None,
    accept_changes: bool = False,
) -> tuple[str, ...]:
    """What has changed since a trial's folder was written and was accepted, each in a few words.

    Args:
      stored: the identity in the folder's records.
      wanted: the identity of the trial that is asked for.
      folder: of the trial.
      known: the code as it is now, to name the files that changed.
      accept_changes: passes over changes of the project's code and of versions.

    Raises:
      UsageError: if the folder holds another trial than the wanted one.
    """
    if not differences(stored, wanted):
        return ()
    found = differences(stored, wanted, recorded_files(folder), None if known is None else known.files)
    for one in found:
        if not (accept_changes and one.is_acceptable):
            accepting = (
                ", or go on over the change with --accept_changes, which the records will say"
                if one.is_acceptable
                else ""
            )
            raise UsageError(
                f"{folder} holds a run with another {one}: continue it with the same {_kind(one)}, choose another "
                f"--experiment_dir, or start over with --overwrite{accepting}."
            )
    return tuple(map(str, found))


def _kind(one: Difference) -> str:
    kinds = {SOURCE: "source", sources.HARNESS: "code", sources.WORKLOAD: "code", VERSIONS: "packages"}
    return kinds.get(one.key.split(".")[0], "settings")
