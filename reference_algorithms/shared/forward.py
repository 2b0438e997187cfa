"""The forward pass of a training step and its loss, the same in both frameworks."""

from algoperf import spec
from reference_algorithms.shared.step_options import StepOptions


def train_logits(
    workload: spec.Workload,
    options: StepOptions,
    params: spec.ParameterContainer,
    batch: spec.Batch,
    model_state: spec.ModelAuxiliaryState,
    rng: spec.RandomState,
    update_batch_norm: bool = True,
) -> tuple[spec.Tensor, spec.ModelAuxiliaryState]:
    """(logits, new model state) of a training pass; `update_batch_norm` decides whether running statistics move."""
    # If the search space has no dropout rate the argument is left out, so that the workload's default applies.
    dropout = {} if options.dropout_rate is None else {"dropout_rate": options.dropout_rate}
    train = spec.ForwardPassMode.TRAIN
    return workload.model_fn(
        params, batch, model_state, mode=train, rng=rng, update_batch_norm=update_batch_norm, **dropout
    )


def train_loss(
    workload: spec.Workload, options: StepOptions, batch: spec.Batch, logits: spec.Tensor
) -> dict[str, spec.Tensor]:
    """The workload's loss, with the trial's label smoothing: `summed`, `n_valid_examples` and `per_example`."""
    return workload.loss_fn(
        label_batch=batch["targets"],
        logits_batch=logits,
        mask_batch=batch.get("weights"),
        label_smoothing=options.label_smoothing,
    )
