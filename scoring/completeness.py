"""Which workloads, studies and trials are missing or too many, against the numbers of the ruleset."""

import collections
from collections.abc import Collection, Iterator, Sequence

from algoperf.spec import UsageError
from algoperf.suites import Ruleset, Suite
from scoring.results import HARMLESS, MIXTURES, Finding, Kind, Results


def check_completeness(results: Results, suite: Suite, ruleset: Ruleset) -> list[Finding]:
    """Findings on every submission's workloads, held-out variants, studies and trials."""
    trials: dict[tuple[str, str], dict[int, set[int]]] = collections.defaultdict(dict)
    for trial in results.trials:
        trials[trial.submission, trial.workload].setdefault(trial.study, set()).add(trial.trial)
    findings: list[Finding] = []
    for submission in results.submissions:
        for workload in suite.scored_names():
            studies = trials.get((submission, workload))
            if studies is None:
                findings.append(Finding(submission, workload, Kind.MISSING_WORKLOAD, ""))
            else:
                findings += check_studies(submission, workload, studies, ruleset)
    for submission, workload in sorted(trials):
        if workload not in suite.scored_names():
            for study in sorted(trials[submission, workload]):
                findings.append(Finding(submission, workload, Kind.UNLISTED_WORKLOAD, f"study_{study}"))
    return findings


def check_studies(
    submission: str, workload: str, studies: dict[int, set[int]], ruleset: Ruleset
) -> Iterator[Finding]:
    """Findings on one submission and workload; `studies` maps a study to the numbers of its trials."""
    # The studies that scoring counts: by number, not those numbered below `num_studies`.
    counted = sorted(studies)[: ruleset.num_studies]
    if len(counted) < ruleset.num_studies:
        detail = f"{len(counted)} of {ruleset.num_studies}"
        yield Finding(submission, workload, Kind.MISSING_STUDY, "", detail)
    for study in sorted(studies)[ruleset.num_studies :]:
        yield Finding(submission, workload, Kind.EXTRA_STUDY, f"study_{study}")
    for study in counted:
        present = len(studies[study])
        if present < ruleset.num_trials:
            detail = f"{present} of {ruleset.num_trials}"
            yield Finding(submission, workload, Kind.MISSING_TRIAL, f"study_{study}", detail)
        for trial in sorted(studies[study])[ruleset.num_trials :]:
            yield Finding(submission, workload, Kind.EXTRA_TRIAL, f"study_{study}/trial_{trial}")


def without_doubles(findings: Collection[Finding]) -> tuple[Finding, ...]:
    """Findings sorted; an empty trial folder is left out where trial or workload is listed as missing."""
    missing = {
        (one.submission, one.workload, one.place)
        for one in findings
        if one.kind in (Kind.MISSING_TRIAL, Kind.MISSING_WORKLOAD)
    }

    def is_listed(one: Finding) -> bool:
        study = one.place.partition("/")[0]
        return any((one.submission, one.workload, place) in missing for place in (study, ""))

    return tuple(sorted(one for one in findings if one.kind is not Kind.NO_EVALUATIONS or not is_listed(one)))


def refuse(findings: Collection[Finding]) -> None:
    """Raises UsageError for --strict unless all findings are harmless; names one example of each kind."""
    defects = [finding for finding in findings if finding.kind not in HARMLESS]
    # In reverse, so that the first of a kind is the one that stays.
    examples = {one.kind: one for one in sorted(defects, reverse=True)}
    counts = collections.Counter(one.kind for one in defects)
    if defects:
        shown = "; ".join(
            # Each of a mixture says something else; of the other kinds one finding stands for all.
            "; ".join(map(describe_in_full, (one for one in sorted(defects) if one.kind is kind)))
            if kind in MIXTURES
            else f"{counts[kind]} x {describe(examples[kind])}"
            for kind in Kind
            if kind in counts
        )
        raise UsageError(
            f"--strict refuses these results, by kind with an example each: {shown}. "
            "Repair them, or leave out --strict to score what is there and list them all."
        )


def describe(finding: Finding) -> str:
    """One finding in one clause."""
    parts = (finding.submission, finding.workload, finding.place, finding.detail and f"({finding.detail})")
    return f"{finding.kind}, as in {' '.join(part for part in parts if part)}"


def describe_in_full(finding: Finding) -> str:
    """One finding of a mixture in one clause."""
    return f"{finding.kind}: {' '.join(part for part in (finding.submission, finding.detail) if part)}"


def grouped(findings: Collection[Finding]) -> list[tuple[Finding, ...]]:
    """Findings of the same kind on the same submission and workload together, sorted."""
    groups: dict[tuple[str, str, Kind], list[Finding]] = collections.defaultdict(list)
    for finding in sorted(findings):
        groups[finding.submission, finding.workload, finding.kind].append(finding)
    return [tuple(group) for group in groups.values()]


def places(group: Sequence[Finding], num_shown: int = 3) -> str:
    """Where, and the details, of a group in one short text."""
    texts = [
        " ".join(part for part in (one.place, one.detail and f"({one.detail})") if part) for one in group
    ]
    known = [text for text in texts if text]
    more = f", and {len(known) - num_shown} more" if len(known) > num_shown else ""
    return ", ".join(known[:num_shown]) + more
