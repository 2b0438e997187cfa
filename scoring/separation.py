"""How well a workload separates submissions: differences between them against the variation between studies.

    python -m scoring.separation --suite=mini --ruleset=self --compare_to=mini
    python -m scoring.separation --suite=mini --ruleset=self <folder of submissions>

A row per workload, from a one-way analysis of variance of the logarithms of study times. *Luck*: standard deviation
within submissions (between the studies of one), pooled over submissions. *Differences*: standard deviation between
submissions, with the part that is due to luck subtracted (the variance component, by the method of moments). Both as a
percentage, 100 (exp(deviation) - 1). Submissions that reached the target in fewer than two studies are left out of
both, and counted beside them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from absl import flags

from algoperf import commands, suites
from algoperf.spec import UsageError
from scoring import agreement, text
from scoring.leaderboard import Settings, make_leaderboard
from scoring.procedure import CLEAN
from scoring.results import AXES, Results

FLAGS = flags.FLAGS


@dataclass(frozen=True)
class Separation:
    """One workload, on one axis."""

    workload: str
    reached: tuple[int, int, int]
    """Submissions that reached the target in all studies, in some, in none."""
    luck: float
    """Standard deviation of the logarithm of a submission's study times; NaN with no two studies of any."""
    differences: float
    """That of the submissions' means, without luck; NaN with fewer than two submissions."""

    @property
    def ratio(self) -> float:
        """Differences in units of luck: above 1 the workload says more about submissions than about seeds."""
        return self.differences / self.luck if self.luck else math.nan


def separations(results: Results, settings: Settings) -> list[Separation]:
    """One for each workload of the suite.

    Raises:
      UsageError: if no submission reached a target in two studies.
    """
    table = make_leaderboard(results, settings).table
    values, counts = table.study_values()
    found = [
        separation(workload, [row[:count] for row, count in zip(values[:, column], counts[:, column])])
        for column, workload in enumerate(table.columns[: table.num_workloads])
    ]
    if all(math.isnan(one.luck) for one in found):
        raise UsageError(
            "The luck of studies is seen where a submission reached a target in two studies or more; none did here."
        )
    return found


def separation(workload: str, studies: Sequence[np.ndarray]) -> Separation:
    """From the study times of each submission, (num_studies,) each, infinite where missed."""
    # Logarithms, because scores are made of ratios of times.
    hits = [np.log(times[np.isfinite(times)]) for times in studies]
    always = sum(len(hit) == len(times) > 0 for hit, times in zip(hits, studies))
    never = sum(len(hit) == 0 for hit in hits)
    groups = [hit for hit in hits if len(hit) > 1]
    variance = math.nan
    if groups:
        squares = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
        variance = squares / sum(len(group) - 1 for group in groups)
    between = math.nan
    if len(groups) > 1:
        means = [group.mean() for group in groups]
        luck_of_means = np.mean([variance / len(group) for group in groups])
        # Means of a few studies differ by luck, too. What is left may be estimated below 0 where luck is all there is.
        between = max(float(np.var(means, ddof=1) - luck_of_means), 0.0)
    reached = (always, len(studies) - always - never, never)
    return Separation(workload, reached, math.sqrt(variance), math.sqrt(between))


def show(found: Sequence[Separation]) -> str:
    rows = [
        [
            one.workload,
            *map(str, one.reached),
            *(
                "-" if math.isnan(value) else f"{100 * math.expm1(value):.0f}%"
                for value in (one.luck, one.differences)
            ),
            "-" if math.isnan(one.ratio) else f"{one.ratio:.1f}",
        ]
        for one in found
    ]
    header = ["workload", "reached always", "sometimes", "never", "luck", "differences", "ratio"]
    return text.table(header, rows, num_left=1)


def main(argv: Sequence[str]) -> None:
    suite = suites.customize(suites.load(FLAGS.suite), num_studies=FLAGS.num_studies)
    folder = Path(argv[1]) if len(argv) == 2 else None
    results = agreement.read(suite, FLAGS.ruleset, folder, FLAGS.compare_to)
    for axis in AXES:
        settings = Settings(suite=suite, ruleset_name=FLAGS.ruleset, procedure=CLEAN, axis=axis)
        print(
            f"Suite {suite.name}, {FLAGS.ruleset} ruleset, {len(results.submissions)} submissions, axis {axis}"
        )
        print(show(separations(results, settings)) + "\n")


if __name__ == "__main__":
    flags.DEFINE_string("suite", "mini", "Whose workloads.")
    flags.DEFINE_string("ruleset", "external", "Tuning ruleset: external or self.")
    flags.DEFINE_string("compare_to", None, "Results that ship with the package instead of a folder: mini.")
    flags.DEFINE_integer("num_studies", None, "Studies instead of the ruleset's number.")
    commands.run(main, max_arguments=1, arguments="one folder of submissions")
