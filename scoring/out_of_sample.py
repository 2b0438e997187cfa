"""What is left of a subset's rank agreement on studies that it was not chosen on.

    python -m scoring.agreement --suite=mini --ruleset=self --compare_to=mini --out_of_sample

The best of many subsets agrees well with the whole suite on the studies that chose it, if only by luck. So it is chosen
on one study, and measured on the others: there its ranks are compared with those of the whole suite, as are those of
every other subset. The median subset is what somebody gets who chooses without looking.
"""

import dataclasses
import itertools
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from algoperf import suites
from algoperf.spec import UsageError
from scoring import leaderboard, text
from scoring.kendall import check_enough, kendall_tau
from scoring.leaderboard import Settings
from scoring.results import Results

ROUNDING = 1e-9
"""Within which two values of tau are equal."""


@dataclass(frozen=True)
class Split:
    """One study that chose, and the others that measured."""

    chosen_on: int
    chosen: tuple[tuple[str, ...], ...]
    """The subsets with the best agreement there; several may tie."""
    best: float
    """tau of these on the study that chose them."""
    elsewhere: float
    """tau on the other studies, mean over the chosen."""
    median: float
    """tau on the other studies of the median subset, of all that there are."""


@dataclass(frozen=True)
class OutOfSample:
    """All splits on one axis."""

    num_subsets: int
    splits: tuple[Split, ...]
    between_studies: tuple[float, ...]
    """tau between the ranks of the whole suite by one study and by another, for each pair of studies."""


def out_of_sample(results: Results, settings: Settings, num_workloads: int) -> OutOfSample:
    """Chooses on each study in turn, and measures on the others.

    Raises:
      UsageError: for fewer than two studies or three submissions, or a number of workloads that the suite has not.
    """
    check_enough(results, settings.suite, num_workloads)
    studies = sorted({trial.study for trial in results.trials})[: settings.ruleset.num_studies]
    if len(studies) < 2:
        raise UsageError(
            f"--out_of_sample chooses on one study and measures on others: two or more are needed, got {len(studies)}."
        )
    subsets = list(itertools.combinations(settings.suite.workloads, num_workloads))
    splits = []
    for study in studies:
        here = agreements(results, settings, subsets, {study})
        there = agreements(results, settings, subsets, set(studies) - {study})
        # A subset on which all tie has no tau: it neither is chosen nor counts.
        known = {subset: tau for subset, tau in there.items() if not np.isnan(tau)}
        candidates = {subset: here[subset] for subset in known if not np.isnan(here[subset])}
        if not candidates:
            raise UsageError(f"Study {study} ranks nobody: all submissions tie on every subset.")
        best = max(candidates.values())
        chosen = tuple(subset for subset, tau in candidates.items() if tau > best - ROUNDING)
        splits.append(
            Split(
                study,
                chosen,
                best,
                statistics.fmean(known[subset] for subset in chosen),
                statistics.median(known.values()),
            )
        )
    whole = {study: scores(results, settings, settings.suite.workloads, {study}) for study in studies}
    between = (kendall_tau(whole[a], whole[b]) for a, b in itertools.combinations(studies, 2))
    return OutOfSample(len(subsets), tuple(splits), tuple(between))


def agreements(
    results: Results, settings: Settings, subsets: Sequence[tuple[str, ...]], studies: Collection[int]
) -> Mapping[tuple[str, ...], float]:
    """Subset -> tau of its ranks with those of the whole suite, both from these studies alone."""
    whole = scores(results, settings, settings.suite.workloads, studies)
    return {subset: kendall_tau(whole, scores(results, settings, subset, studies)) for subset in subsets}


def scores(
    results: Results, settings: Settings, workloads: Sequence[str], studies: Collection[int]
) -> np.ndarray:
    """(submissions,) benchmark scores on these workloads from these studies."""
    part = dataclasses.replace(
        results, trials=tuple(trial for trial in results.trials if trial.study in studies)
    )
    suite = suites.customize(settings.suite, workloads=workloads, num_studies=len(studies))
    return leaderboard.make_leaderboard(part, dataclasses.replace(settings, suite=suite)).scores


def report(found: OutOfSample, width: int) -> str:
    """The table, in `width` columns: a row per study that chose, and their mean."""
    rows = [
        [
            f"study {one.chosen_on}",
            f"{one.best:.3f}",
            f"{one.elsewhere:.3f}",
            f"{one.median:.3f}",
            ", ".join(one.chosen[0]) + (f" (and {len(one.chosen) - 1} more)" if one.chosen[1:] else ""),
        ]
        for one in found.splits
    ]
    means = [
        statistics.fmean(getattr(one, name) for one in found.splits)
        for name in ("best", "elsewhere", "median")
    ]
    rows.append(["mean", *(f"{value:.3f}" for value in means), ""])
    pairs = ", ".join(f"{value:.3f}" for value in found.between_studies)
    header = ["chosen on", "tau there", "on the others", "median subset", "best there"]
    words = (
        f"Whole suite, tau between two studies: {pairs}; mean {statistics.fmean(found.between_studies):.3f}. "
        f"Median subset: of all {found.num_subsets}, on the others."
    )
    table = text.table(header, rows, num_left=len(header), width=width)
    return f"{table}\n{text.paragraph(words, width, indent='')}"
