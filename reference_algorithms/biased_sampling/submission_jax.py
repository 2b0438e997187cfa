"""Loss-based sampling with NadamW in JAX: an example of `data_selection`; see README.md."""

import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from algoperf import jax_sharding_utils, spec
from reference_algorithms.biased_sampling.settings import EVERY_STEPS, EXPONENT, POOL_BATCHES
from reference_algorithms.nadamw.submission_jax import init_optimizer_state
from reference_algorithms.shared.batch_sizes import get_batch_size
from reference_algorithms.shared.training_jax import update_params

__all__ = ["data_selection", "get_batch_size", "init_optimizer_state", "update_params"]


def data_selection(
    workload: spec.Workload,
    input_queue: Iterator[spec.Batch],
    optimizer_state: spec.OptimizerState,
    current_param_container: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    global_step: int,
    rng: spec.RandomState,
) -> spec.Batch:
    """A batch of examples drawn from a pool, those with a large loss more often; else the next batch."""
    del optimizer_state, hyperparameters
    first = next(input_queue)
    if global_step % EVERY_STEPS or not has_rows(first):
        return first
    pool = [first] + [next(input_queue) for _ in range(POOL_BATCHES - 1)]
    return _selection()(workload, current_param_container, model_state, pool, rng)


def has_rows(batch: spec.Batch) -> bool:
    """Whether each array has one row per example; graphs, for example, lie one behind the other."""
    return len({len(leaf) for leaf in jax.tree.leaves(batch)}) == 1


@functools.cache
def _selection():
    sharded = jax_sharding_utils.get_batch_dim_sharding()
    return jax.jit(_select, static_argnames="workload", out_shardings=sharded)


def _select(workload, params, model_state, pool, rng):
    size = len(jax.tree.leaves(pool[0])[0])
    pool = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *pool)
    evaluate = spec.ForwardPassMode.EVAL
    logits, _ = workload.model_fn(params, pool, model_state, evaluate, rng, update_batch_norm=False)
    losses = workload.loss_fn(pool["targets"], logits, pool.get("weights"))["per_example"]
    losses = losses.reshape(len(losses), -1).sum(axis=1)
    ranks = 1 + jnp.argsort(jnp.argsort(losses))
    # The largest sums of log-odds and Gumbel noise are a draw without replacement.
    keys = EXPONENT * jnp.log(ranks) + jax.random.gumbel(rng, ranks.shape)
    chosen = jnp.argsort(-keys)[:size]
    return jax.tree.map(lambda leaf: leaf[chosen], pool)
