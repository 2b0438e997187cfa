"""Quantiles of the best of k trials, exact and simulated.

A tuning budget is a number of trials: from n results of a random search, how good is the best of k? Source:
https://arxiv.org/abs/2306.07179, section 2.3.2 (the simulation); the exact distribution follows from the order
statistics of k draws with replacement.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from algoperf.spec import UsageError
from scoring.text import table as text_table
from target_setting import plots
from target_setting.best_of_k import check_num_samples, check_num_trials, check_seed, exact_quantiles
from target_setting.outcome import Outcome
from target_setting.selection import Results, Selection
from target_setting.tables import metric_value

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
NUM_SAMPLES = 10_000
BATCH_BYTES = 2**27
MAX_DRAWS = 2 * 10**9
"""Of results, in a simulation: half a minute of work."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """The flags."""

    budgets: tuple[int, ...] = (1, 5, 20)
    """Tuning budgets, in trials."""
    num_samples: int | None = None
    """Simulated tunings (10000)."""
    seed: int = 0
    """Seed of the sampling."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "budgets", tuple(map(_whole_number, self.budgets)))
        check_seed(self.seed)


def _whole_number(text: str | int) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"--budgets must be whole numbers of trials, got {text!r}.") from None


def simulate(costs: np.ndarray, k: int, num_samples: int, rng: np.random.Generator) -> np.ndarray:
    """(num_samples,) the least of k costs, drawn with replacement, repeated.

    Each of the k draws goes evenly over the costs, in an order of its own (a Latin hypercube). With independent draws
    the level at which half of an even number of costs is reached is a matter of chance, and so was whether the median
    of the best of 1 is the upper or the lower of the two middle costs.
    """
    # All samples at once would take gigabytes for a budget of some hundred trials.
    per_batch = max(1, BATCH_BYTES // (8 * k))
    # In order, or how many draws go to the lower half would be chance where not all costs get equally many.
    costs = np.sort(costs)
    parts = []
    for start in range(0, num_samples, per_batch):
        size = min(per_batch, num_samples - start)
        shares = (np.arange(size) + 0.5) / size
        # The allowance as below.
        evenly = np.ceil(len(costs) * shares - 1e-9).astype(int) - 1
        draws = rng.permuted(np.broadcast_to(evenly, (k, size)), axis=1)
        parts.append(costs[draws].min(axis=0))
    return np.concatenate(parts)


def order_statistics(samples: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """(levels,) the samples at which the empirical distribution reaches each level; infinite ones are samples too."""
    # The allowance is for products that should be whole numbers and come out a little above.
    positions = np.ceil(np.asarray(levels) * len(samples) - 1e-9).astype(int) - 1
    return np.sort(samples)[np.maximum(positions, 0)]


@dataclass(frozen=True, eq=False)
class BestOfBudget:
    """The best of k trials, as costs."""

    num_trials: int
    simulated: np.ndarray
    """(quantiles,) at `QUANTILES`."""
    exact: np.ndarray
    """(quantiles,) at `QUANTILES`."""


def simulate_budgets(
    costs: np.ndarray, tuning_budgets: Sequence[int], *, num_samples: int = NUM_SAMPLES, seed: int = 0
) -> list[BestOfBudget]:
    """Quantiles of the best of k trials for each tuning budget k, simulated and exact.

    Args:
      costs: (n,) results of the sweep, lower is better; infinite where a trial has none, which is worst.
      tuning_budgets: numbers of trials; each at least 1.
      num_samples: repetitions of the simulation.
      seed: of the draws.

    Raises:
      UsageError: for a budget or a number of samples below 1.
    """
    for num_trials in tuning_budgets:
        if num_trials < 1:
            raise UsageError(f"--budgets must be 1 or more trials, got {num_trials}.")
        check_num_trials("budgets", num_trials)
        if num_trials * num_samples > MAX_DRAWS:
            raise UsageError(
                f"--budgets={num_trials} with --num_samples={num_samples} are too many draws: give "
                f"--num_samples={MAX_DRAWS // num_trials} at most."
            )
    check_num_samples(num_samples)
    rng, ordered = np.random.default_rng(seed), np.sort(costs)
    return [
        BestOfBudget(
            num_trials,
            order_statistics(simulate(costs, num_trials, num_samples, rng), QUANTILES),
            exact_quantiles(ordered, num_trials, QUANTILES),
        )
        for num_trials in tuning_budgets
    ]


def analyse(selection: Selection, options: Options) -> Outcome:
    """Best of k trials for every algorithm and workload."""
    num_samples = NUM_SAMPLES if options.num_samples is None else options.num_samples
    found = [
        (of, simulate_budgets(of.costs, options.budgets, num_samples=num_samples, seed=options.seed))
        for of in selection.results()
    ]
    return Outcome(
        table=report(found),
        content=content(found),
        panels=panels(found),
        title="Simulated tuning budgets",
    )


Found = tuple[Results, Sequence[BestOfBudget]]


def report(found: Collection[Found]) -> str:
    """One row per algorithm, workload and budget."""
    levels = [f"{level:.0%}" for level in QUANTILES]
    header = ["algorithm", "workload", "metric", "of", "trials", *levels, "simulated median"]
    rows = [
        [
            *of.cells(),
            str(len(of.costs)),
            str(one.num_trials),
            *map(metric_value, of.metric.values(one.exact).tolist()),
            metric_value(float(of.metric.values(one.simulated)[QUANTILES.index(0.5)])),
        ]
        for of, budgets in found
        for one in budgets
    ]
    return "Best of k trials: exact quantiles, from good luck to bad luck\n" + text_table(
        header, rows, num_left=3
    )


def content(found: Collection[Found]) -> list[dict[str, object]]:
    """The same as plain JSON types, with all simulated quantiles."""
    return [
        {
            **of.content(),
            "quantiles": list(QUANTILES),
            "budgets": [
                {
                    "trials": one.num_trials,
                    "exact": of.metric.values(one.exact).tolist(),
                    "simulated": of.metric.values(one.simulated).tolist(),
                }
                for one in budgets
            ],
        }
        for of, budgets in found
    ]


def panels(found: Collection[Found]) -> list[plots.Panel]:
    """Median of the best of k trials with its 5 and 95 % quantiles, exact and simulated."""

    def panel(of: Results, budgets: Sequence[BestOfBudget]) -> plots.Panel:
        x = [one.num_trials for one in budgets]
        exact, simulated = (
            of.metric.values(np.array([getattr(one, name) for one in budgets]))
            for name in ("exact", "simulated")
        )
        middle = QUANTILES.index(0.5)

        def traces(go: ModuleType) -> list[plots.Trace]:
            ends = [
                go.Scatter(x=x, y=exact[:, index].tolist(), mode="lines", line={"dash": "dot"}, name=name)
                for index, name in ((0, "lucky: 5 %"), (-1, "unlucky: 95 %"))
            ]
            median = go.Scatter(x=x, y=exact[:, middle].tolist(), mode="lines+markers", name="median")
            check = go.Scatter(x=x, y=simulated[:, middle].tolist(), mode="markers", name="simulated")
            return [*ends, median, check]

        return of.title, "trials", f"best validation {of.metric.name}", traces

    return [panel(of, budgets) for of, budgets in found]
