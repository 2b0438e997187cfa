"""Written as the public entries of 2026 are, in PyTorch: names its workloads one by one, momentum for matrices."""

import torch
import torch.distributed.nn as dist_nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR

from algoperf import spec
from algoperf.pytorch_utils import pytorch_setup

USE_PYTORCH_DDP, RANK, DEVICE, N_GPUS = pytorch_setup()


def get_batch_size(workload_name):
    if workload_name == "criteo1tb":  # noqa: SIM116 - as public ones are written
        return 262_144
    elif workload_name == "wmt":
        return 128
    elif workload_name == "finewebedu_lm":
        return 64
    elif workload_name == "mnist":
        return 16
    raise ValueError(f"Unsupported workload name: {workload_name}.")


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    del model_state, hyperparameters, rng
    types = workload.model_params_types
    rest_types = (spec.ParameterType.EMBEDDING, spec.ParameterType.BIAS)
    matrices, rest = [], []
    for name, param in model_params.named_parameters():
        kind = types[name.removeprefix("module.")]
        is_matrix = kind not in rest_types and param.ndim == 2 and not workload.is_output_params(name)
        (matrices if is_matrix else rest).append(param)
    optimizers = [
        torch.optim.SGD(matrices, lr=0.02, momentum=0.9, nesterov=True),
        torch.optim.AdamW(rest, lr=1e-3, fused=False),
    ]
    warmup = int(0.02 * workload.step_hint) + 1
    decay = max(int(0.75 * workload.step_hint) - warmup, 1)
    schedulers = [
        SequentialLR(
            one,
            schedulers=[
                LinearLR(one, start_factor=1e-10, end_factor=1.0, total_iters=warmup),
                CosineAnnealingLR(one, T_max=decay),
            ],
            milestones=[warmup],
        )
        for one in optimizers
    ]
    return {"optimizers": optimizers, "schedulers": schedulers}


def update_params(
    workload,
    current_param_container,
    current_params_types,
    model_state,
    hyperparameters,
    batch,
    loss_type,
    optimizer_state,
    eval_results,
    global_step,
    rng,
    train_state=None,
):
    del current_params_types, hyperparameters, loss_type, train_state
    if eval_results and workload.num_test_examples is not None:
        assert f"test/{workload.target_metric_name}" in eval_results[-1][1]
    model = current_param_container
    model.train()
    for optimizer in optimizer_state["optimizers"]:
        optimizer.zero_grad()
    logits, new_model_state = workload.model_fn(
        params=model,
        augmented_and_preprocessed_input_batch=batch,
        model_state=model_state,
        mode=spec.ForwardPassMode.TRAIN,
        rng=rng,
        update_batch_norm=True,
        dropout_rate=0.0,
    )
    found = workload.loss_fn(
        label_batch=batch["targets"],
        logits_batch=logits,
        mask_batch=batch.get("weights"),
        label_smoothing=0.0,
    )
    summed, count = found["summed"], found["n_valid_examples"]
    if USE_PYTORCH_DDP:
        summed, count = dist_nn.all_reduce(summed), dist_nn.all_reduce(count)
    loss = summed / count
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
    for one in (*optimizer_state["optimizers"], *optimizer_state["schedulers"]):
        one.step()
    if global_step % 100 == 0 and workload.metrics_logger is not None:
        workload.metrics_logger.append_scalar_metrics(
            {"loss": loss.item(), "grad_norm": norm.item()}, global_step
        )
    return optimizer_state, current_param_container, new_model_state


def prepare_for_eval(
    workload,
    current_param_container,
    current_params_types,
    model_state,
    hyperparameters,
    loss_type,
    optimizer_state,
    eval_results,
    global_step,
    rng,
):
    return optimizer_state, current_param_container, model_state


def data_selection(
    workload,
    input_queue,
    optimizer_state,
    current_param_container,
    model_state,
    hyperparameters,
    global_step,
    rng,
):
    return next(input_queue)
