"""A closure for the optimizer's step; decides by its evaluations; plain and half-precision values in its state."""

import torch

from algorithmic_efficiency import spec


class Averaged(torch.optim.SGD):
    """Evaluates the closure itself."""

    def step(self, closure):
        with torch.enable_grad():
            loss = closure()
        super().step()
        return loss


def get_batch_size(workload_name):
    return 64


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    average = [p.detach().to(torch.bfloat16) for p in model_params.parameters()]
    optimizer = Averaged(model_params.parameters(), lr=0.1)
    return {"optimizer": optimizer, "average": average, "count": 0, "reset": False}


def data_selection(workload, input_queue, optimizer_state, params, model_state, hyperparameters, step, rng):
    return next(input_queue)


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
):
    model = current_param_container
    if eval_results:
        metric = eval_results[-1][1][f"validation/{workload.target_metric_name}"]
        optimizer_state["reset"] = workload.target_metric_name == "accuracy" and metric < 0.01

    def closure():
        model.zero_grad()
        logits, _ = workload.model_fn(
            params=model,
            augmented_and_preprocessed_input_batch=batch,
            model_state=model_state,
            mode=spec.ForwardPassMode.TRAIN,
            rng=rng,
            update_batch_norm=False,
        )
        found = workload.loss_fn(
            label_batch=batch["targets"],
            logits_batch=logits,
            mask_batch=batch.get("weights"),
            label_smoothing=getattr(hyperparameters, "label_smoothing", 0.0),
        )
        loss = found["summed"] / found["n_valid_examples"]
        loss.backward()
        return loss

    optimizer_state["optimizer"].step(closure)
    optimizer_state["count"] += 1
    return optimizer_state, model, None
