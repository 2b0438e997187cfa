"""Faults of a contributed folder of results, each with the trial that it is about and what to do.

What scoring finds anyway (`field_reading.read_own`) is taken over; added is what a contribution has to have and a field
need not: every trial has ended, says what it is (`submission_info.yml`), and repeats no other submission's.
"""

import collections
import dataclasses
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algoperf import submission_info, suites
from algoperf.spec import UsageError
from algoperf.suites import Suite
from scoring import endings, field_reading, next_steps, reading, recorded, refereed, score_field, sources
from scoring.results import HARMLESS, Finding, Kind, Results, Trial

NOT_ENDED = "has not ended: no whole summary.json says how"
NO_INFO = "does not say what it is"
GROUPED = (Kind.ENDED_EARLY, Kind.NOT_REFEREED)
"""Findings of scoring that stand for several trials, which are named one by one here."""


@dataclass(frozen=True, order=True)
class Fault:
    """One thing that is wrong, or (`is_note`) that people should look at."""

    submission: str
    workload: str
    place: str
    """'study_0/trial_1', or a part of it; '' for all."""
    what: str
    next_step: str
    is_note: bool = False

    def line(self) -> str:
        """For the terminal: where, what, and what to do."""
        where = " ".join(part for part in (self.submission, self.workload, self.place) if part)
        return f"{'note' if self.is_note else 'fault'}: {where or 'all'}: {self.what}; {self.next_step}."


@dataclass(frozen=True)
class Validation:
    """What a look at one folder came to."""

    folder: Path
    suite: str
    ruleset: str
    submissions: tuple[str, ...]
    num_trials: int
    faults: tuple[Fault, ...]
    """Notes among them."""

    @property
    def is_valid(self) -> bool:
        """Whether there is nothing to repair."""
        return all(fault.is_note for fault in self.faults)

    def text(self) -> str:
        """A line for each fault, and one for all of it."""
        num = sum(not fault.is_note for fault in self.faults)
        counted = f"{num} fault{'' if num == 1 else 's'}" if num else "complete and consistent"
        end = (
            f"{self.folder}: {len(self.submissions)} submission{'' if len(self.submissions) == 1 else 's'}, "
            f"{self.num_trials} trials, suite {self.suite}, {self.ruleset} ruleset: {counted}."
        )
        return "\n".join([*(fault.line() for fault in self.faults), end])

    def content(self) -> dict[str, Any]:
        """The same as plain JSON types."""
        return {
            "folder": str(self.folder),
            "suite": self.suite,
            "ruleset": self.ruleset,
            "submissions": list(self.submissions),
            "num_trials": self.num_trials,
            "is_valid": self.is_valid,
            "faults": [dataclasses.asdict(fault) for fault in self.faults],
        }


def validate(
    folder: Path, suite: str | None = None, ruleset: str | None = None, *, demands_referee: bool = False
) -> Validation:
    """Looks for everything that a contribution may not have.

    Args:
      folder: of submissions, or an archive of one.
      suite: under whose rules; None takes what the records say.
      ruleset: likewise.
      demands_referee: whether every trial has to be refereed, also where the suite does not demand it.

    Raises:
      UsageError: if there are no results of that suite, or the records name several suites or rulesets.
    """
    if not folder.exists():
        raise UsageError(
            f"No results at {str(folder)!r}: give the folder of submissions, or an archive of one."
        )
    with sources.opened([folder]) as places:
        found = [] if suite and ruleset else recorded.of_places(places)
        rules = suites.load(suite or recorded.suite_of(found))
        if demands_referee:
            rules = dataclasses.replace(rules, refereed=suites.REQUIRED)
        config = score_field.Config(
            submissions_dir=folder, suite=rules.name, ruleset=ruleset or recorded.ruleset_of(found)
        )
        rules.ruleset(config.ruleset)
        own, findings = field_reading.read_own(config, rules, places, places[0].submissions)
        faults = sorted(
            {
                *_of_findings(findings, own),
                *_of_trials(own, rules, config.ruleset),
                *_without_info(places[0].folder, own.submissions),
            }
        )
    return Validation(folder, rules.name, config.ruleset, own.submissions, len(own.trials), tuple(faults))


def _of_findings(findings: Iterable[Finding], own: Results) -> Iterator[Fault]:
    # Scoring says of a folder without evaluations that its trial is missing; here it is named, too.
    empty = [one for one in own.findings if one.kind is Kind.NO_EVALUATIONS]
    for one in {*findings, *empty}:
        if one.kind not in GROUPED:
            what = f"{one.kind} ({one.detail})" if one.detail else str(one.kind)
            yield _fault(one, what, one.kind)


def _fault(one: Finding, what: str, kind: Kind) -> Fault:
    return Fault(one.submission, one.workload, one.place, what, next_steps.of(kind), kind in HARMLESS)


def _of_trials(own: Results, suite: Suite, ruleset: str) -> Iterator[Fault]:
    damaged = {_key(one) for one in own.findings if one.kind is Kind.DAMAGED_SUMMARY}
    # Who says of one trial how it ended says it of all; AlgoPerf's logs never do.
    tells_ends = {
        trial.submission for trial in own.trials if trial.status or any(facts.suite for facts in trial.facts)
    }
    for trial in own.trials:
        finding = Finding(trial.submission, trial.workload, Kind.ENDED_EARLY, _place(trial))
        budget_sec = suite.budget_sec(trial.workload, ruleset)
        if not trial.status and trial.submission in tells_ends and _key(finding) not in damaged:
            yield _fault(finding, NOT_ENDED, Kind.NO_EVALUATIONS)
        elif endings.broke_off(trial, suite.targets(trial.workload), budget_sec):
            share = endings.percent(trial.last_time_sec / budget_sec)
            yield _fault(finding, f"{Kind.ENDED_EARLY} (at {share} of the budget)", Kind.ENDED_EARLY)
    if suite.refereed == suites.REQUIRED:
        yield from _not_refereed(own.trials)
    yield from _copies(own.trials)


def _key(one: Finding) -> tuple[str, str, str]:
    return one.submission, one.workload, one.place


def _place(trial: Trial) -> str:
    return f"study_{trial.study}/trial_{trial.trial}"


def _not_refereed(trials: Collection[Trial]) -> Iterator[Fault]:
    of: dict[str, list[Trial]] = collections.defaultdict(list)
    for trial in trials:
        of[trial.submission].append(trial)
    for name, own in of.items():
        without = [trial for trial in own if not refereed.was_refereed(trial)]
        step = next_steps.of(Kind.NOT_REFEREED)
        if len(without) == len(own):
            yield Fault(name, "", "", "no trial was refereed, which is demanded", step)
            continue
        for trial in without:
            yield Fault(name, trial.workload, _place(trial), "was not refereed, which is demanded", step)


def _copies(trials: Sequence[Trial]) -> Iterator[Fault]:
    """Trials with the clock of another submission's; within one submission reading finds them.

    Two clocks of nanoseconds do not agree by chance; times in whole milliseconds may be equal or rounded.
    """
    first: dict[tuple[str, tuple[float, ...]], Trial] = {}
    for trial in trials:
        times = tuple(trial.end.times_sec) if trial.end else ()
        if all(time == round(time, 3) for time in times):
            continue
        earlier = first.setdefault((trial.workload, times), trial)
        if earlier.submission != trial.submission:
            what = f"{Kind.COPY} ({earlier.submission} {_place(earlier)})"
            yield Fault(trial.submission, trial.workload, _place(trial), what, next_steps.of(Kind.COPY))


def _without_info(root: Path, submissions: Iterable[str]) -> Iterator[Fault]:
    for name in submissions:
        info, problem = reading.info_of(root, name)
        step = f"write {submission_info.FILE} into {name}/, with submission_name, authors and description"
        if problem:
            yield Fault(name, "", "", problem.rstrip("."), step)
        elif info is None or not info.name:
            yield Fault(name, "", "", NO_INFO, step)
        elif missing := [part for part in ("authors", "description") if not getattr(info, part)]:
            yield Fault(name, "", "", f"names no {' and no '.join(missing)}", step, is_note=True)
