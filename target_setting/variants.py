"""The variant test: is a variant of a workload another task for a tuner, and can it be trained?

Source: https://arxiv.org/abs/2306.07179, section 6.2 and Tables 33 to 40.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from algoperf import registry
from algoperf.spec import UsageError
from target_setting.results import Metric, Table, make_table, ranks
from target_setting.sweep import SweepTrial

TOLERANCE = 0.1


@dataclass(frozen=True)
class Transfer:
    """The best point of one workload, tried on another."""

    trial: int
    value: float
    """Its metric at home: the best of all points."""
    rank: int
    """Number of points that are strictly better away from home; 0 if it is the best there, too."""
    value_away: float


@dataclass(frozen=True, eq=False)
class VariantTest:
    """One variant against its base, over the same points of one algorithm."""

    base: str
    variant: str
    metric: Metric
    table: Table
    """Rows: base, variant."""
    base_to_variant: Transfer
    variant_to_base: Transfer
    distinctness: int
    """D, the smaller rank of the two; the larger, the more distinct."""
    is_trainable: bool
    relative_gap: float
    """How much worse the variant's best is than the base's, relative to the latter; negative if it is better."""
    tolerance: float


def compare_variant(
    trials: Collection[SweepTrial], algorithm: str, base: str, variant: str, *, tolerance: float = TOLERANCE
) -> VariantTest:
    """Rank transfer and the 10 % rule.

        h*_w = argbest m_w(h)      rank_w(h) = number of points strictly better than h on w
        D = min( rank_variant(h*_base), rank_base(h*_variant) )
        trainable: m_variant(h*_variant) <= 1.1 m_base(h*_base), or >= 0.9 m_base(h*_base) where higher is better

    Where several points are best at home, the one that is best away is taken: D is then never too large.

    Args:
      trials: of a sweep with the same points on both workloads.
      algorithm: whose points are compared.
      base, variant: names of the workloads.
      tolerance: of the trainability rule, 0.1 in the paper.

    Raises:
      UsageError: if the two have different metrics, or share no points.
    """
    table = make_table(trials, algorithm, (base, variant))
    if table.metrics[0] != table.metrics[1]:
        raise UsageError(
            f"{variant} is no variant of {base}: {table.metrics[1].name} against {table.metrics[0].name}."
        )
    metric, best = table.metrics[0], [metric.best(row) for metric, row in zip(table.metrics, table.values)]
    forth, back = transfer(table, home=0, away=1), transfer(table, home=1, away=0)
    limit = (1 - tolerance if metric.higher_is_better else 1 + tolerance) * best[0]
    gap = float(metric.costs(best[1]) - metric.costs(best[0]))
    return VariantTest(
        base=base,
        variant=variant,
        metric=metric,
        table=table,
        base_to_variant=forth,
        variant_to_base=back,
        distinctness=min(forth.rank, back.rank),
        is_trainable=bool(metric.meets(best[1], limit)),
        relative_gap=gap / abs(best[0]) if best[0] else (0.0 if gap == 0 else np.inf),
        tolerance=tolerance,
    )


def transfer(table: Table, *, home: int, away: int) -> Transfer:
    """The best point of row `home` on row `away`."""
    costs, places = table.costs, ranks(table.costs)
    tied = np.flatnonzero(costs[home] == costs[home].min())
    best = int(tied[np.argmin(places[away][tied])])
    return Transfer(
        trial=table.trials[best],
        value=float(table.values[home, best]),
        rank=int(places[away, best]),
        value_away=float(table.values[away, best]),
    )


def pairs(workloads: Collection[str]) -> list[tuple[str, str]]:
    """(base, variant) for each variant among the workloads whose base is there, too.

    >>> pairs(["wmt_mini", "wmt_post_ln_mini", "ogbg_gelu_mini", "wmt_post_ln"])
    [('wmt_mini', 'wmt_post_ln_mini')]
    """
    specs = {name: registry.get(name) for name in sorted(workloads)}
    bases = {(spec.family, spec.is_mini): name for name, spec in specs.items() if spec.variant is None}
    return [
        (bases[spec.family, spec.is_mini], name)
        for name, spec in specs.items()
        if spec.variant is not None and (spec.family, spec.is_mini) in bases
    ]
