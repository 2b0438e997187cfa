"""Suites: the scored workloads with their targets, budgets, studies and trials (RULES.md, section 10).

    suite = suites.load("algoperf_v05")
    suite.ruleset("external").num_studies      # 5
    suite.targets("wmt").validation_target     # 30.8491
    suite.budget_sec("wmt", "self")            # 144453.0

A suite is one file, `algoperf/suites/<name>.json`, or another file whose path is given instead of a name:

    suite = suites.load("results/targets.json")

A file that holds `targets` alone, as `set_targets.py` writes it, takes its rules from `mini`, or from `algoperf_a100`
if it has a workload of full size.

Importing this takes no more than the standard library, so that `--help` can list suites at no cost. Modules of
workloads are imported when a suite is asked for targets that are not frozen with it.
"""

import dataclasses
import functools
import importlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from algoperf import direction, files, typed_json
from algoperf.spec import UsageError, no_such

SUITES_DIR = Path(__file__).parent / "suites"
FULL_SIZE, SMALL = "algoperf_a100", "mini"
"""Suites that hold where nobody names one: the benchmark as it is now, and its small twin (RULES.md, section 10)."""

ANY, REQUIRED = REFEREED = ("any", "required")
"""Whether runs of a suite may be without a referee; see `Suite.refereed`."""
MAX_STUDIES = 1_000
MAX_TRIALS = 10_000
"""Far above what anybody has run; beyond it a typing error would keep scoring and plans busy for ever."""
MAX_SEC = 10**9
"""Of a budget or a period: 31 years, which still fit a clock of nanoseconds."""

NAME_IN_WORKLOAD = {
    "metric_name": "target_metric_name",
    "higher_is_better": "higher_is_better",
    "validation_target": "validation_target_value",
    "test_target": "test_target_value",
    "runtime_budget_sec": "max_allowed_runtime_sec",
    "step_hint": "step_hint",
    "eval_period_sec": "eval_period_time_sec",
}
"""Field of `WorkloadTargets` -> what `algoperf.workload.WorkloadSpec` calls it.

Both sets of names are fixed from outside: submissions read AlgoPerf's on the workload, and files of targets that people
have hold ours. Only this table translates.
"""


def check_counts(flag: str = "", **counts: int | None) -> None:
    """Raises UsageError for a number of studies or trials that cannot be meant.

    Args:
      flag: stands before the names in messages: '--' where they were given as flags.
      **counts: `num_studies` and `num_trials`; None is not given.
    """
    most = {"num_studies": MAX_STUDIES, "num_trials": MAX_TRIALS}
    for name, value in counts.items():
        # True is an integer to Python alone.
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if value is not None and not (is_whole and 1 <= value <= most[name]):
            raise UsageError(f"{flag}{name} must be a positive integer up to {most[name]}, got {value!r}.")


@dataclass(frozen=True, kw_only=True)
class Ruleset:
    """Numbers of studies and trials per workload, and the factor on budgets."""

    num_studies: int
    """Independent repetitions of tuning; the median over them is scored."""
    num_trials: int
    """Hyperparameter points per study; the fastest counts. 1 for self-tuning submissions."""
    budget_factor: float = 1.0
    """Multiplies the runtime budget of every workload."""

    def __post_init__(self) -> None:
        check_counts(num_studies=self.num_studies, num_trials=self.num_trials)
        if not 0 < self.budget_factor <= MAX_SEC:
            raise UsageError(
                f"budget_factor must be positive, and {MAX_SEC} at most, got {self.budget_factor!r}."
            )


@dataclass(frozen=True, kw_only=True)
class WorkloadTargets:
    """The targets of one workload, and the time that a run may take."""

    metric_name: str
    """The target metric; in the records `validation/<metric_name>` and `test/<metric_name>`."""
    higher_is_better: bool
    """Whether the target is a floor (accuracy) or a ceiling (error rate, loss)."""
    validation_target: float
    """Value to reach on the validation split; equality counts."""
    test_target: float | None
    """Value to reach on the test split, or None. It takes part in ending runs and is not scored (R7.3)."""
    runtime_budget_sec: float
    """Submission time that one trial may use, before the ruleset's budget factor."""
    step_hint: int | None
    """Updates that a baseline makes within the budget; None if not known."""
    eval_period_sec: float
    """Least wall time between evaluations."""

    def __post_init__(self) -> None:
        if not self.metric_name:
            raise UsageError("metric_name must not be empty.")
        for name in ("validation_target", "test_target"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise UsageError(f"{name} must be finite, got {value!r}.")
        for name in ("runtime_budget_sec", "step_hint", "eval_period_sec"):
            value = getattr(self, name)
            if not (value is None and name == "step_hint") and not 0 < value <= MAX_SEC:
                raise UsageError(f"{name} must be positive, and {MAX_SEC} at most, got {value!r}.")

    def is_met_by(self, validation_metric: float) -> bool:
        """Whether a validation metric is at least as good as the target; NaN is not.

        >>> load("algoperf_v05").targets("wmt").is_met_by(30.8491)
        True
        """
        return direction.meets_target(
            validation_metric, self.validation_target, self.metric_name, self.higher_is_better
        )


@dataclass(frozen=True)
class TargetOrigin:
    """The runs that a validation target was set from (`set_targets.py targets`, `provenance` in its file)."""

    reruns: tuple[float, ...]
    """Best validation metric of each rerun of one point; their median is the target, rounded to the easier side."""


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A named set of workloads and the numbers by which submissions are compared on them."""

    name: str
    """The file's name without '.json'; the absolute path for files given by path."""
    description: str
    """A sentence for listings and reports."""
    workloads: tuple[str, ...]
    """Fixed workloads; each has the same weight in the score."""
    held_out: Mapping[str, str]
    """Held-out variant -> the fixed workload that it guards (RULES.md, section 9)."""
    held_out_pools: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    """Name of a pool -> variants that may be drawn from it, as in `held_out`. Their order decides a draw."""
    rulesets: Mapping[str, Ruleset]
    """'external' and 'self'."""
    r_max: float
    """Times above this multiple of the fastest count as infinite (R8.6); also the end of the profile."""
    frugal: bool = False
    """Whether campaigns may stop trials that can no longer change a score."""
    refereed: str = ANY
    """'required' where all trials have to be refereed (`--referee`), else 'any'."""
    known_targets: Mapping[str, WorkloadTargets] = field(repr=False)
    """Numbers frozen with the suite, for workloads and variants. A workload without an entry
    takes them from the workload registry."""
    origins: Mapping[str, TargetOrigin] = field(default_factory=dict, repr=False)
    """Workload -> what its target was set from, where the suite's file says so."""

    def __post_init__(self) -> None:
        if not self.workloads:
            raise UsageError(f"Suite {self.name!r} lists no workloads.")
        if len(set(self.workloads)) < len(self.workloads):
            raise UsageError(f"Suite {self.name!r} lists a workload twice: {', '.join(self.workloads)}.")
        if not self.rulesets:
            raise UsageError(f"Suite {self.name!r} has no rulesets: give external, self or both.")
        for guards in (self.held_out, *self.held_out_pools.values()):
            for variant, base in guards.items():
                if base not in self.workloads:
                    raise UsageError(
                        f"Suite {self.name!r}: {variant!r} guards {base!r}, which is not in the suite."
                    )
                if variant in self.workloads:
                    raise UsageError(
                        f"Suite {self.name!r}: {variant!r} is both held out and a fixed workload."
                    )
        for name, pool in self.held_out_pools.items():
            if not pool:
                raise UsageError(f"Suite {self.name!r}: the pool {name!r} of held-out variants is empty.")
        pooled = [variant for pool in self.held_out_pools.values() for variant in pool]
        if len(set(pooled)) < len(pooled):
            raise UsageError(f"Suite {self.name!r}: a variant stands in two pools: {', '.join(pooled)}.")
        if self.refereed not in REFEREED:
            raise no_such(f"value of 'refereed' in suite {self.name!r}", self.refereed, REFEREED)
        # At 1 only the fastest submission would have a finite time.
        if not 1 < self.r_max < math.inf:
            raise UsageError(f"Suite {self.name!r}: r_max must be above 1 and finite, got {self.r_max!r}.")

    def ruleset(self, name: str) -> Ruleset:
        """The numbers of a ruleset; `UsageError` for an unknown name."""
        if name not in self.rulesets:
            raise no_such("ruleset", name, self.rulesets)
        return self.rulesets[name]

    def targets(self, workload: str) -> WorkloadTargets:
        """Targets and budget of a workload or variant; `UsageError` for an unknown one."""
        if workload in self.known_targets:
            return self.known_targets[workload]
        if any(workload in named for named in (self.scored_names(), *self.held_out_pools.values())):
            return targets_from_registry(workload)
        raise no_such(f"workload with targets in suite {self.name!r}", workload, self.scored_names())

    def budget_sec(self, workload: str, ruleset: str) -> float:
        """Submission time in seconds that one trial may use under a ruleset."""
        return self.targets(workload).runtime_budget_sec * self.ruleset(ruleset).budget_factor

    def scored_names(self) -> tuple[str, ...]:
        """Fixed workloads, then held-out variants: all that a complete submission must run."""
        return (*self.workloads, *self.held_out)


def customize(
    suite: Suite,
    *,
    workloads: Sequence[str] | None = None,
    num_studies: int | None = None,
    num_trials: int | None = None,
) -> Suite:
    """A suite with fewer (or other) workloads, studies and trials; None keeps the suite's own.

    `workloads` may be any with known targets, from the suite or the registry. Held-out variants
    whose base is left out are left out too. Scores of such a suite cannot be compared with the full one's (R10.2).

    >>> customize(load("algoperf_v05"), workloads=["ogbg"], num_studies=1).scored_names()
    ('ogbg', 'ogbg_model_size')
    """
    numbers = {"num_studies": num_studies, "num_trials": num_trials}
    check_counts(flag="--", **numbers)
    changes = {name: number for name, number in numbers.items() if number is not None}
    kept = tuple(workloads) if workloads else suite.workloads

    def guarding(guards: Mapping[str, str]) -> dict[str, str]:
        return {variant: base for variant, base in guards.items() if base in kept and variant not in kept}

    pools = {name: guarding(pool) for name, pool in suite.held_out_pools.items()}
    changed = dataclasses.replace(
        suite,
        workloads=kept,
        held_out=guarding(suite.held_out),
        held_out_pools={name: pool for name, pool in pools.items() if pool},
        rulesets={name: dataclasses.replace(ruleset, **changes) for name, ruleset in suite.rulesets.items()},
    )
    for workload in kept:
        changed.targets(workload)  # Raises for an unknown name.
    return changed


def targets_from_registry(workload: str) -> WorkloadTargets:
    """The targets that the workload itself declares, for suites without frozen numbers."""
    # Imported late: the registry imports every workload.py, which takes 0.1 s and more.
    spec = importlib.import_module("algoperf.registry").get(workload)
    return WorkloadTargets(**{own: getattr(spec, name) for own, name in NAME_IN_WORKLOAD.items()})


def names() -> list[str]:
    """Names of all suites.

    >>> names()[:2]
    ['algoperf_a100', 'algoperf_v05']
    """
    return sorted(path.stem for path in SUITES_DIR.glob("*.json"))


def is_file(name: str) -> bool:
    """Whether a suite is given by the path of its file instead of its name.

    >>> is_file("mini"), is_file("results/targets.json")
    (False, True)
    """
    return name.endswith(".json")


def default_name(workloads: Sequence[str]) -> str:
    """The suite for runs on these workloads if the user names none.

    >>> default_name(["digits", "wmt_mini"]), default_name(["wmt_mini", "wmt"])
    ('mini', 'algoperf_a100')
    """
    registry = importlib.import_module("algoperf.registry")  # Imported late, as above.
    # `digits` has no mini version, because it is small itself.
    is_small = all(spec.is_mini or spec.family == "digits" for spec in map(registry.get, workloads))
    return SMALL if is_small else FULL_SIZE


def load(name: str) -> Suite:
    """The suite with this name, or the one in the file at this path; the absolute path is then its name.

    Raises:
      UsageError: if there is no such suite, or its file is not well formed.
    """
    if is_file(name):
        return _read(files.expanded(name).resolve())
    if name not in names():
        raise no_such("suite", name, names())
    return _shipped(name)


@functools.cache
def _shipped(name: str) -> Suite:
    return _read(SUITES_DIR / f"{name}.json")


def _read(path: Path) -> Suite:
    try:
        content = files.read_strict_json(path)
        if path.parent == SUITES_DIR:
            return from_json(content)
        whole = typed_json.value_of(dict[str, Any], content)
        names_of_targets = typed_json.value_of(dict[str, Any], whole.get("targets", {}), "targets")
        if names_of_targets:
            whole = {**_rules_for(names_of_targets), **whole}
        suite = from_json({**whole, "name": str(path)})
        _check_agreement(suite)
        return suite
    except OSError as error:
        raise UsageError(
            f"No suite file {str(path)!r} ({error.strerror}); give the path of one, or a name: {', '.join(names())}."
        ) from None
    except ValueError as error:  # MalformedError among them.
        if isinstance(error, UsageError) and str(path) in str(error):
            raise
        raise UsageError(
            f"Suite file {path} is not well formed: {str(error).rstrip('.')}. It needs what a file in {SUITES_DIR} "
            "has, or 'targets' alone."
        ) from error


def _check_agreement(suite: Suite) -> None:
    """Raises UsageError where targets contradict the workloads they are for: runs and scores would then disagree."""
    for name, given in suite.known_targets.items():
        own = targets_from_registry(name)
        for fact in ("metric_name", "higher_is_better"):
            if getattr(given, fact) != getattr(own, fact):
                raise UsageError(
                    f"'targets.{name}.{fact}' is {typed_json.shown(getattr(given, fact))}, and that of the workload is "
                    f"{typed_json.shown(getattr(own, fact))}"
                )
        for fact in ("validation_target", "test_target"):
            value = getattr(given, fact)
            if value is not None:
                direction.check_target(f"targets.{name}", fact, given.metric_name, value)


def _rules_for(targets: Iterable[str]) -> dict[str, Any]:
    """The entries that a file with `targets` alone leaves out: all its workloads, and the rules for their size."""
    rules = _shipped(default_name(list(targets)))
    return {
        "description": f"Targets under the rules of {rules.name}.",
        "workloads": list(targets),
        "held_out": {},
        "rulesets": {name: dataclasses.asdict(ruleset) for name, ruleset in rules.rulesets.items()},
        "r_max": rules.r_max,
        "frugal": rules.frugal,
        "variants": {},
    }


@dataclass(frozen=True, kw_only=True)
class _File:
    """What the file of a suite may hold; a file of targets leaves the rest to `_rules_for`."""

    targets: dict[str, WorkloadTargets]
    """Complete entries."""
    variants: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Workload -> its `base`, and what differs from the base's entry."""
    name: str = ""
    description: str = ""
    workloads: tuple[str, ...] = ()
    held_out: dict[str, str] = field(default_factory=dict)
    held_out_pools: dict[str, dict[str, str]] = field(default_factory=dict)
    rulesets: dict[str, Ruleset] = field(default_factory=dict)
    r_max: float = 4.0
    frugal: bool = False
    refereed: str = ANY
    source: Any = None
    """How the targets were made; for readers of the file."""
    provenance: Any = None
    """The same in numbers, as `set_targets.py targets` writes it: of this the reruns' results are read."""


def from_json(content: Mapping[str, Any]) -> Suite:
    """A suite from the content of its file.

    Raises:
      MalformedError: names the entry that has another form.
    """
    own = typed_json.typed(_File, content)
    targets = dict(own.targets)
    for name, entry in own.variants.items():
        differs = dict(entry)
        base = differs.pop("base", None)
        if base not in own.targets:
            raise typed_json.MalformedError(
                f"'variants.{name}.base' must be one of {', '.join(own.targets)}, got {typed_json.shown(base)}"
            )
        targets[name] = typed_json.value_of(
            WorkloadTargets, {**content["targets"][base], **differs}, f"variants.{name}"
        )
    return Suite(
        name=own.name,
        description=own.description,
        workloads=own.workloads,
        held_out=own.held_out,
        held_out_pools=own.held_out_pools,
        rulesets=own.rulesets,
        r_max=own.r_max,
        frugal=own.frugal,
        refereed=own.refereed,
        known_targets=targets,
        origins=_origins(own.provenance),
    )


def _origins(provenance: object) -> dict[str, TargetOrigin]:
    """What a file says of its targets' reruns; whoever writes something else there means it for readers."""
    found = {}
    for workload, entry in provenance.items() if isinstance(provenance, dict) else ():
        reruns = entry.get("reruns") if isinstance(entry, dict) else None
        values = (
            [one.get("best_validation") for one in reruns if isinstance(one, dict)]
            if isinstance(reruns, list)
            else []
        )
        known = tuple(float(one) for one in values if isinstance(one, (int, float)) and math.isfinite(one))
        if known:
            found[workload] = TargetOrigin(known)
    return found
