"""The results that one scoring compares: read, chosen, carried over, and joined."""

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from algoperf import suites
from algoperf.spec import UsageError
from algoperf.suites import Suite
from scoring import carry_over, completeness, endings, mixtures, plausible, published, seals, sources
from scoring.field_config import Config, SoFar
from scoring.results import SUBMISSION_TIME, Finding, Results, merge


@dataclass(frozen=True)
class FieldRead:
    """The results that one scoring compares, and where they come from."""

    own: Results
    """Of the user; with `--calibrate` carried over to the machine of the published ones."""
    findings: tuple[Finding, ...]
    chosen: published.Published | None
    """Published entries of the field."""
    factors: dict[str, float] | None
    """Workload -> how much faster the machine of the published entries is; None without `--calibrate`."""
    field: Results
    """All of them."""


def read_field(
    config: Config, suite: Suite, places: Sequence[sources.Source], so_far: SoFar | None
) -> FieldRead:
    """Reads the user's results and the published entries, and leaves out what the user does not want."""
    entries = (
        published.load(config.compare_to, config.ruleset, suite, config.axis) if config.compare_to else None
    )
    choice = sources.choose(
        list(dict.fromkeys(name for place in places for name in place.submissions)),
        entries.results.submissions if entries else (),
        config.include,
        config.exclude,
        where=sources.listed(places) or f"--compare_to={config.compare_to}",
    )
    own, findings = read_own(config, suite, places, choice.own, so_far)
    factors = None
    if entries and config.calibrate and config.axis == SUBMISSION_TIME and own.trials:
        reference = published.REFERENCES[entries.name]
        beside = read_beside(suite, places, own, reference)
        factors = carry_over.machine_factors(own, beside, entries.results, reference, entries.name)
        own = carry_over.carried_over(own, factors)
    chosen = published.only(entries, choice.published) if entries else None
    return FieldRead(own, findings, chosen, factors, merge([own, chosen.results]) if chosen else own)


def read_own(
    config: Config,
    suite: Suite,
    places: Sequence[sources.Source],
    chosen: Collection[str],
    so_far: SoFar | None = None,
) -> tuple[Results, tuple[Finding, ...]]:
    """The user's chosen results with all findings on them; refuses defects under --strict."""
    if not chosen and so_far is None:
        return Results((), ()), ()
    names = suite.scored_names()
    if not suite.held_out:  # the official procedure then takes every variant it finds (quirk stray-variants)
        names = tuple(dict.fromkeys((*names, *suite.known_targets)))
    targets = {name: suite.targets(name) for name in names}
    results = sources.read(places, targets, chosen, is_filtered=bool(config.include))
    if so_far:
        trials = tuple(trial for trial in results.trials if so_far.has_ended(trial))
        submissions = tuple(sorted({*results.submissions, *so_far.submissions}))
        results = dataclasses.replace(results, submissions=submissions, trials=trials)
    missing = completeness.check_completeness(results, suite, suite.ruleset(config.ruleset))
    missing = mixtures.without_counts(missing, mixtures.other_rulesets(results.trials, config.ruleset))
    mixed = mixtures.find(results, suite, config.ruleset)
    broken = endings.findings(results.trials, suite, config.ruleset)
    unsealed = seals.findings(config.seals, results.trials, chosen, targets) if config.seals else []
    odd = plausible.findings(results.trials, {name: target.step_hint for name, target in targets.items()})
    findings = completeness.without_doubles((*results.findings, *missing, *mixed, *broken, *unsealed, *odd))
    if config.strict:
        completeness.refuse(findings)
    if not any(trial.workload in suite.scored_names() for trial in results.trials):
        raise UsageError(
            f"No trial in {sources.listed(places)} ran a workload of suite {suite.name!r} "
            f"({', '.join(suite.scored_names())}). Choose another with --suite={'|'.join(suites.names())}, "
            "or name workloads with --workloads."
        )
    return results, findings


def read_beside(suite: Suite, places: Sequence[sources.Source], own: Results, name: str) -> Results:
    """Results with those of the submission called `name`, also where --include or --exclude leaves it out of `own`.

    `own` itself where no place has it.
    """
    if name in own.submissions or not any(name in place.submissions for place in places):
        return own
    targets = {workload: suite.targets(workload) for workload in suite.scored_names()}
    return sources.read(places, targets, [name], is_filtered=True)
