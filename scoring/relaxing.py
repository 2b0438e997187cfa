"""A field at other targets: `score_submissions.py --relax_targets`, and the sliders of the report."""

import dataclasses

from algoperf.spec import UsageError
from algoperf.suites import Suite
from scoring import curves
from scoring.curves import Curve
from scoring.results import Results

MOST = 0.5
"""Half of the way to the end of a metric's range: beyond it nothing is left of a target."""


def check(share: float) -> None:
    """Raises UsageError for a share that no target can be moved by."""
    if not -MOST <= share <= MOST:
        raise UsageError(
            f"--relax_targets must be from {-MOST:g} to {MOST:g}, such as 0.05 for targets that are 5 % easier; got "
            f"{share:g}."
        )


def suite_at(suite: Suite, share: float) -> Suite:
    """The suite with all its targets relaxed by a share; see `curves.relaxed`."""
    names = (*suite.scored_names(), *suite.known_targets)
    moved = {name: curves.relaxed(suite.targets(name), share) for name in dict.fromkeys(names)}
    return dataclasses.replace(suite, known_targets=moved, origins={})


def results_at(results: Results, suite: Suite, share: float) -> tuple[Results, str]:
    """The trials with their first hits of the relaxed targets, and a sentence about it.

    Args:
      results: with their evaluations.
      suite: whose targets are relaxed.
      share: by which; below 0 they are tightened.

    Raises:
      UsageError: if of some submission only hits of the suite's targets, or medians, are known.
    """
    with_trials = {trial.submission for trial in results.trials}
    silent = [trial.submission for trial in results.trials if trial.hit is not None and trial.log is None]
    silent += [name for name in results.submissions if name not in with_trials and "/" in name]
    if silent:
        raise UsageError(
            f"--relax_targets needs all evaluations, and of {silent[0]} only times to the suite's targets are stored: "
            "score without --compare_to."
        )
    hits = curves.at_targets([Curve(trial, trial.log) for trial in results.trials], suite, share)
    moved = dataclasses.replace(results, trials=tuple(one.trial for one in hits))
    how = "relaxed" if share > 0 else "tightened"
    note = (
        f"Not the rules of suite {suite.name}: all targets are {how} by {abs(share):.3g} of their distance to the "
        "nearer end of the metric's range (--relax_targets)."
    )
    bounds = sum(one.is_lower_bound for one in hits)
    if bounds:
        reached = sum(one.trial.hit is not None for one in hits)
        note += (
            f" {bounds} of {reached} hits are runs that ended at the suite's target before they reached this one: "
            "their times are least ones."
        )
    return moved, note
