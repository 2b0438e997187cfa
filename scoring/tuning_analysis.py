"""All that is said about the tuning of one submission: curves over the number of trials, and its points."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from algoperf.suites import Suite
from scoring import tuning_curves, tuning_points
from scoring.tuning_curves import Estimate
from scoring.tuning_points import Sensitivity, Shared
from scoring.tuning_runs import Tuned


@dataclass(frozen=True)
class Step:
    """What so many trials achieve."""

    num_trials: int
    hours: float
    """Of all of them; NaN where no run says how long it took."""
    chance: Estimate
    expected: Estimate
    """Of one workload seconds; over the suite the mean share of the budget."""
    median: Estimate
    """Seconds. Over the suite in its place: how many workloads have a chance of one half or more."""


@dataclass(frozen=True)
class Analysis:
    """All about one submission."""

    tuned: Tuned
    curves: Mapping[str, tuple[Step, ...]]
    """Workload -> step for each number of trials."""
    suite_curve: tuple[Step, ...]
    shared: Shared | None
    hit_everywhere: tuple[int, int]
    sensitivities: tuple[Sensitivity, ...]


def analyse(tuned: Tuned, suite: Suite) -> Analysis:
    """Everything about one submission."""
    curves = {workload: curve(tuned, workload) for workload in tuned.runs}
    return Analysis(
        tuned=tuned,
        curves=curves,
        suite_curve=over_suite(curves, tuned.budgets),
        shared=tuning_points.shared_point(tuned),
        hit_everywhere=tuning_points.hit_everywhere(tuned),
        sensitivities=tuple(
            tuning_points.sensitivities(
                tuned, {workload: suite.targets(workload).higher_is_better for workload in tuned.runs}
            )
        ),
    )


def curve(tuned: Tuned, workload: str) -> tuple[Step, ...]:
    """One workload, for 1 to all trials."""
    groups, hours = tuned.groups(workload), tuned.used_sec(workload) / 3600
    steps = []
    for n in range(1, tuned.max_trials(workload) + 1):
        if tuned.is_list:
            steps.append(Step(n, n * hours, *tuning_curves.of_list(groups, n)))
        else:
            (runs,) = groups
            found = (
                of(runs, n) for of in (tuning_curves.chance, tuning_curves.expected, tuning_curves.median)
            )
            steps.append(Step(n, n * hours, *found))
    return tuple(steps)


def over_suite(curves: Mapping[str, Sequence[Step]], budgets: Mapping[str, float]) -> tuple[Step, ...]:
    """Mean over workloads, for as many trials as all of them have; hours are those of all workloads."""
    steps = []
    for row in zip(*curves.values()):
        shares = [
            Estimate(
                *(
                    end / budgets[workload]
                    for end in (step.expected.value, step.expected.low, step.expected.high)
                )
            )
            for workload, step in zip(curves, row)
        ]
        likely = [sum(getattr(step.chance, end) >= 0.5 for step in row) for end in ("value", "low", "high")]
        steps.append(
            Step(
                row[0].num_trials,
                sum(step.hours for step in row),
                tuning_curves.mean_of([step.chance for step in row]),
                tuning_curves.mean_of(shares),
                Estimate(*map(float, likely)),
            )
        )
    return tuple(steps)
