"""Watches loss and gradients of a submission in JAX, for `--debug`: also inside of what it compiles."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from algoperf.backends.base import Saw
from algoperf.spec import Workload


def watch(workload: Workload, saw: Saw) -> Callable[[], None]:
    """See `Backend.watch`. Gradients are seen on their way back through `model_fn`."""
    model_fn, loss_fn = workload.model_fn, workload.loss_fn
    watched = _watched(saw)

    def watched_model_fn(*arguments: Any, **named: Any) -> Any:
        if arguments:
            return model_fn(watched(arguments[0]), *arguments[1:], **named)
        return model_fn(params=watched(named.pop("params")), **named)

    def watched_loss_fn(*arguments: Any, **named: Any) -> Any:
        loss = loss_fn(*arguments, **named)
        mean = loss["summed"] / jnp.maximum(loss["n_valid_examples"], 1)
        jax.debug.callback(lambda value: saw("loss", np.asarray(value)), jax.lax.stop_gradient(mean))
        return loss

    vars(workload).update(model_fn=watched_model_fn, loss_fn=watched_loss_fn)
    return jax.effects_barrier


def _watched(saw: Saw) -> Callable[[Any], Any]:
    """The identity on parameters, whose gradient is shown."""

    def show(gradient: Any) -> None:
        for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
            saw(f"gradient of {jax.tree_util.keystr(path)}", np.asarray(leaf))

    @jax.custom_vjp
    def identity(params: Any) -> Any:
        return params

    def backward(_: None, gradient: Any) -> tuple[Any]:
        jax.debug.callback(show, gradient)
        return (gradient,)

    identity.defvjp(lambda params: (params, None), backward)
    return identity
