"""Loss-based sampling with NadamW in PyTorch: an example of `data_selection`; see README.md."""

from collections.abc import Iterator

import numpy as np
import torch
import torch.distributed as dist

from algoperf import spec
from algoperf.data.batch import arrays, map_arrays
from reference_algorithms.biased_sampling.settings import EVERY_STEPS, EXPONENT, POOL_BATCHES
from reference_algorithms.nadamw.submission_torch import init_optimizer_state
from reference_algorithms.shared.batch_sizes import get_batch_size
from reference_algorithms.shared.training_torch import update_params

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
    """A batch of examples drawn from a pool, those with a large loss more often; else the next batch.

    In a distributed run each process chooses among its own examples.
    """
    del optimizer_state, hyperparameters
    first = next(input_queue)
    if global_step % EVERY_STEPS or not has_rows(first):
        return first
    others = [next(input_queue) for _ in range(POOL_BATCHES - 1)]
    pool = concatenated([first, *others])
    with torch.no_grad():
        evaluate = spec.ForwardPassMode.EVAL
        model = current_param_container
        logits, _ = workload.model_fn(model, pool, model_state, evaluate, rng, update_batch_norm=False)
        losses = workload.loss_fn(pool["targets"], logits, pool.get("weights"))["per_example"]
        losses = losses.flatten(1).sum(1) if losses.ndim > 1 else losses
        ranks = 1 + losses.argsort().argsort()
        # The largest sums of log-odds and Gumbel noise are a draw without replacement.
        noise = -torch.empty_like(losses).exponential_(generator=generator_of(rng, losses.device)).log()
        size = len(next(arrays(first)))
        chosen = (EXPONENT * ranks.log() + noise).topk(size).indices
    return map_arrays(lambda array: array[chosen], pool)


def generator_of(rng: spec.RandomState, device: torch.device) -> torch.Generator | None:
    """Of this step and process where there are several, whose default generators are the same; else the default one."""
    if not (dist.is_available() and dist.is_initialized()):
        return None
    seed = np.random.SeedSequence([*map(int, rng), dist.get_rank()]).generate_state(1)[0]
    return torch.Generator(device).manual_seed(int(seed))


def has_rows(batch: spec.Batch) -> bool:
    """Whether each array has one row per example; graphs, for example, lie one behind the other."""
    return len({len(array) for array in arrays(batch)}) == 1


def concatenated(batches: list[spec.Batch]) -> spec.Batch:
    """One batch with the rows of all."""
    columns = iter([torch.cat(column) for column in zip(*map(arrays, batches), strict=True)])
    return map_arrays(lambda array: next(columns), batches[0])
