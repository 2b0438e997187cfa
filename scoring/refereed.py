"""Which trials of an entry were refereed, and what their referee noticed (R6.21)."""

import collections
from collections.abc import Collection, Iterator
from typing import Any

from algoperf.run.summary import Summary
from scoring import comparison_report, text
from scoring.results import Finding, Kind, Trial

KIND_OF_GRADE = {"forbidden": Kind.FORBIDDEN, "for review": Kind.NOTICED}
"""Grades of `algoperf.referee.findings`; notes are in the summary alone."""
MAX_CHARS = 160
"""Of the text of a finding."""


def noticed(summary: Summary | None) -> Iterator[tuple[Kind, str]]:
    """What the referee of a trial noticed: (kind, rule and sentence)."""
    for one in (summary.findings if summary else None) or ():
        kind = KIND_OF_GRADE.get(str(one.get("grade")))
        if kind is not None:
            words = f"{one.get('rule')}: {one.get('text')}"
            yield kind, "".join(filter(str.isprintable, " ".join(words.split())))[:MAX_CHARS]


def was_refereed(trial: Trial) -> bool:
    """Whether every start of a trial was, and its records are as they were written."""
    return bool(trial.facts) and all(one.refereed for one in trial.facts)


def missing(trials: Collection[Trial]) -> list[Finding]:
    """A finding for each submission of which trials were not refereed."""
    found = []
    for name, (number, total) in _counts(trials).items():
        if number < total:
            detail = f"{total - number} of {comparison_report.count_of(total)}"
            found.append(Finding(name, "", Kind.NOT_REFEREED, "", detail))
    return found


def _counts(trials: Collection[Trial]) -> dict[str, tuple[int, int]]:
    """Submission -> (refereed trials, all)."""
    of: dict[str, list[bool]] = collections.defaultdict(list)
    for trial in trials:
        of[trial.submission].append(was_refereed(trial))
    return {name: (sum(own), len(own)) for name, own in sorted(of.items())}


def short(number: int, total: int) -> str:
    """How many trials were refereed, in a word or some.

    >>> short(9, 9), short(0, 9), short(3, 9)
    ('yes', 'no', '3 of 9 trials')
    """
    return "yes" if number == total else "no" if not number else f"{number} of {total} trials"


def content(submission: str, trials: Collection[Trial], findings: Collection[Finding]) -> dict[str, Any]:
    """What is known of an entry, as plain JSON types."""
    own = [trial for trial in trials if trial.submission == submission]
    return {
        "trials": sum(map(was_refereed, own)),
        "of": len(own),
        "findings": {
            grade: sum(one.submission == submission and one.kind is kind for one in findings)
            for grade, kind in KIND_OF_GRADE.items()
        },
    }


def part(trials: Collection[Trial], findings: Collection[Finding], width: int) -> str:
    """A line for each answer, and one for each entry about which something was noticed; '' without a referee."""
    counts = _counts(trials)
    kinds = (*KIND_OF_GRADE.values(), Kind.BROKEN_CHAIN)
    if not any(number for number, _ in counts.values()) and not any(one.kind in kinds for one in findings):
        return ""
    answers: dict[str, list[str]] = collections.defaultdict(list)
    for name, (number, total) in counts.items():
        answers[short(number, total)].append(name)
    lines = ["Refereed (R6.21)"]
    for answer in sorted(answers, key=lambda answer: (answer == "no", answer != "yes", answer)):
        lines.append(
            text.paragraph(f"{answer}: {comparison_report.names(answers[answer], list(counts))}", width)
        )
    for name in counts:
        words = []
        for grade, kind in KIND_OF_GRADE.items():
            own = [one for one in findings if one.submission == name and one.kind is kind]
            rules = sorted({one.detail.partition(":")[0] for one in own})
            words += [f"{len(own)} {grade} ({', '.join(rules)})"] if own else []
        num_broken = sum(one.submission == name and one.kind is Kind.BROKEN_CHAIN for one in findings)
        words += [f"records are not as they were written in {num_broken} places"] if num_broken else []
        if words:
            lines.append(text.paragraph(f"findings about {name}: {', '.join(words)}", width))
    return "\n".join(lines)
