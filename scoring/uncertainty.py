"""What a few studies say about the times that infinitely many would give: a model that pools over the field, and draws.

A study of submission s on workload w reaches its target with chance p; the logarithm of its time is then normal around
m with standard deviation d. The true workload time, the median over infinitely many studies, is the quantile 0.5 / p of
those times where p is above one half, and infinite where it is not. Three to five studies say little about p and d of
one cell (submission and workload), so cells borrow from each other:

- **p** is drawn from one of three Beta distributions (`KINDS`): cells that reach their target never, sometimes, always.
  How likely each kind is follows from the cell's own studies, from the other workloads of the submission, and from the
  other submissions on the workload. (One Beta distribution for all cells takes the miss of a submission that
  misses nowhere else for as final as any other's.)
- **d^2** has a scaled inverse chi-squared distribution around the variance of the workload, which is drawn to that of
  the field, which is drawn to `DEFAULT_LOG_SD`. With one study everywhere the default alone counts.
- **m** is known up to d / sqrt(studies that reached the target).

A missing study says nothing (the rules count it as a miss); a workload without any study stays infinite.
`benchmarks/interval_coverage.py` measures what intervals from these draws cover.
"""

import statistics
from dataclasses import dataclass

import numpy as np

from scoring.times import TimeTable

DEFAULT_LOG_SD = 0.12
"""Of a study's log time: root mean square over the cells of the official v0.5 logs 0.117, of the mini suite's 0.140."""
DEFAULT_WEIGHT = 2.0
"""Degrees of freedom that the default counts as, beside those of a field."""
WORKLOAD_WEIGHT = 4.0
"""Degrees of freedom of the field's variance in that of a workload, and studies of its hit rate in the workload's."""
CELL_WEIGHT = 3.0
"""Degrees of freedom of the workload's variance in that of a cell."""
DEFAULT_HIT_RATE = 0.75
"""Share of the studies in the official v0.5 logs that reached their target."""
RATE_WEIGHT = 1.0
"""Cells that a prior rate counts as."""
KINDS = np.array([[0.3, 30.0], [1.0, 1.0], [30.0, 0.3]])
"""Beta distributions of p in cells that reach their target never, sometimes, always."""
SOMETIMES_SHARES = np.linspace(0.02, 0.5, 17)
"""Shares of *sometimes* that are tried."""
SOMETIMES_PRIOR = SOMETIMES_SHARES**1.5 * (1 - SOMETIMES_SHARES) ** 8.5
"""Beta distribution of the share, around that of the v0.5 logs."""
MAX_QUANTILE = 2.5
"""Standard deviations: a chance just above one half would put the true time beyond all that were seen."""


@dataclass(frozen=True)
class Studies:
    """The studies of a field; cells are (submissions, columns) as in `TimeTable`."""

    values: np.ndarray
    """(submissions, columns, studies) times, infinite where missed; then NaN."""
    counts: np.ndarray
    """(submissions, columns) how many there are; missing ones are not counted."""
    is_exact: np.ndarray
    """(submissions, columns) published as a median of studies that are not known."""

    @property
    def hits(self) -> np.ndarray:
        """(submissions, columns) studies that reached their target."""
        return np.isfinite(self.values).sum(axis=-1)


def studies_in(table: TimeTable) -> Studies:
    """The studies that were run, of every cell of a table."""
    values, counts = table.study_values()
    exact = [[table.cells[s, c].is_median_only for c in table.columns] for s in table.submissions]
    return Studies(values, counts, np.array(exact, dtype=bool).reshape(counts.shape))


@dataclass(frozen=True)
class Model:
    """Posterior distributions of every cell, (submissions, columns) each."""

    studies: Studies
    kinds: np.ndarray
    """(submissions, columns, kinds) chances of `KINDS`."""
    mean: np.ndarray
    """Of log times; where no study reached its target, a guess from the rest of the field."""
    mean_variance: np.ndarray
    """Variance of m in units of d^2: 1 / studies that reached the target."""
    extra_variance: np.ndarray
    """Variance of m beside that: between submissions, where the mean is a guess."""
    variance: np.ndarray
    """Scale of d^2."""
    freedom: np.ndarray
    """Its degrees of freedom."""
    limits: np.ndarray
    """(columns,) longest time that counts, the budget; infinite where there is none."""


def fit(studies: Studies, limits: np.ndarray) -> Model:
    """The model of a field.

    Args:
      studies: of all submissions.
      limits: (columns,) budgets on the scored axis; infinite where none is known.
    """
    hits, counts = studies.hits, studies.counts
    logs = np.log(np.where(np.isfinite(studies.values) & (studies.values > 0), studies.values, 1.0))
    reached = np.isfinite(studies.values)
    mean = np.where(reached, logs, 0.0).sum(axis=-1) / np.maximum(hits, 1)
    squares = np.where(reached, (logs - mean[..., None]) ** 2, 0.0).sum(axis=-1)
    variance, freedom = pooled_variances(squares, np.maximum(hits - 1, 0))
    typical, between = typical_times(mean, hits, limits)
    return Model(
        studies=studies,
        kinds=hit_chances(hits, counts),
        mean=np.where(hits > 0, mean, typical),
        mean_variance=1 / np.maximum(hits, 1),
        extra_variance=np.where(hits > 0, 0.0, between),
        variance=variance,
        freedom=freedom,
        limits=limits,
    )


def pooled_variances(squares: np.ndarray, freedom: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variance of each cell, drawn to that of its workload, and its degrees of freedom.

    Args:
      squares: (submissions, columns) sums of squared deviations from the mean of the cell.
      freedom: (submissions, columns) studies less one.
    """
    field = (DEFAULT_WEIGHT * DEFAULT_LOG_SD**2 + squares.sum()) / (DEFAULT_WEIGHT + freedom.sum())
    workload = (WORKLOAD_WEIGHT * field + squares.sum(axis=0)) / (WORKLOAD_WEIGHT + freedom.sum(axis=0))
    return (CELL_WEIGHT * workload + squares) / (CELL_WEIGHT + freedom), CELL_WEIGHT + freedom


def hit_chances(hits: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(submissions, columns, kinds) chances that a cell is of each of `KINDS`, given its studies.

    Before its own studies are seen, a cell is *sometimes* with the field's chance; otherwise *always* with odds that
    add up (as logarithms) from those of its submission and of its workload, without the cell itself.
    """
    outcomes = beta_binomial(hits, counts)
    rates = neighbours_rates(hits, counts)
    prior = np.stack([1 - rates, np.zeros_like(rates), rates], axis=-1)
    sometimes = np.array([0.0, 1.0, 0.0])
    log_chances = np.array(
        [
            np.log((((1 - share) * prior + share * sometimes) * outcomes).sum(axis=-1)).sum()
            for share in SOMETIMES_SHARES
        ]
    )
    chances = np.exp(log_chances - log_chances.max()) * SOMETIMES_PRIOR
    share = float(chances @ SOMETIMES_SHARES / chances.sum())
    posterior = ((1 - share) * prior + share * sometimes) * outcomes
    return posterior / posterior.sum(axis=-1, keepdims=True)


def neighbours_rates(hits: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(submissions, columns) chance that a cell which is not *sometimes* is *always*, from the cells beside it."""
    share = hits / np.maximum(counts, 1)
    has = counts > 0
    rate = (RATE_WEIGHT * DEFAULT_HIT_RATE + share.sum()) / (RATE_WEIGHT + has.sum())

    def log_odds(axis: int) -> np.ndarray:
        others = share.sum(axis=axis, keepdims=True) - share
        number = has.sum(axis=axis, keepdims=True) - has
        own = (RATE_WEIGHT * rate + others) / (RATE_WEIGHT + number)
        return np.log(own / (1 - own))

    total = log_odds(0) + log_odds(1) - np.log(rate / (1 - rate))
    return 1 / (1 + np.exp(-total))


def beta_binomial(hits: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(submissions, columns, kinds) probability of the number of hits, up to a factor that all kinds share."""
    found = np.ones((*hits.shape, len(KINDS)))
    a, b = KINDS[:, 0], KINDS[:, 1]
    for study in range(int(counts.max(initial=0))):
        found *= np.where((hits > study)[..., None], a + study, 1.0)
        found *= np.where((counts - hits > study)[..., None], b + study, 1.0)
        found /= np.where((counts > study)[..., None], a + b + study, 1.0)
    return found


def typical_times(mean: np.ndarray, hits: np.ndarray, limits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log time of who has no hit yet, (columns,), and its variance: those of who reached the target."""
    has = hits > 0
    number = np.maximum(has.sum(axis=0), 1)
    center = np.where(has, mean, 0.0).sum(axis=0) / number
    spread = np.where(has, (mean - center) ** 2, 0.0).sum(axis=0) / number
    late = np.where(np.isfinite(limits), np.log(limits * 0.8), 0.0)
    return np.where(has.any(axis=0), center, late), np.where(has.any(axis=0), spread, 0.04)


@dataclass(frozen=True)
class Draws:
    """True times, drawn from what is known; (samples, submissions, columns) each."""

    medians: np.ndarray
    """Over infinitely many studies; infinite where half of them or more miss."""
    centered: np.ndarray
    """The same with every mean log time where it was measured: what scores would be if times had no luck in them."""
    restricted: np.ndarray
    """Means of min(time, budget) over infinitely many studies; NaN where there is no budget."""


# Quantiles of the normal distribution by the chance of a hit, from one half to one.
_CHANCES = np.linspace(0.5, 1.0, 501)[1:]
_QUANTILES = np.array([min(statistics.NormalDist().inv_cdf(min(0.5 / p, 1 - 1e-9)), 4.0) for p in _CHANCES])


def true_median(
    chance: np.ndarray, mean: np.ndarray, deviation: np.ndarray, limits: np.ndarray
) -> np.ndarray:
    """Median over infinitely many studies; see the head of this module.

    >>> float(true_median(np.array(1.0), np.array(0.0), np.array(0.1), np.array(np.inf)))
    1.0
    """
    quantile = np.minimum(np.interp(chance, _CHANCES, _QUANTILES), MAX_QUANTILE)
    times = np.minimum(np.exp(mean + deviation * quantile), limits)
    return np.where(chance > 0.5, times, np.inf)


def draw_chances(model: Model, num_samples: int, rng: np.random.Generator) -> np.ndarray:
    """(samples, submissions, columns) chances that a study reaches its target; 0 where there are no studies."""
    hits, counts = model.studies.hits[..., None], model.studies.counts[..., None]
    a, b = KINDS[:, 0] + hits, KINDS[:, 1] + counts - hits
    pick = rng.random((num_samples, *model.mean.shape))
    bounds = np.cumsum(model.kinds, axis=-1)
    kind = (pick > bounds[..., 0]).astype(np.int8) + (pick > bounds[..., 1])
    cell = np.arange(model.mean.size).reshape(model.mean.shape) * len(KINDS)
    index = cell + kind
    chance = rng.beta(a.ravel()[index], b.ravel()[index])
    chance[:, model.studies.counts == 0] = 0.0
    return chance


def draw(model: Model, num_samples: int, rng: np.random.Generator) -> Draws:
    """Draws fields of true times; the same state of `rng` gives the same."""
    shape = (num_samples, *model.mean.shape)
    chance = draw_chances(model, num_samples, rng)
    variance = model.variance * model.freedom / rng.chisquare(model.freedom, shape)
    mean_variance = variance * model.mean_variance + model.extra_variance
    mean = model.mean + np.sqrt(mean_variance) * rng.standard_normal(shape)
    medians = true_median(chance, mean, np.sqrt(variance), model.limits)
    centered = true_median(chance, np.broadcast_to(model.mean, shape), np.sqrt(variance), model.limits)
    late = np.minimum(np.exp(np.minimum(mean + variance / 2, 700.0)), model.limits)
    with np.errstate(invalid="ignore"):
        restricted = np.where(chance > 0, chance * late, 0.0) + (1 - chance) * model.limits
    exact = model.studies.is_exact
    medians[:, exact] = model.studies.values[..., 0][exact]
    restricted[:, exact] = np.minimum(model.studies.values[..., 0], model.limits)[exact]
    return Draws(medians, centered, np.where(np.isfinite(restricted), restricted, np.nan))
