"""Tries an optax optimizer on two small parameters, to find out what its update needs."""

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import optax

from algoperf.adapter.call import Call
from algoperf.adapter.plan import Traits
from algoperf.adapter.signature import INNER, cannot
from algoperf.spec import UsageError
from reference_algorithms.shared import adapted_jax

NUM_STEPS = 3


def traits_of(call: Call) -> Traits:
    """What an optimizer needs.

    Raises:
      UsageError: if it cannot be adapted; says why.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        problems = []
        for extra, pair in ((False, False), (True, False), (False, True), (True, True)):
            try:
                averages = _tried(_made(call), extra, pair)
            except (Exception, SystemExit) as error:
                problems.append(f"{type(error).__name__}: {' '.join(str(error).split())}")
            else:
                scheduled = _is_scheduled(call)
                bears_zero = not scheduled or _bears_zero(call, extra, pair)
                return Traits(extra=extra, averages=averages, scheduled=scheduled, bears_zero=bears_zero)
    raise UsageError(cannot(call.optimizer, problems["missing" in problems[0]]))


def _bears_zero(call: Call, extra: bool, pair: bool) -> bool:
    try:
        _tried(_made(call, starts_at_zero=True), extra, pair)
        return True
    except (Exception, SystemExit):
        return False


def _made(call: Call, starts_at_zero: bool = False) -> Any:
    values = {**call.values, **{name: _made(one, starts_at_zero) for name, one in call.inner.items()}}
    rate = values.get(call.optimizer.rate or "")
    if starts_at_zero and rate is not None:
        values[str(call.optimizer.rate)] = lambda step: jnp.where(step == 0, 0.0, rate)
    return call.optimizer.target(**values)


def _is_scheduled(call: Call) -> bool:
    """Whether its learning rate, or that of the optimizer in it, may be a function of the step."""
    inner = [one for name, one in call.inner.items() if name in INNER]
    holders = [one for one in (call, *inner) if one.optimizer.rate in one.values]
    for one in holders:
        parameter = one.optimizer.parameter(one.optimizer.rate or "")
        if parameter is None or not parameter.takes_schedule:
            return False
    return bool(holders)


PARAMS = {"kernel": jnp.ones((4, 3)) * 0.5, "bias": jnp.zeros(3)}


def _loss(params: Any, *_: Any, grad_fn: Any = None, obj_fn: Any = None) -> jax.Array:
    del grad_fn, obj_fn
    return sum(jnp.sum((leaf - 1.0) ** 2) for leaf in jax.tree.leaves(params))  # type: ignore[return-value]


def _tried(optimizer: Any, extra: bool, pair: bool) -> str:
    """Takes a few steps; returns `Traits.averages`."""
    if not (callable(getattr(optimizer, "init", None)) and callable(getattr(optimizer, "update", None))):
        raise TypeError(f"it returned a {type(optimizer).__name__}, which is no optax.GradientTransformation")
    start: Any = optax.LookaheadParams.init_synced(PARAMS) if pair else PARAMS
    state, params = optimizer.init(start), start

    def step(state: Any, params: Any) -> Any:
        value, grads = jax.value_and_grad(_loss)(params.fast if pair else params)
        more = adapted_jax.extra_arguments(optimizer.update, value, grads, _loss) if extra else {}
        updates, state = optimizer.update(grads, state, params, **more)
        return state, optax.apply_updates(params, updates)

    compiled = jax.jit(step)
    for _ in range(NUM_STEPS):
        state, params = compiled(state, params)
    pairs = list(zip(jax.tree.leaves(start), jax.tree.leaves(params), strict=True))
    if all(bool(jnp.array_equal(old, new)) for old, new in pairs):
        raise RuntimeError(f"{NUM_STEPS} steps changed no parameter")
    if not all(bool(jnp.isfinite(new).all()) for _, new in pairs):
        raise RuntimeError(f"after {NUM_STEPS} steps parameters are not finite")
    # The gradient is 2 (p - 1).
    if sum(float(jnp.sum((new - old) * (old - 1.0))) for old, new in pairs) > 0:
        raise RuntimeError("its updates go uphill, as if it lacked its (negative) learning rate")
    return "pair" if pair else "schedule_free" if adapted_jax.schedule_free_state(state) is not None else ""
