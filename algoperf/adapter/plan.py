"""What is written for an optimizer: its call, its schedule, who gets which parameters, point and search space."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from algoperf import tuning
from algoperf.adapter import call as calls
from algoperf.adapter import dialect
from algoperf.adapter import given as givens
from algoperf.adapter.call import Call
from algoperf.adapter.signature import Optimizer, Parameter
from algoperf.spec import UsageError

WARMUP_FACTOR = 0.05
"""Share of the steps, as in the search spaces of the reference algorithms."""
REST_LR = 1e-3
"""Of AdamW for what is no hidden matrix: PyTorch's default."""
NO_SCHEDULE = ("lbfgs", "rprop", "cocob", "schedulefree")
"""In names of rules that choose their own steps, and are made for a constant rate, or none."""
COMPLEMENT = calls.COMPLEMENT


@dataclass(frozen=True)
class Traits:
    """What was found out by trying an optimizer on three small parameters."""

    closure: str = ""
    """'first': its step calls a closure to get loss and gradients; 'after': once more, with gradients at hand."""
    has_modes: bool = False
    """Whether it has `train()` and `eval()`, by which it swaps in other weights for evaluations."""
    takes_groups: bool = True
    """Whether parameters may come in groups with settings of their own."""
    wants_matrices: bool = False
    """Whether it refuses parameters that are no matrices."""
    fast: str = ""
    """'fused' or 'foreach': an argument that makes it faster, and that it was tried with."""
    extra: bool = False
    """Whether its update takes the loss and functions as further arguments (optax)."""
    averages: str = ""
    """'schedule_free' or 'pair': where other parameters than the trained ones are evaluated (optax)."""
    scheduled: bool = True
    """Whether its learning rate may be a function of the step (optax)."""
    bears_zero: bool = True
    """Whether a first step with a learning rate of 0, from which warm-up starts, leaves it sound."""


@dataclass(frozen=True)
class Plan:
    """See the module's docstring."""

    call: Call
    traits: Traits
    schedule: str
    """One of `given.SCHEDULES`; '' where there is no learning rate."""
    decays_some: bool
    """Whether weight decay acts on matrices only."""
    splits: bool
    """Whether it gets hidden matrices only, and AdamW the rest."""
    batch_size: int | None
    point: dict[str, Any]
    """Values where nothing is tuned."""
    space: tuning.SearchSpace
    """For external tuning; the point alone where no search space is given."""

    @property
    def optimizer(self) -> Optimizer:
        return self.call.optimizer

    @property
    def rate(self) -> str:
        """Expression of its learning rate; '' where there is none."""
        found = self.call.arguments.get(self.optimizer.rate or "")
        return found if isinstance(found, str) and found != "None" else ""


def sample(space: tuning.SearchSpace | None) -> dict[str, Any]:
    """Hyperparameter -> a value in the middle of a checked search space, to try an optimizer with.

    >>> sample({"lr": {"min": 0.01, "max": 1.0, "scaling": "log"}, "momentum": {"feasible_points": [0.9, 0.99]}})
    {'lr': 0.1, 'momentum': 0.9}
    """
    if space is None:
        return {}
    if isinstance(space, list):
        return dict(space[0])
    found = {}
    for name, entry in space.items():
        if "feasible_points" in entry:
            found[name] = entry["feasible_points"][0]
        elif entry["scaling"] == "log":
            found[name] = (entry["min"] * entry["max"]) ** 0.5
        else:
            found[name] = (entry["min"] + entry["max"]) / 2
    return found


def make(call: Call, shared: Mapping[str, Any], space: tuning.SearchSpace | None, traits: Traits) -> Plan:
    """The plan for an optimizer that has been tried.

    Args:
      call: from `call.bind`.
      shared: settings of all optimizers, by their long names; see `given`.
      space: checked, of the names that `call` was bound with; None where nothing is tuned.
      traits: what was found by trying it.

    Raises:
      UsageError: for a setting that means nothing for this optimizer.
    """
    ranges = sample(space)
    schedule = _schedule(call, shared, traits)
    splits = _splits(call, shared, traits)
    fixed = {**call.point, **{name: value for name, value in shared.items() if name in givens.NUMBERS}}
    for name in fixed.keys() & ranges.keys() & set(givens.NUMBERS):
        if name in shared:
            raise UsageError(f"{name} is both set and in the search space: leave one of them out.")
    if schedule.startswith("warmup"):
        fixed.setdefault("warmup_factor", WARMUP_FACTOR)
    elif "warmup_factor" in {**fixed, **ranges}:
        raise UsageError(
            "warmup goes with a schedule that warms up: add --set schedule=warmup_cosine, or leave it out."
        )
    if splits:
        fixed.setdefault("rest_lr", REST_LR)
        fixed.setdefault("rest_weight_decay", 0.0)
    elif any(name in {**fixed, **ranges} for name in givens.OF_REST):
        raise UsageError(
            "rest_lr and rest_weight_decay are AdamW's, which gets the rest with --set matrices=only."
        )
    point = {**fixed, **ranges} or _something(call)
    return Plan(
        call=call,
        traits=traits,
        schedule=schedule,
        decays_some=_decays_some(call, shared, traits, splits),
        splits=splits,
        batch_size=shared.get("batch_size"),
        point=point,
        space=_merged(space, point),
    )


def _schedule(call: Call, shared: Mapping[str, Any], traits: Traits) -> str:
    rates = [one.value_of(one.optimizer.rate or "") for one in (call, *call.inner.values())]
    name = call.optimizer.named.name.lower().replace("_", "")
    if all(rate is None for rate in rates):
        if "schedule" in shared:
            raise UsageError(
                f"{call.optimizer.named.text} has no learning rate that a schedule could multiply: leave out schedule"
                + (f", or set {call.optimizer.rate}." if call.optimizer.rate else ".")
            )
        return ""
    is_constant = (
        traits.has_modes or traits.averages == "schedule_free" or any(one in name for one in NO_SCHEDULE)
    )
    found = str(
        shared.get("schedule", "constant" if is_constant or not traits.bears_zero else "warmup_cosine")
    )
    if found.startswith("warmup") and not traits.bears_zero and shared.get("warmup_factor") != 0:
        raise UsageError(
            f"{call.optimizer.named.text} breaks with a learning rate of 0, from which warm-up starts: leave out "
            f"schedule={found}, or add --set warmup=0."
        )
    return found


def _splits(call: Call, shared: Mapping[str, Any], traits: Traits) -> bool:
    asked = shared.get("matrices", "only" if traits.wants_matrices else "all")
    if asked == "all" and traits.wants_matrices:
        raise UsageError(f"{call.optimizer.named.text} takes matrices only: leave out --set matrices=all.")
    if asked == "only" and (call.inner or traits.closure):
        raise UsageError(
            "--set matrices=only goes with optimizers that neither hold others nor need a closure."
        )
    return bool(asked == "only")


def mask_of(optimizer: Optimizer) -> str | None:
    """The argument by which an optax alias says which parameters decay."""
    names = ("mask", "weight_decay_mask", "decay_mask")
    return next((name for name in names if name in optimizer.names), None)


def _decays_some(call: Call, shared: Mapping[str, Any], traits: Traits, splits: bool) -> bool:
    """Matrices decay and vectors do not, where the optimizer lets one say so."""
    wanted = shared.get("decay", "matrices") == "matrices"
    can = (
        mask_of(call.optimizer) is not None and mask_of(call.optimizer) not in call.values
        if dialect.of(call.optimizer.framework).is_functional
        else traits.takes_groups
        and call.optimizer.first is not None
        and "weight_decay" in call.optimizer.names
    )
    if "decay" in shared and wanted and not can:
        raise UsageError(
            f"{call.optimizer.named.text} cannot leave parameters out of its weight decay: leave out --set "
            "decay=matrices."
        )
    has_any = call.value_of("weight_decay") not in (None, 0, 0.0)
    # Of hidden matrices, all are matrices.
    return wanted and can and has_any and not splits


def _something(call: Call) -> dict[str, Any]:
    """A point must hold something: the first number among the defaults, which the call reads from then on."""
    for one in call.optimizer.parameters:
        if isinstance(one.default, float) and one.name not in call.arguments:
            call.arguments[one.name] = f"{calls.HYPERPARAMETERS}.{one.name}"
            call.values[one.name] = one.default
            return {one.name: one.default}
    return {"label_smoothing": 0.0}


def _merged(space: tuning.SearchSpace | None, point: Mapping[str, Any]) -> tuning.SearchSpace:
    """The search space with all that is fixed, so that records hold the whole point."""
    if space is None:
        return [dict(point)]
    if isinstance(space, list):
        fixed = {name: value for name, value in point.items() if name not in space[0]}
        return [{**one, **fixed} for one in space]
    fixed = {name: {"feasible_points": [value]} for name, value in point.items() if name not in space}
    return {**space, **fixed}


def parameter_of_rate(optimizer: Optimizer) -> Parameter | None:
    return optimizer.parameter(optimizer.rate or "")
