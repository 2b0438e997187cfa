"""Findings on what a field has in common: what the rules do not allow to differ, and what is no independent trial.

`scoring.comparison` says which facts there are; RULES.md, R12.7 and R12.8, which of them have to be equal.
"""

import collections
from collections.abc import Collection, Iterator, Sequence

from algoperf import suites
from algoperf.suites import Suite
from scoring import comparison, refereed
from scoring import comparison_report as words
from scoring.results import Finding, Kind, Results, Trial

MAX_LOADED = 0.1
"""Share of a submission's trials that may warn of other processes without a finding (R12.8)."""

COUNTS = (Kind.MISSING_TRIAL, Kind.EXTRA_TRIAL, Kind.MISSING_STUDY, Kind.EXTRA_STUDY)
"""Findings that count studies and trials against the numbers of the ruleset that is scored."""


def find(results: Results, suite: Suite, ruleset: str) -> list[Finding]:
    """All findings of this module on the results of a user.

    Args:
      results: that are scored, with what reading found.
      suite: by whose numbers.
      ruleset: 'external' or 'self'.
    """
    recorded = [trial for trial in results.trials if trial.facts]
    demanded = refereed.missing(results.trials) if suite.refereed == suites.REQUIRED else []
    if not recorded:
        return demanded
    factor = suite.ruleset(ruleset).budget_factor
    others = other_rulesets(recorded, ruleset)
    facts = comparison.compare(recorded, factor)
    return [
        *(ruleset_finding(name, own, ruleset) for name, own in others.items()),
        *mixed_entries(facts, recorded),
        *mixed_field(facts, recorded),
        *equal_seeds(
            recorded,
            {(one.submission, one.workload, one.place) for one in results.findings if one.kind is Kind.COPY},
        ),
        *short_budgets([trial for trial in recorded if trial.submission not in others], suite, ruleset),
        *loaded(recorded),
        *demanded,
    ]


def other_rulesets(trials: Collection[Trial], ruleset: str) -> dict[str, str]:
    """Submission -> the ruleset that all of its trials ran under, where that is another than is scored."""
    found: dict[str, set[str]] = collections.defaultdict(set)
    for trial in trials:
        found[trial.submission].update(facts.ruleset for facts in trial.facts if facts.ruleset)
    return {name: min(own) for name, own in sorted(found.items()) if len(own) == 1 and own != {ruleset}}


def ruleset_finding(submission: str, own: str, ruleset: str) -> Finding:
    """Said once: what is missing or too many of such results follows from it."""
    return Finding(submission, "", Kind.OTHER_RULESET, "", ruleset_words(own, ruleset))


def of_other_ruleset(findings: Collection[Finding]) -> set[str]:
    """The submissions of which `ruleset_finding` is among the findings."""
    return {one.submission for one in findings if one.kind is Kind.OTHER_RULESET}


def ruleset_words(own: str, ruleset: str) -> str:
    """What is wrong with scoring results of one ruleset under another, and what to do."""
    return f"these are results of the {own} tuning ruleset, scored as {ruleset}: use --ruleset={own}"


def without_counts(findings: Collection[Finding], others: Collection[str]) -> list[Finding]:
    """Findings without those that count what submissions of another ruleset need not have."""
    return [one for one in findings if not (one.submission in others and one.kind in COUNTS)]


def mixed_entries(facts: Collection[comparison.Comparison], trials: Collection[Trial]) -> Iterator[Finding]:
    """Submissions whose own trials differ in what has to be equal."""
    for fact in facts:
        for submission in sorted({trial.submission for trial in trials}) if fact.is_equal_in_entry else ():
            cells = fact.mixed_within(submission)
            if not cells:
                continue
            values = fact.cells[cells[0]]
            own = {value: who[submission] for value, who in values.items() if submission in who}
            parts = [
                f"{words.short(value)} in {words.count_of(kept.num_trials)} such as {kept.example}"
                for value, kept in own.items()
            ]
            where = f" ({cells[0]}{words.more(len(cells) - 1)})" if fact.name != "source" and cells[0] else ""
            yield Finding(submission, "", Kind.MIXED_ENTRY, "", f"{fact.name}{where}: {listed(parts)}")


def mixed_field(facts: Collection[comparison.Comparison], trials: Collection[Trial]) -> Iterator[Finding]:
    """Facts that have to be equal over a field and are not."""
    field = sorted({trial.submission for trial in trials})
    for fact in facts:
        cells = fact.mixed_among() if fact.is_equal_in_field else []
        if cells:
            detail = f"{fact.name}: {words.differences(fact, cells, field)}"
            yield Finding("", "", Kind.MIXED_FIELD, "", detail)


def equal_seeds(trials: Collection[Trial], copies: Collection[tuple[str, str, str]]) -> Iterator[Finding]:
    """Trials with the seeds of an earlier one of the same submission and workload: no independent repetitions.

    Args:
      trials: of a field.
      copies: (submission, workload, place) of trials that are known as copies already.
    """
    seen: dict[tuple[object, ...], Trial] = {}
    for trial in trials:
        for seeds in {facts.trial_seeds for facts in trial.facts if facts.trial_seeds}:
            first = seen.setdefault((trial.submission, trial.workload, seeds), trial)
            if first is not trial:
                place, earlier = (f"study_{one.study}/trial_{one.trial}" for one in (trial, first))
                if (trial.submission, trial.workload, place) in copies:
                    continue
                yield Finding(trial.submission, trial.workload, Kind.EQUAL_SEEDS, place, earlier)


def short_budgets(trials: Collection[Trial], suite: Suite, ruleset: str) -> Iterator[Finding]:
    """Submissions whose trials had less time than is scored: their misses may not be misses.

    A larger budget is no fault: what is reached beyond the scored one does not count (R8.1).
    """
    factor = suite.ruleset(ruleset).budget_factor
    short: dict[str, dict[str, tuple[float, float]]] = collections.defaultdict(dict)
    for trial in trials:
        wanted = suite.budget_sec(trial.workload, ruleset) if trial.facts else 0.0
        for facts in trial.facts:
            own = comparison.budget_of(facts, factor)
            if own is not None and own < wanted * (1 - 1e-9):
                short[trial.submission][trial.workload] = (own, wanted)
    for submission, workloads in sorted(short.items()):
        parts = [
            f"{name} {own:,g} s instead of {wanted:,g} s" for name, (own, wanted) in sorted(workloads.items())
        ]
        yield Finding(submission, "", Kind.SHORT_BUDGET, "", listed(parts))


def listed(parts: Sequence[str]) -> str:
    """The first of some clauses, and how many more there are."""
    return ", ".join(parts[: words.MAX_CELLS]) + words.more(len(parts) - words.MAX_CELLS)


def loaded(trials: Collection[Trial]) -> Iterator[Finding]:
    """Submissions of which more trials than `MAX_LOADED` ran beside other processes."""
    for submission, load in comparison.loads(trials).items():
        if load.num_warned > MAX_LOADED * load.num_trials:
            yield Finding(submission, "", Kind.LOADED, "", str(load))
