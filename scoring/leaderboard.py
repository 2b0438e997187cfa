"""One field of submissions, scored: the rules of the other modules in their order.

Scores are relative to the field: with another competitor the fastest times may change, and with them all
ratios.
"""

import functools
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from algoperf.spec import no_such
from algoperf.suites import Ruleset, Suite
from scoring import absolute, intervals, profiles, rules, speedup, times, uncertainty
from scoring.absolute import Absolute
from scoring.bounds import Bounds
from scoring.intervals import Scorers, Uncertainty
from scoring.procedure import Procedure
from scoring.results import SUBMISSION_TIME, Miss, Results
from scoring.rules import Ratios
from scoring.times import TimeTable
from scoring.uncertainty import Studies

LABEL_WIDTH = 30
"""Letters that tables show of the name that a submission gives itself."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Which rules score a field."""

    suite: Suite
    ruleset_name: str
    """'external' or 'self'."""
    procedure: Procedure
    axis: str
    """'submission_time' or 'steps'."""
    reference: str | None = None
    """Submission that speedups refer to."""
    medians: Mapping[tuple[str, str], float] | None = field(default=None, repr=False)
    """(submission, workload) -> time of entries without trials."""

    @property
    def ruleset(self) -> Ruleset:
        return self.suite.ruleset(self.ruleset_name)


@dataclass(frozen=True)
class Speedups:
    """Geometric-mean speedups over the reference; each array is (submissions,)."""

    reference: str
    penalized: np.ndarray
    """Over all workloads, infinite times replaced by a penalty."""
    common: np.ndarray
    """Over the workloads that both reached."""
    num_common: np.ndarray


@dataclass(frozen=True)
class Leaderboard:
    """Everything that is known about a scored field; rows are in the order of `table.submissions`."""

    settings: Settings
    table: TimeTable
    ratios: Ratios
    scores: np.ndarray
    """(submissions,)"""
    misses: Mapping[tuple[str, str], Miss]
    """(submission, workload or variant) -> why its time is infinite."""
    speedups: Speedups | None
    uncertainty: Uncertainty | None
    bounds: Bounds | None = None
    """What missing results could still change; None where nothing is missing, or nobody asked."""
    devices: tuple[str, ...] = ()
    """That the trials ran on, as far as they say so."""
    display_names: Mapping[str, str] = field(default_factory=dict)
    """Submission -> the name that it gives itself, where that is another than its folder's."""

    @property
    def submissions(self) -> tuple[str, ...]:
        return self.table.submissions

    @property
    def workloads(self) -> tuple[str, ...]:
        return self.table.columns[: self.table.num_workloads]

    def label(self, row: int) -> str:
        """What stands for a submission where there is room: its own name and its folder's, or the latter alone."""
        name = self.submissions[row]
        shown = self.display_names.get(name)
        return f"{textwrap.shorten(shown, LABEL_WIDTH, placeholder=' ...')} ({name})" if shown else name

    @functools.cached_property
    def studies(self) -> Studies:
        """The studies behind `table`."""
        return uncertainty.studies_in(self.table)

    @functools.cached_property
    def absolute(self) -> Absolute | None:
        """Figures that do not depend on the field; None on steps."""
        if self.settings.axis != SUBMISSION_TIME:
            return None
        return absolute.measure(
            self.studies,
            self.table.values(),
            limits(self.table, self.settings),
            self.table.num_workloads,
            absolute.pinned(self.settings.suite, self.settings.ruleset_name),
        )

    def has_interval(self, row: int) -> bool:
        """Whether studies of the submission are known: a published median has no spread."""
        cells = (self.table.cells[self.submissions[row], column] for column in self.table.columns)
        return self.uncertainty is not None and any(study.was_run for cell in cells for study in cell.studies)

    def order(self) -> list[int]:
        """Rows from best to worst score; ties by name."""
        ranks = self.ranks()
        return sorted(range(len(self.submissions)), key=lambda row: (ranks[row], self.submissions[row]))

    def ranks(self) -> np.ndarray:
        """(submissions,) from 1; ties, equal up to rounding, share the better rank."""
        return intervals.ranks(self.scores)

    def rank_range(self, row: int) -> tuple[int, int]:
        """The best and the worst rank that missing results still allow; equal where they change nothing."""
        if self.bounds is None:
            rank = int(self.ranks()[row])
            return rank, rank
        return int(self.bounds.best_rank[row]), int(self.bounds.worst_rank[row])

    @property
    def has_ranks(self) -> bool:
        """Whether anybody reached anything, so that scores say who is ahead."""
        return bool(self.scores.any())


def make_leaderboard(
    results: Results, settings: Settings, *, num_bootstrap_samples: int = 0, seed: int = 0
) -> Leaderboard:
    """Scores a field.

    Args:
      results: all trials of the field.
      settings: the rules.
      num_bootstrap_samples: 0 leaves out the intervals.
      seed: of the bootstrap.

    Raises:
      UsageError: if the reference is not in the field.
    """
    submissions = tuple(sorted(results.submissions))
    suite, procedure = settings.suite, settings.procedure
    if settings.reference is not None and settings.reference not in submissions:
        raise no_such("submission to be the reference", settings.reference, submissions)
    table = times.make_table(
        results.trials, submissions, suite, settings.ruleset, procedure, settings.axis, settings.medians
    )
    values = table.values()
    ratios = ratios_of(values, table, settings)
    fixed = values[:, : table.num_workloads]
    penalties = speedup.penalties(suite, settings.ruleset, settings.axis, fixed)
    reference = submissions.index(settings.reference) if settings.reference is not None else None

    speedups, spread = None, None
    if reference is not None:
        penalized = speedup.geometric_mean_speedup(fixed, reference, penalties)
        speedups = Speedups(submissions[reference], penalized, *speedup.common_speedup(fixed, reference))
    scores = scores_of(ratios, settings)
    if num_bootstrap_samples and submissions:
        spread = intervals.estimate(
            uncertainty.studies_in(table),
            limits(table, settings),
            scorers(table, settings, reference, penalties),
            scores,
            num_samples=num_bootstrap_samples,
            seed=seed,
        )
    return Leaderboard(
        settings=settings,
        table=table,
        ratios=ratios,
        scores=scores,
        misses=rules.why_infinite(table, ratios, suite.r_max),
        speedups=speedups,
        uncertainty=spread,
    )


def limits(table: TimeTable, settings: Settings) -> np.ndarray:
    """(columns,) budgets in seconds; infinite on steps, which have none."""
    if settings.axis != SUBMISSION_TIME:
        return np.full(len(table.columns), np.inf)
    return absolute.budgets(settings.suite, settings.ruleset_name, table.columns)


def scorers(table: TimeTable, settings: Settings, reference: int | None, penalties: np.ndarray) -> Scorers:
    """How drawn times become figures: by the same rules as measured ones."""
    pinned = None
    if settings.axis == SUBMISSION_TIME:
        pinned = absolute.pinned(settings.suite, settings.ruleset_name)

    def score(samples: np.ndarray) -> np.ndarray:
        return scores_of(ratios_of(samples, table, settings), settings)

    def speedup_over(samples: np.ndarray) -> np.ndarray:
        assert reference is not None
        return speedup.geometric_mean_speedup(samples[..., : table.num_workloads], reference, penalties)

    def restricted(samples: np.ndarray) -> np.ndarray:
        assert pinned is not None
        return absolute.restricted_speedup(samples, pinned)

    return Scorers(
        score,
        None if reference is None else speedup_over,
        None if pinned is None else restricted,
    )


def ratios_of(values: np.ndarray, table: TimeTable, settings: Settings) -> Ratios:
    """`rules.performance_ratios` under the settings; `values` may have leading batch axes."""
    return rules.performance_ratios(
        values, table.num_workloads, table.bases, settings.suite.r_max, one_best=settings.procedure.one_best
    )


def scores_of(ratios: Ratios, settings: Settings) -> np.ndarray:
    """(..., submissions) benchmark scores."""
    return profiles.score(ratios.values, settings.suite.r_max, exact=settings.procedure.exact_integral)
