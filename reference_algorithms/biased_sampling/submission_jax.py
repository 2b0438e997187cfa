"""Loss-based sampling with NadamW in JAX: an example of `data_selection`; see README.md."""

import functools

import jax
import jax.numpy as jnp

from algoperf import jax_sharding_utils, spec
from reference_algorithms.biased_sampling.selection import EXPONENT, Choose, selecting
from reference_algorithms.nadamw import submission_jax as nadamw
from reference_algorithms.shared import batch_sizes


def choose(
    workload: spec.Workload,
    params: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    batches: list[spec.Batch],
    rng: spec.RandomState,
) -> spec.Batch:
    """One batch of examples from all batches; examples with a large loss are more likely."""
    size = len(jax.tree.leaves(batches[0])[0])
    pool = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *batches)
    evaluate = spec.ForwardPassMode.EVAL
    logits, _ = workload.model_fn(params, pool, model_state, evaluate, rng, update_batch_norm=False)
    losses = workload.loss_fn(pool["targets"], logits, pool.get("weights"))["per_example"]
    losses = losses.reshape(len(losses), -1).sum(axis=1)
    # Ranks instead of losses: their odds do not depend on the scale of the loss. The argsort of an argsort is
    # the rank.
    ranks = 1 + jnp.argsort(jnp.argsort(losses))
    # Gumbel top-k trick (Kool et al. 2019): the largest sums of log-odds and Gumbel noise are a draw without
    # replacement.
    keys = EXPONENT * jnp.log(ranks) + jax.random.gumbel(rng, ranks.shape)
    chosen = jnp.argsort(-keys)[:size]
    return jax.tree.map(lambda leaf: leaf[chosen], pool)


@functools.cache
def _compiled_choice() -> Choose:
    """The jitted `choose`; made at the first call, when the devices are known."""
    sharded = jax_sharding_utils.get_batch_dim_sharding()
    return jax.jit(choose, static_argnums=0, out_shardings=sharded)


get_batch_size = batch_sizes.get_batch_size
init_optimizer_state = nadamw.init_optimizer_state
data_selection = selecting(lambda *arguments: _compiled_choice()(*arguments))
update_params = nadamw.update_params
