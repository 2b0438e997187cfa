"""Loss-based sampling with NadamW in PyTorch: an example of `data_selection`; see README.md."""

import numpy as np
import torch
import torch.distributed as dist

from algoperf import spec
from algoperf.data.batch import arrays, map_arrays
from reference_algorithms.biased_sampling.selection import EXPONENT, selecting
from reference_algorithms.nadamw import submission_torch as nadamw
from reference_algorithms.shared import batch_sizes


@torch.no_grad()
def choose(
    workload: spec.Workload,
    model: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    batches: list[spec.Batch],
    rng: spec.RandomState,
) -> spec.Batch:
    """One batch of examples from all batches; examples with a large loss are more likely.

    In a distributed run each process chooses among its own examples.
    """
    size = len(next(arrays(batches[0])))
    pool = concatenated(batches)
    evaluate = spec.ForwardPassMode.EVAL
    logits, _ = workload.model_fn(model, pool, model_state, evaluate, rng, update_batch_norm=False)
    losses = workload.loss_fn(pool["targets"], logits, pool.get("weights"))["per_example"]
    losses = losses.flatten(1).sum(1) if losses.ndim > 1 else losses
    # Ranks instead of losses: their odds do not depend on the scale of the loss. The argsort of an argsort is
    # the rank.
    ranks = 1 + losses.argsort().argsort()
    # Gumbel top-k trick (Kool et al. 2019): the largest sums of log-odds and Gumbel noise are a draw without
    # replacement.
    noise = -torch.empty_like(losses).exponential_(generator=generator_of(rng, losses.device)).log()
    chosen = (EXPONENT * ranks.log() + noise).topk(size).indices
    return map_arrays(lambda array: array[chosen], pool)


def generator_of(rng: spec.RandomState, device: torch.device) -> torch.Generator | None:
    """A generator for this step and process; None, the default one, in a run of one process."""
    if not (dist.is_available() and dist.is_initialized()):
        return None
    # Default generators are equal on all processes, which would then choose the same positions.
    seed = np.random.SeedSequence([*map(int, rng), dist.get_rank()]).generate_state(1)[0]
    return torch.Generator(device).manual_seed(int(seed))


def concatenated(batches: list[spec.Batch]) -> spec.Batch:
    """One batch with the rows of all batches."""
    columns = iter([torch.cat(column) for column in zip(*map(arrays, batches), strict=True)])
    return map_arrays(lambda array: next(columns), batches[0])


get_batch_size = batch_sizes.get_batch_size
init_optimizer_state = nadamw.init_optimizer_state
data_selection = selecting(choose)
update_params = nadamw.update_params
