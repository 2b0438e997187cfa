"""The part of the page with a submission's trials: how they ended, what was noticed, where the time went, versions."""

import collections
from collections.abc import Mapping, Sequence
from typing import Any

from algoperf.run import clock
from review.records_of import Entry, TrialRecord
from scoring.markup import Html, amount, folded, joined, link, safe, shown, table, tag

CONFINEMENT = "confinement"
"""Key of `Summary.referee` with what kept the submission from other files, processes and the network."""
GRADES = ("forbidden", "for review", "note")
CLASS = {"forbidden": "forbidden", "for review": "review", "note": "note"}
HEADER = (
    *("trial", "refereed", "end", "target reached", "on the clock", "updates", "evaluations", "continued"),
    *("findings", "seal"),
)


def part(entry: Entry, anchor: str) -> Html:
    """All trials of an entry, in a table and one by one.

    Args:
      entry: with the trials.
      anchor: begins all anchors of this part.
    """
    rows = [_row(trial, f"{anchor}t{number}") for number, trial in enumerate(entry.trials)]
    single = [_trial(trial, f"{anchor}t{number}") for number, trial in enumerate(entry.trials)]
    return joined(
        [tag("h3", "Runs"), tag("div", table(HEADER, rows), of="runs"), *single, _versions(entry.trials)]
    )


def refereed(trial: TrialRecord) -> Html:
    """Whether a trial was refereed, in a word."""
    if trial.checked is None:
        return safe("no")
    if trial.checked.problems:
        return tag("span", "records were changed", of="bad")
    return tag("span", "yes", of="good")


def counted(findings: Sequence[Mapping[str, Any]]) -> Html:
    """How many findings there are of each grade."""
    counts = collections.Counter(str(one.get("grade")) for one in findings)
    named = [tag("span", f"{counts[grade]} {grade}", of=CLASS[grade]) for grade in GRADES if counts[grade]]
    return Html(", ".join(named)) if named else safe("none")


def _row(trial: TrialRecord, anchor: str) -> list[object]:
    summary = trial.summary
    if summary is None:
        return [link(anchor, trial.place), refereed(trial), trial.problem or "has not ended"]
    hit = summary.validation_target_reached
    reached = (
        [amount(hit.get("submission_time_sec"), "s", 2), ", step ", amount(hit.get("global_step"))]
        if hit
        else ["no"]
    )
    clock_parts = [amount(summary.submission_time_sec, "s", 2), " of ", amount(summary.budget_sec, "s")]
    return [
        link(anchor, trial.place),
        refereed(trial),
        summary.status,
        Html("".join(map(safe, reached))),
        Html("".join(map(safe, clock_parts))),
        amount(summary.global_step),
        summary.num_evaluations,
        summary.preemption_count,
        counted(trial.findings),
        summary.seal,
    ]


def _trial(trial: TrialRecord, anchor: str) -> Html:
    summary, parts = trial.summary, []
    if trial.checked is not None and trial.checked.problems:
        parts += [tag("p", problem, of="bad") for problem in trial.checked.problems]
    if trial.findings:
        rows = [
            [
                tag("span", one.get("grade"), of=CLASS.get(str(one.get("grade")), "")),
                one.get("rule"),
                one.get("step"),
                joined([safe(one.get("text")), *([f"and {one['more']} more"] if one.get("more") else [])]),
            ]
            for one in trial.findings
        ]
        parts += [tag("h4", "What the referee noticed"), table(("grade", "rule", "step", "what"), rows)]
    if summary is not None:
        parts += _figures(trial)
    return tag("div", folded(safe(trial.place), *parts, is_open=bool(trial.findings)), id=anchor)


def _figures(trial: TrialRecord) -> list[Html]:
    summary = trial.summary
    assert summary is not None
    parts = []
    for title, texts in (
        ("Warnings", summary.warnings),
        ("Error", [summary.error] if summary.error else None),
    ):
        if texts:
            parts += [tag("h4", title), *(tag("pre", one) for one in texts)]
    if summary.ledger is not None:
        names = [*clock.BUCKETS, "total", "wall"]
        rows = [[name, amount(summary.ledger[name], "s", 3)] for name in names if summary.ledger.get(name)]
        parts.append(folded("Where the time went, in seconds (ledger)", table((), rows)))
    own = dict(summary.referee or {})
    confinement = own.pop(CONFINEMENT, None)
    if trial.checked is not None:
        parts += [tag("h4", "Confinement"), shown(confinement) if confinement else safe("Not recorded.")]
    if own:
        parts.append(folded("The referee's figures: plausibility, what was off the clock", shown(own)))
    about = {"hyperparameters": summary.hyperparameters, "seeds": trial.meta_data.get("seeds")}
    identity = {
        name: value for name, value in trial.identity.items() if name not in ("versions", "environment")
    }
    parts.append(folded("Identity, settings and hashes", shown({**about, **identity})))
    return parts


def _versions(trials: Sequence[TrialRecord]) -> Html:
    """Packages and machines, with the number of trials where not all have the same."""
    found: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for trial in trials:
        packages = trial.meta_data.get("package_versions")
        known = dict(packages) if isinstance(packages, Mapping) else {}
        names = ("python_version", "git_commit_hash", "git_dirty", "device", "cpu_model_name", "gpu_driver")
        for name in names:
            if trial.meta_data.get(name) is not None:
                known[name] = trial.meta_data[name]
        for name, version in known.items():
            found[str(name)][str(version)] += 1
    rows = []
    for name, counts in sorted(found.items()):
        several = len(counts) > 1
        values = [f"{value} ({number} trials)" if several else value for value, number in counts.items()]
        rows.append([name, tag("span", ", ".join(values), of="review" if several else "")])
    return folded("Packages, code and machine", table((), rows) or safe("Not recorded."))
