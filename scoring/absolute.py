"""Figures that do not depend on the field: restricted speedup over a pinned reference, and data profiles.

**Restricted mean time**: mean over studies of min(time, budget), so that a miss counts as the budget, and a workload
without results too (survival analysis calls it RMST). **Restricted speedup**: geometric mean over workloads of the
pinned reference's restricted mean time over the submission's; above 1 is faster. The reference's study times ship with
the package (`data/reference_times.csv`, made by `python -m scoring.absolute`): AlgoPerf's baseline of v0.5 for
full-size workloads, under `algoperf_a100` as it ran on that suite's machine, and NadamW of the mini leaderboard for
mini ones. It stays the same whoever competes, and it ran on its
own machine.

**Data profile**: share of the fixed workloads with a median time within a fraction of the budget (Moré and Wild 2009,
https://doi.org/10.1137/080724083). Neither figure knows the held-out and r_max rules.
"""

import csv
import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from algoperf import commands, suites
from algoperf.suites import Suite
from scoring import published, times
from scoring.procedure import CLEAN
from scoring.results import SUBMISSION_TIME
from scoring.uncertainty import Studies

PATH = published.DATA_DIR / "reference_times.csv"
PINNED = {published.A100: "nadamw_baselinev05", published.V05: "baseline", published.MINI: "nadamw"}
"""Leaderboard -> the entry whose times are pinned."""
OWN_BUDGETS = (published.A100,)
"""Leaderboards of a suite with budgets for a machine of its own: their references hold for that suite, and no other's
for it, as the time of one machine under the budget of another would count as a miss."""
COLUMNS = (
    "leaderboard",
    "reference",
    "ruleset",
    "workload",
    "validation_target",
    "study",
    "submission_time_sec",
)
FRACTIONS = (0.1, 0.25, 0.5, 1.0)
"""Of the budget, in the report's table."""


@dataclass(frozen=True)
class Reference:
    """The pinned reference under one suite and ruleset."""

    leaderboard: str
    name: str
    restricted: np.ndarray
    """(workloads,) restricted mean times in seconds; NaN for workloads that it did not run."""

    @property
    def hardware(self) -> str:
        return published.HARDWARE[self.leaderboard]


@dataclass(frozen=True)
class Absolute:
    """The figures of a field; rows are its submissions."""

    reference: Reference | None
    """None where no workload of the suite has a pinned reference."""
    restricted: np.ndarray | None
    """(submissions,) restricted speedups."""
    shares: np.ndarray
    """(submissions, workloads) median time over budget; infinite where the target was not reached."""

    def solved(self, fraction: float) -> np.ndarray:
        """(submissions,) share of workloads solved within a fraction of the budget."""
        return (self.shares <= fraction).mean(axis=1)


def budgets(suite: Suite, ruleset: str, columns: Sequence[str]) -> np.ndarray:
    """(columns,) seconds."""
    return np.array([suite.budget_sec(column, ruleset) for column in columns])


def pinned(suite: Suite, ruleset: str) -> Reference | None:
    """The reference on the workloads of a suite whose targets are those that it ran to; None where there is none."""
    own = [suite.name] if suite.name in OWN_BUDGETS else [name for name in PINNED if name not in OWN_BUDGETS]
    found: dict[str, list[float]] = {}
    names = set()
    with PATH.open(newline="") as file:
        for row in csv.DictReader(file):
            workload = row["workload"]
            if row["leaderboard"] not in own or row["ruleset"] != ruleset or workload not in suite.workloads:
                continue
            if float(row["validation_target"]) != suite.targets(workload).validation_target:
                continue
            limit = suite.budget_sec(workload, ruleset)
            found.setdefault(workload, []).append(min(float(row["submission_time_sec"]), limit))
            names.add((row["leaderboard"], row["reference"]))
    if len(names) != 1:
        return None  # Two machines at once would be no reference.
    means = [float(np.mean(found[name])) if name in found else math.nan for name in suite.workloads]
    return Reference(*names.pop(), np.array(means))


def restricted_speedup(restricted: np.ndarray, reference: Reference) -> np.ndarray:
    """Geometric mean over the workloads of the reference.

    Args:
      restricted: (..., submissions, columns) restricted mean times, fixed workloads first.
      reference: pinned.

    Returns:
      (..., submissions)
    """
    known = np.isfinite(reference.restricted)
    own = restricted[..., : len(known)][..., known]
    return np.exp(np.mean(np.log(reference.restricted[known]) - np.log(own), axis=-1))


def restricted_means(studies: Studies, limits: np.ndarray) -> np.ndarray:
    """(submissions, columns) mean over studies of min(time, budget); the budget where there are none."""
    values = np.minimum(studies.values, limits[:, None])
    totals = np.where(np.isnan(values), 0.0, values).sum(axis=-1)
    return np.where(studies.counts > 0, totals / np.maximum(studies.counts, 1), limits)


def measure(
    studies: Studies, medians: np.ndarray, limits: np.ndarray, num_workloads: int, reference: Reference | None
) -> Absolute:
    """The figures of a field.

    Args:
      studies: of all submissions.
      medians: (submissions, columns) workload times.
      limits: (columns,) budgets.
      num_workloads: the first columns are fixed workloads.
      reference: see `pinned`.
    """
    restricted = None
    if reference is not None:
        restricted = restricted_speedup(restricted_means(studies, limits), reference)
    shares = medians[:, :num_workloads] / limits[:num_workloads]
    return Absolute(reference, restricted, np.where(np.isnan(shares), np.inf, shares))


def reference_rows() -> list[tuple[object, ...]]:
    """The rows of the file of reference times, from the results that ship with the package."""
    rows: list[tuple[object, ...]] = []
    for leaderboard, name in PINNED.items():
        for ruleset in ("external", "self"):
            if not published.has_results(leaderboard, ruleset):
                continue
            own = suites.load(leaderboard)
            if leaderboard == published.MINI and ruleset == "external":
                own = suites.load("mini_quick")  # All that the entry ran.
            entries = published.load(leaderboard, ruleset, own, SUBMISSION_TIME)
            full = f"{leaderboard}/{name}"
            table = times.make_table(
                [trial for trial in entries.results.trials if trial.submission == full],
                [full],
                dataclasses.replace(own, held_out={}),
                own.ruleset(ruleset),
                CLEAN,
                medians=entries.medians,
            )
            for workload in own.workloads:
                target = own.targets(workload).validation_target
                rows += [
                    (leaderboard, name, ruleset, workload, target, one.study, one.value)
                    for one in times.studies_of(table.cells[full, workload])
                ]
    return rows


def main(argv: Sequence[str]) -> None:
    """Writes the file of reference times."""
    with PATH.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        rows.writerows(reference_rows())
    print(f"Written to {PATH}.")


if __name__ == "__main__":
    commands.run(main, max_arguments=0)
