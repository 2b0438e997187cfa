"""Trials in a campaign's folder that are not, or not under the same code, what the campaign would run now."""

import collections
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algoperf.run.identity import ENVIRONMENT, SOURCE, Difference
from algoperf.run.summary import Summary
from algoperf.spec import UsageError
from campaign.job_plan import Job
from campaign.state import State

OF_MACHINE = ("device", f"{ENVIRONMENT}.threads")
"""Entries of identities that a plan does not know, and in which all trials should agree."""


@dataclass(frozen=True)
class Mixture:
    """A job, and in what the trial in its folder differs from it."""

    job: Job
    differences: Sequence[Difference]

    def refused(self, accept_changes: bool) -> bool:
        return any(not (accept_changes and one.is_acceptable) for one in self.differences)

    @property
    def what(self) -> str:
        """The differences on one line, those first that nobody can accept."""
        ordered = sorted(self.differences, key=lambda one: one.is_acceptable)
        return ", ".join(map(str, ordered))

    def error(self) -> UsageError:
        """Why it is not run."""
        found = next((one for one in self.differences if not one.is_acceptable), self.differences[0])
        folder, name = self.job.folder, self.job.submission
        if found.is_acceptable:
            return UsageError(f"{folder} holds a trial under other code ({self.what}): {_choices()}.")
        if found.key == SOURCE:
            return UsageError(
                f"{folder} holds a trial of {name!r} as its files were then ({found}): put them back, or use another "
                "--experiment_dir. Trials that failed start afresh with --retry_failed."
            )
        return UsageError(
            f"{folder} holds a trial with another {found}: use the settings of that time, or another --experiment_dir."
        )


def _choices() -> str:
    return (
        "put the code and the packages back as they were, use another --experiment_dir, or count those trials in with "
        "--accept_changes"
    )


def error_of(mixed: Sequence[Mixture], states: Mapping[str, State], folder: Path) -> UsageError:
    """Why a campaign is not run, planned or counted: what has changed, and for how many of its trials.

    Args:
      mixed: those that are refused, at least one.
      states: of all jobs.
      folder: of the campaign.
    """
    worst = next((one for one in mixed if any(not d.is_acceptable for d in one.differences)), None)
    if worst is not None and len(mixed) == 1:
        return worst.error()
    if worst is not None and not all(one.key == SOURCE for one in worst.differences if not one.is_acceptable):
        return worst.error()
    others = [state for key, state in states.items() if key not in {one.job.key for one in mixed}]
    rest = f", {_counts(others)}" if others else ""
    code = "other files of a submission" if worst is not None else "other code"
    what = _grouped(mixed, states, code)
    way = (
        "put them back, or use another --experiment_dir; trials that failed start afresh with --retry_failed"
        if worst is not None
        else _choices()
    )
    return UsageError(f"{folder}: {what}{rest}. They would be mixed in one result: {way}.")


def _grouped(mixed: Iterable[Mixture], states: Mapping[str, State], code: str) -> str:
    groups: dict[str, list[State]] = collections.defaultdict(list)
    for one in mixed:
        groups[one.what].append(states[one.job.key])
    return "; ".join(f"{_counts(found)} under {code} ({what})" for what, found in groups.items())


def _counts(found: Collection[State]) -> str:
    """For example '9 waiting, 27 done'."""
    counts = collections.Counter(found)
    return ", ".join(f"{counts[state]} {state}" for state in State if counts[state])


def lines(
    mixed: Sequence[Mixture], states: Mapping[str, State], summaries: Iterable[Summary | None]
) -> list[str]:
    """What is to be said of trials that are counted all the same.

    Args:
      mixed: those that differ from what would run now.
      states: of all jobs.
      summaries: of all jobs.
    """
    found = [f"  mixed: {_grouped(mixed, states, 'other code')}"] if mixed else []
    identities = [one.identity for one in summaries if one is not None and one.identity]
    for key in OF_MACHINE:
        values = collections.Counter(json.dumps(value) for one in identities if (value := _entry(one, key)))
        if len(values) > 1:
            shares = ", ".join(f"{value} in {count}" for value, count in sorted(values.items()))
            found.append(f"  mixed: {key} differs between trials ({shares})")
    return found


def _entry(identity: Mapping[str, Any], key: str) -> object:
    outer, _, inner = key.partition(".")
    value = identity.get(outer)
    return value.get(inner) if inner and isinstance(value, Mapping) else value
