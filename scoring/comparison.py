"""What a field has in common: for each recorded fact, whether it is equal, or who differs (R12.7).

A fact is compared where it means the same: budgets within a workload, versions package by package, the source within a
submission. Such a place is a *cell* here; facts of the whole field have one cell, called ''.
"""

import collections
import enum
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from scoring import revealed
from scoring.facts import Facts
from scoring.results import Trial


class Verdict(enum.StrEnum):
    """What is known of one fact over a field."""

    EQUAL = "equal"
    DIFFERS = "differs"
    NOT_RECORDED = "not recorded"


@dataclass(frozen=True)
class Kept:
    """Trials that share a value."""

    num_trials: int
    example: str
    """Where the first of them lies: 'wmt, study_0/trial_1'."""


@dataclass(frozen=True)
class Comparison:
    """One fact over a field."""

    name: str
    cells: Mapping[str, Mapping[str, Mapping[str, Kept]]]
    """Cell -> value as text -> submission; values of the most trials first."""
    silent: tuple[str, ...]
    """Submissions that do not record it, or not in all trials."""
    is_equal_in_field: bool
    """Whether the rules want it equal for all submissions of a field (R12.7)."""
    is_equal_in_entry: bool
    """Whether they want it equal in all trials of a submission."""

    @property
    def verdict(self) -> Verdict:
        if not self.cells:
            return Verdict.NOT_RECORDED
        return Verdict.DIFFERS if self.differing() else Verdict.EQUAL

    def differing(self) -> list[str]:
        """The cells with more than one value."""
        return [cell for cell, values in self.cells.items() if len(values) > 1]

    def mixed_within(self, submission: str) -> list[str]:
        """The cells in which trials of one submission have more than one value."""
        return [
            cell
            for cell, values in self.cells.items()
            if sum(submission in who for who in values.values()) > 1
        ]

    def mixed_among(self) -> list[str]:
        """The cells in which submissions differ from each other, each taken at the value of most of its trials."""
        return [cell for cell in self.differing() if len(set(self.main_values(cell).values())) > 1]

    def main_values(self, cell: str) -> dict[str, str]:
        """Submission -> the value of most of its trials."""
        most: dict[str, tuple[int, str]] = {}
        for value, who in self.cells[cell].items():
            for submission, kept in who.items():
                if kept.num_trials > most.get(submission, (0, ""))[0]:
                    most[submission] = (kept.num_trials, value)
        return {submission: value for submission, (_, value) in most.items()}


_Values = Callable[[Facts, Trial, float], Iterable[tuple[str, Hashable]]]
"""(facts, trial, budget factor) -> (cell, value), for what is recorded."""


@dataclass(frozen=True)
class _Fact:
    name: str
    values_of: _Values
    show: Callable[[Any], str] = str
    is_equal_in_field: bool = True
    is_equal_in_entry: bool = True


def _whole(get: Callable[[Facts], Hashable]) -> _Values:
    return lambda facts, trial, factor: [] if (value := get(facts)) is None else [("", value)]


def _per_workload(get: Callable[[Facts], Hashable]) -> _Values:
    return lambda facts, trial, factor: [] if (value := get(facts)) is None else [(trial.workload, value)]


def _budget(facts: Facts, trial: Trial, factor: float) -> Iterable[tuple[str, Hashable]]:
    value = budget_of(facts, factor)
    return [] if value is None else [(trial.workload, round(value, 6))]


def budget_of(facts: Facts, factor: float) -> float | None:
    """The budget of a trial in seconds; None where it is not recorded.

    Args:
      facts: of the trial.
      factor: of the ruleset that is scored, for records that hold the workload's budget alone.
    """
    if facts.budget_sec is None and facts.base_budget_sec is not None:
        return facts.base_budget_sec * factor
    return facts.budget_sec


def _source(facts: Facts, trial: Trial, factor: float) -> Iterable[tuple[str, Hashable]]:
    # What a submission is made of may depend on the framework; it runs each workload in one.
    return [] if facts.source is None else [(f"{trial.submission} in {trial.framework}", facts.source)]


def _harness(facts: Facts, trial: Trial, factor: float) -> Iterable[tuple[str, Hashable]]:
    return [] if facts.harness is None else [(trial.framework, facts.harness)]


def _workload_code(facts: Facts, trial: Trial, factor: float) -> Iterable[tuple[str, Hashable]]:
    where = f"{trial.workload} in {trial.framework}"
    return [] if facts.workload_code is None else [(where, facts.workload_code)]


def _shown_targets(targets: tuple[float, float | None]) -> str:
    validation, test = targets
    return f"{validation:g}" if test is None else f"{validation:g} (test {test:g})"


FACTS = (
    # A suite of one's own is named by the path of its file, which says nothing elsewhere.
    _Fact("suite", _whole(lambda facts: facts.suite), lambda value: PurePath(value).name),
    _Fact("ruleset", _whole(lambda facts: facts.ruleset)),
    _Fact("targets", _per_workload(lambda facts: facts.targets), _shown_targets),
    _Fact("budget", _budget, lambda value: f"{value:,g} s"),
    _Fact("data", _per_workload(lambda facts: facts.data), revealed.shown),
    _Fact("step hint", _per_workload(lambda facts: facts.step_hint), lambda value: f"{value:,g}"),
    _Fact("evaluations", _per_workload(lambda facts: facts.evaluations)),
    _Fact("device", _whole(lambda facts: facts.device)),
    _Fact("host", _whole(lambda facts: facts.host)),
    _Fact("versions", lambda facts, trial, factor: facts.versions),
    _Fact("harness code", _harness, lambda value: value[:8]),
    _Fact("workload code", _workload_code, lambda value: value[:8]),
    _Fact("seed", _whole(lambda facts: facts.seed), lambda value: f"{value:g}"),
    _Fact("source", _source, lambda value: value[:8], is_equal_in_field=False),
    _Fact(
        "threads",
        _whole(lambda facts: facts.threads),
        lambda value: f"{value:g}",
        is_equal_in_field=False,
        is_equal_in_entry=False,
    ),
    _Fact("commit", _whole(lambda facts: facts.commit), is_equal_in_field=False, is_equal_in_entry=False),
    _Fact(
        "refereed",
        _whole(lambda facts: facts.refereed),
        lambda value: "yes" if value else "no",
    ),
)
NAMES = tuple(fact.name for fact in FACTS)


def compare(trials: Collection[Trial], budget_factor: float) -> tuple[Comparison, ...]:
    """Each fact over a field, in the order of `NAMES`.

    Args:
      trials: of the field.
      budget_factor: of the ruleset that is scored.
    """
    recorded = [(trial, facts) for trial in trials for facts in trial.facts]
    submissions = sorted({trial.submission for trial in trials})
    without_records = {trial.submission for trial in trials if not trial.facts}
    return tuple(_compared(fact, recorded, submissions, without_records, budget_factor) for fact in FACTS)


def _compared(
    fact: _Fact,
    recorded: Sequence[tuple[Trial, Facts]],
    submissions: Sequence[str],
    without_records: Collection[str],
    budget_factor: float,
) -> Comparison:
    found: dict[str, dict[Hashable, dict[str, list[Trial]]]] = collections.defaultdict(dict)
    silent = set(without_records)
    for trial, facts in recorded:
        values = list(fact.values_of(facts, trial, budget_factor))
        if not values:
            silent.add(trial.submission)
        for cell, value in values:
            own = found[cell].setdefault(value, {}).setdefault(trial.submission, [])
            if not own or own[-1] is not trial:  # It may have been started several times.
                own.append(trial)
    cells = {}
    for cell, by_value in sorted(found.items()):
        texts = _distinct([fact.show(value) for value in by_value], list(map(str, by_value)))
        by_text = dict(zip(texts, by_value.values()))
        order = sorted(by_text, key=lambda text: (-sum(map(len, by_text[text].values())), text))
        cells[cell] = {
            text: {name: _kept(own) for name, own in sorted(by_text[text].items())} for text in order
        }
    return Comparison(
        name=fact.name,
        cells=cells,
        silent=tuple(name for name in submissions if name in silent),
        is_equal_in_field=fact.is_equal_in_field,
        is_equal_in_entry=fact.is_equal_in_entry,
    )


def _distinct(short: list[str], full: list[str]) -> list[str]:
    """The short texts, or the full ones where two values would look the same."""
    return short if len(set(short)) == len(short) else full


def _kept(trials: Sequence[Trial]) -> Kept:
    first = trials[0]
    return Kept(len(trials), f"{first.workload}, study_{first.study}/trial_{first.trial}")


# ---- load ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Load:
    """How many trials of a submission warned that other processes used the machine."""

    num_warned: int
    num_trials: int
    """Of which that is known."""

    def __str__(self) -> str:
        if not self.num_warned:
            return f"none of {self.num_trials} trials ran beside other processes"
        return f"{self.num_warned} of {self.num_trials} trials ran beside other processes"


def loads(trials: Collection[Trial]) -> dict[str, Load]:
    """Submission -> its trials that ran beside other processes; without submissions of which that is not known."""
    known: dict[str, list[bool]] = collections.defaultdict(list)
    for trial in trials:
        warned = [facts.was_loaded for facts in trial.facts if facts.was_loaded is not None]
        if warned:
            known[trial.submission].append(any(warned))
    return {name: Load(sum(warned), len(warned)) for name, warned in sorted(known.items())}
