"""Siblings by three names for one file, two optimizers with schedulers, a set-up call at import."""

import torch.distributed.nn as dist_nn
from submissions.self_tuning.far_siblings.rules import Rule, mean_loss
from torch import optim
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR

from algoperf import spec
from algoperf.pytorch_utils import pytorch_setup

from .rules import Rule as SameRule

USE_PYTORCH_DDP = pytorch_setup()[0]
assert Rule is SameRule
assert dist_nn is not None


def get_batch_size(workload_name):
    return 64


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    matrices = [p for p in model_params.parameters() if p.ndim > 1]
    others = [p for p in model_params.parameters() if p.ndim <= 1]
    state = {"rule": Rule(0.9), "first": optim.SGD(matrices, lr=0.1), "second": optim.AdamW(others, lr=0.01)}
    for name in ("first", "second"):
        parts = [
            LinearLR(state[name], 0.1, total_iters=1),
            CosineAnnealingLR(state[name], workload.step_hint),
        ]
        state[f"{name}_schedule"] = SequentialLR(state[name], parts, milestones=[1])
    return state


def data_selection(workload, input_queue, optimizer_state, params, model_state, hyperparameters, step, rng):
    return next(input_queue)


def update_params(
    workload: spec.Workload,
    current_param_container: spec.ParameterContainer,
    current_params_types: spec.ParameterTypeTree,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    batch: dict[str, spec.Tensor],
    loss_type: spec.LossType,
    optimizer_state: spec.OptimizerState,
    eval_results: list[tuple[int, float]],
    global_step: int,
    rng: spec.RandomState,
) -> spec.UpdateReturn:
    model = current_param_container
    model.train()
    for name in ("first", "second"):
        optimizer_state[name].zero_grad()
    mean_loss(workload, model, batch, rng).backward()
    for name in ("first", "second"):
        optimizer_state[name].step()
        optimizer_state[f"{name}_schedule"].step()
    return optimizer_state, model, None
