"""Expected best result over the number of trials, with intervals.

Also called expected validation performance. Sources: Dodge et al. 2019, https://arxiv.org/abs/1909.03004 (draws with
replacement); Tang et al. 2020, https://arxiv.org/abs/2004.13705 (that estimate is biased; subsets without replacement
are not).
"""

from collections.abc import Collection
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from scoring.text import table as text_table
from scoring.tuning_curves import quantile_places
from target_setting import plots
from target_setting.best_of_k import best_of_k_weights, check_num_trials, exact_quantiles
from target_setting.outcome import Outcome
from target_setting.selection import Results, Selection
from target_setting.tables import metric_value

LUCK = (0.05, 0.5, 0.95)
MAX_LINES = 12
"""Lines of a curve in the terminal; the file has all."""
BAND = "rgba(31, 119, 180, 0.2)"


@dataclass(frozen=True, kw_only=True)
class Options:
    """The flags."""

    max_trials: int | None = None
    """Last number of trials; as many as results by default."""


@dataclass(frozen=True, eq=False)
class ExpectedBest:
    """Curves over 1 … max_trials, as costs; (max_trials,) each unless said otherwise."""

    num_trials: np.ndarray
    expected: np.ndarray
    """Mean of the best of k draws with replacement."""
    unbiased: np.ndarray
    """Mean over subsets of k different results; NaN beyond their number."""
    low: np.ndarray
    high: np.ndarray
    """95 % interval of the median of the best of k, two of the results (`scoring.tuning_curves`); NaN for an end that n
    results do not bound."""
    luck: np.ndarray
    """(3, max_trials) exact 5, 50 and 95 % quantiles of the best of k draws: what one tuner may meet."""
    num_failed: int
    """Results that do not exist; in the means they count as the worst that does."""


def weights_with_replacement(num_results: int, max_trials: int) -> np.ndarray:
    """(max_trials, num_results) P(best of k is result i), sorted best first; see `best_of_k`."""
    return np.stack([best_of_k_weights(num_results, k) for k in range(1, max_trials + 1)])


def weights_without_replacement(num_results: int, max_trials: int) -> np.ndarray:
    """(max_trials, num_results) the same for subsets of k different results.

        P(best is result i) = C(n - i, k - 1) / C(n, k),   i = 1 … n;   NaN for k > n

    >>> weights_without_replacement(3, 2)[1].round(4)
    array([0.6667, 0.3333, 0.    ])
    """
    from scipy.special import gammaln

    k = np.arange(1, max_trials + 1)[:, None]
    rest = np.arange(num_results - 1, -1, -1)[None, :]  # Results that are worse than result i.

    def log_choose(n: np.ndarray | int, of: np.ndarray) -> np.ndarray:
        return gammaln(n + 1.0) - gammaln(of + 1.0) - gammaln(n - of + 1.0)

    # By logarithms, because the binomials overflow from some hundred trials on. Where k exceeds what is left they are
    # undefined, and are replaced below.
    with np.errstate(invalid="ignore", divide="ignore"):
        weights = np.exp(log_choose(rest, k - 1) - log_choose(num_results, k))
    weights = np.where(k - 1 <= rest, weights, 0.0)
    return np.where(k <= num_results, weights, np.nan)


def median_interval(ordered: np.ndarray, max_trials: int) -> tuple[np.ndarray, np.ndarray]:
    """(max_trials,) least and most of the median of the best of 1 ... max_trials; NaN where no result is far enough.

    The mean of the best has none: whatever is resampled, the results that another sweep might find beyond the best of
    this one are not among them (percentile intervals of "95 %" cover it in 40 to 90 % of cases, and the less the more
    trials).
    """
    ends = np.full((2, max_trials), np.nan)
    for index in range(max_trials):
        for end, place in enumerate(quantile_places(len(ordered), 1 - 0.5 ** (1 / (index + 1)))):
            if place is not None:
                ends[end, index] = ordered[place]
    return ends[0], ends[1]


def expected_best(costs: np.ndarray, max_trials: int | None = None) -> ExpectedBest:
    """Curves of the best of k trials for k = 1 … max_trials.

        E[best of k] = sum over i of v_(i) (((n - i + 1) / n)^k - ((n - i) / n)^k),   v_(1) best … v_(n) worst

    Args:
      costs: (n,) results of the sweep, lower is better; infinite where a trial has none.
      max_trials: the last k; the number of results by default.

    Raises:
      UsageError: if `max_trials` is below 1.
    """
    if max_trials is not None:
        check_num_trials("max_trials", max_trials)
    n = len(costs)
    k = max_trials or n
    finite = np.isfinite(costs)
    # Means of infinite costs would be infinite: failed trials count as the worst that succeeded.
    ordered = np.sort(np.where(finite, costs, costs[finite].max()))
    weights = weights_with_replacement(n, k)
    all_ordered = np.sort(costs)
    low, high = median_interval(all_ordered, k)
    return ExpectedBest(
        num_trials=np.arange(1, k + 1),
        expected=weights @ ordered,
        unbiased=weights_without_replacement(n, k) @ ordered,
        low=low,
        high=high,
        luck=np.stack([exact_quantiles(all_ordered, each, LUCK) for each in range(1, k + 1)], axis=1),
        num_failed=int(np.sum(~finite)),
    )


def analyse(selection: Selection, options: Options) -> Outcome:
    """Expected best of every algorithm and workload."""
    found = [(of, expected_best(of.costs, options.max_trials)) for of in selection.results()]
    failed = [
        f"{of.algorithm} on {of.workload}: {curve.num_failed} of {len(of.costs)} trials have no result; in the means "
        "they count as the worst result that there is."
        for of, curve in found
        if curve.num_failed
    ]
    return Outcome(
        table=report(found),
        content=content(found),
        panels=panels(found),
        title="Expected best validation metric over the number of trials",
        notes=tuple(failed),
    )


Found = tuple[Results, ExpectedBest]


def report(found: Collection[Found]) -> str:
    """One row per algorithm, workload and number of trials, of these about `MAX_LINES`."""
    header = ["algorithm", "workload", "metric", "trials", "expected best", "unbiased"]
    header += ["5 %", "median", "95 %", "95 % interval of the median"]
    rows = []
    for of, curve in found:
        for index in shown(len(curve.num_trials)):
            ends = of.metric.values(np.array([curve.low[index], curve.high[index]])).tolist()
            rows.append(
                [
                    *of.cells(),
                    str(curve.num_trials[index]),
                    metric_value(float(of.metric.values(curve.expected[index]))),
                    metric_value(float(of.metric.values(curve.unbiased[index]))),
                    *map(metric_value, of.metric.values(curve.luck[:, index]).tolist()),
                    interval(*ends),
                ]
            )
    return "Expected best validation metric of k trials; quantiles from good luck to bad luck\n" + text_table(
        header, rows, num_left=3
    )


def interval(good: float, bad: float) -> str:
    """
    >>> interval(0.9, 0.8), interval(np.nan, 0.8), interval(np.nan, np.nan)
    ('0.9 - 0.8', '0.8 or better', '-')
    """
    if np.isfinite(good):
        return f"{metric_value(good)} - {metric_value(bad)}"
    return f"{metric_value(bad)} or better" if np.isfinite(bad) else "-"


def shown(length: int) -> list[int]:
    """Positions of the curve that the terminal shows: all of a short one, about evenly spaced in log of a long one.

    >>> shown(3), shown(200)[:6], shown(200)[-1]
    ([0, 1, 2], [0, 1, 2, 3, 6, 10], 199)
    """
    if length <= MAX_LINES:
        return list(range(length))
    return np.unique(np.round(np.geomspace(1, length, MAX_LINES)).astype(int) - 1).tolist()


def content(found: Collection[Found]) -> list[dict[str, object]]:
    """The whole curves as plain JSON types."""
    return [
        {
            **of.content(),
            "num_failed": curve.num_failed,
            "trials": curve.num_trials.tolist(),
            "expected": of.metric.values(curve.expected).tolist(),
            "unbiased": of.metric.values(curve.unbiased).tolist(),
            "median_interval_95": of.metric.values(np.stack([curve.low, curve.high])).T.tolist(),
            "quantile_levels": list(LUCK),
            "quantiles": of.metric.values(curve.luck).T.tolist(),
        }
        for of, curve in found
    ]


def panels(found: Collection[Found]) -> list[plots.Panel]:
    """Expected best, the interval of the median of the best, and the 5 to 95 % range of luck."""

    def panel(of: Results, curve: ExpectedBest) -> plots.Panel:
        x = curve.num_trials.tolist()

        def traces(go: ModuleType) -> list[plots.Trace]:
            def line(costs: np.ndarray, **options: object) -> plots.Trace:
                return go.Scatter(x=x, y=of.metric.values(costs).tolist(), mode="lines", **options)

            thin, dotted = {"width": 0}, {"dash": "dot", "color": "gray"}
            return [
                line(curve.low, line=thin),
                line(
                    curve.high, line=thin, fill="tonexty", fillcolor=BAND, name="95 % interval of the median"
                ),
                line(curve.expected, name="expected best"),
                line(curve.luck[0], line=dotted, name="lucky: 5 %"),
                line(curve.luck[2], line=dotted, name="unlucky: 95 %"),
            ]

        return of.title, "trials", f"best validation {of.metric.name}", traces

    return [panel(of, curve) for of, curve in found]
