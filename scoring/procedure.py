"""The clean rules, the official AlgoPerf procedure, and the named quirks that lie between the two.

Each field of `Procedure` is one quirk: True is the clean rule, False what the official leaderboards did.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Procedure:
    """Which rules turn trials into scores."""

    name: str
    listed_workloads_only: bool = True
    """False: with an empty held-out list, every variant found in the logs acts as a held-out workload."""
    ruleset_counts: bool = True
    """True: the first `num_studies` studies and `num_trials` trials count; False: all that exist."""
    fastest_trial: bool = True
    """True: the trial that is first on the clock counts; False: first by evaluation index, then time."""
    check_budget: bool = True
    """True: a target reached after the budget was spent is not reached; False: the runner is trusted."""
    pad_studies: bool = True
    """True: a missing study is infinite; False: the median is over the studies that exist."""
    one_best: bool = True
    """True: ratios and r_max refer to the fastest submission after the held-out rule; False: r_max refers to
    the fastest before it, ratios to the fastest after it."""
    exact_integral: bool = True
    """True: the score is the closed form of the integral; False: the trapezoidal rule on 100 points."""


CLEAN = Procedure(name="clean")
OFFICIAL = Procedure(
    name="official",
    listed_workloads_only=False,
    ruleset_counts=False,
    fastest_trial=False,
    check_budget=False,
    pad_studies=False,
    one_best=False,
    exact_integral=False,
)


@dataclass(frozen=True)
class Quirk:
    """One difference between the official procedure and the clean rules."""

    name: str
    """As in the list of quirks in scoring/README.md."""
    field: str
    """Field of `Procedure` that repairs it."""
    why: str
    """What is done instead, and the reason."""


QUIRKS = (
    Quirk(
        "stray-variants",
        "listed_workloads_only",
        "variants that the suite does not list are ignored: officially they disqualify, if no list is given",
    ),
    Quirk(
        "extra-runs",
        "ruleset_counts",
        "studies and trials beyond the ruleset's numbers are ignored: more trials would be more tuning",
    ),
    Quirk(
        "index-not-time",
        "fastest_trial",
        "the trial that is first on the clock counts: an evaluation's index depends on when they were due",
    ),
    Quirk(
        "no-budget-check",
        "check_budget",
        "a target reached after the budget is not reached: the 0.5 runner evaluated once more after it",
    ),
    Quirk(
        "studies-not-padded",
        "pad_studies",
        "a missing study is infinite: leaving out a bad study must not help",
    ),
    Quirk(
        "two-bests",
        "one_best",
        "r_max and ratios refer to the same fastest submission, the one left after the held-out rule",
    ),
    Quirk(
        "grid-100",
        "exact_integral",
        "the integral is exact: 100 points of the trapezoidal rule are off by up to 0.00505",
    ),
)


def official_to_clean() -> Iterator[tuple[Quirk, Procedure]]:
    """Repairs one quirk after the other, in the order in which the rules apply; ends at the clean rules."""
    procedure = OFFICIAL
    for quirk in QUIRKS:
        procedure = dataclasses.replace(procedure, name=f"without {quirk.name}", **{quirk.field: True})
        yield quirk, procedure
