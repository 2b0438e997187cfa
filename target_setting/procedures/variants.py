"""Whether variants are distinct from their bases (rank transfer) and trainable (10 percent rule).

Is a variant of a workload another task for a tuner, and can it be trained? Source: https://arxiv.org/abs/2306.07179,
section 6.2 and Tables 33 to 40.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from types import ModuleType

import numpy as np

from algoperf import registry
from algoperf.spec import UsageError, no_such
from scoring.score_report import count
from scoring.text import table as text_table
from target_setting import plots
from target_setting.outcome import Outcome
from target_setting.selection import Selection
from target_setting.sweep import SweepTrial
from target_setting.sweep_tables import Metric, Table, make_table, ranks
from target_setting.tables import metric_value, percent

READS_EVERY_WORKLOAD = True
"""--workloads names variants, and their bases are needed too."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """The flags."""

    tolerance: float = 0.1
    """How much worse than its base a variant's best may be."""

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance < 1:
            raise UsageError(f"--tolerance must be in [0, 1), got {self.tolerance}.")


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
    trials: Collection[SweepTrial],
    algorithm: str,
    base: str,
    variant: str,
    *,
    tolerance: float = Options.tolerance,
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


def analyse(selection: Selection, options: Options) -> Outcome:
    """The variant test of one algorithm, for every variant whose base was swept, too."""
    trials, algorithms, workloads = replace(selection, workloads=()).swept()
    if len(algorithms) > 1:
        raise UsageError(
            f"The variant test compares the points of one algorithm; choose with --algorithms={algorithms[0]} "
            f"(there are {', '.join(algorithms)})."
        )
    wanted = pairs(workloads)
    if not wanted:
        raise UsageError(
            f"The sweep has no variant beside its base; it has {', '.join(workloads)}. Run the same points on both."
        )
    known = [variant for _, variant in wanted]
    for name in selection.workloads:
        if name not in known:
            raise no_such("variant beside its base in the sweep", name, known)
    tests = [
        compare_variant(trials, algorithms[0], base, variant, tolerance=options.tolerance)
        for base, variant in wanted
        if variant in (selection.workloads or known)
    ]
    left_out = [
        f"{one.variant}: {count(one.table.num_left_out, 'point')} left out, not finished on both workloads."
        for one in tests
        if one.table.num_left_out
    ]
    return Outcome(
        table=report(tests),
        content=content(tests),
        panels=panels(tests),
        title="Variant test: each point on base and variant",
        notes=tuple(left_out),
    )


def report(tests: Collection[VariantTest]) -> str:
    """One row per variant."""
    header = ["variant", "base", "metric", "points", "base -> variant", "variant -> base", "D"]
    header += ["best of base", "best of variant", "gap", "trainable"]
    rows = [
        [
            one.variant,
            one.base,
            one.metric.name,
            str(len(one.table.trials)),
            f"rank {one.base_to_variant.rank} ({metric_value(one.base_to_variant.value_away)})",
            f"rank {one.variant_to_base.rank} ({metric_value(one.variant_to_base.value_away)})",
            str(one.distinctness),
            metric_value(one.base_to_variant.value),
            metric_value(one.variant_to_base.value),
            percent(one.relative_gap),
            "yes" if one.is_trainable else "no",
        ]
        for one in tests
    ]
    return (
        "Variant test: rank of the best point of one workload on the other (metric there); D is the smaller rank\n"
        + text_table(header, rows, num_left=3)
    )


def content(tests: Collection[VariantTest]) -> list[dict[str, object]]:
    """The same as plain JSON types, with the points."""
    return [
        {
            "base": one.base,
            "variant": one.variant,
            "algorithm": one.table.algorithm,
            "metric_name": one.metric.name,
            "num_points": len(one.table.trials),
            "base_to_variant": transfer_content(one, one.base_to_variant),
            "variant_to_base": transfer_content(one, one.variant_to_base),
            "distinctness": one.distinctness,
            "is_trainable": one.is_trainable,
            "relative_gap": one.relative_gap,
            "tolerance": one.tolerance,
        }
        for one in tests
    ]


def transfer_content(test: VariantTest, transfer: Transfer) -> dict[str, object]:
    """Of one direction."""
    return {
        "trial": transfer.trial,
        "point": dict(test.table.points[test.table.trials.index(transfer.trial)]),
        "best_validation": transfer.value,
        "rank": transfer.rank,
        "best_validation_away": transfer.value_away,
    }


def panels(tests: Collection[VariantTest]) -> list[plots.Panel]:
    """Every point's metric on base and variant; the best of each marked."""

    def panel(test: VariantTest) -> plots.Panel:
        base, variant = test.table.values

        def traces(go: ModuleType) -> list[plots.Trace]:
            marked = []
            for name, transfer, symbol in (
                ("best of base", test.base_to_variant, "star"),
                ("best of variant", test.variant_to_base, "diamond"),
            ):
                index = test.table.trials.index(transfer.trial)
                marked.append(
                    go.Scatter(
                        x=[base[index]],
                        y=[variant[index]],
                        mode="markers",
                        name=name,
                        marker={"symbol": symbol, "size": 14},
                    )
                )
            return [plots.points(go, base, variant, test.table), *marked]

        words = f"{test.variant}: D = {test.distinctness}"
        return words, f"{test.base} {test.metric.name}", f"{test.metric.name}", traces

    return [panel(test) for test in tests]
