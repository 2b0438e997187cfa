"""Constants of both models and the check of their settings."""

from collections.abc import Collection

from algoperf.spec import UsageError, no_such
from algoperf.workload import WorkloadSpec

# Codes that OGB gives for an atom and for a bond: https://github.com/snap-stanford/ogb,
# ogb/utils/features.py.
NUM_NODE_FEATURES = 9
NUM_EDGE_FEATURES = 3
# Flax's default, which AlgoPerf's JAX model uses; PyTorch's default is 1e-5.
LAYER_NORM_EPSILON = 1e-6


def check_model(spec: WorkloadSpec, activations: Collection[str]) -> None:
    """Raises UsageError for a model that cannot be built.

    Args:
      spec: the workload; its `model` settings are checked.
      activations: allowed values of `activation_fn_name`.
    """
    model = spec.model
    if model.activation_fn_name not in activations:
        raise no_such(f"activation of {spec.name}", model.activation_fn_name, activations)
    if not model.hidden_dims or model.num_message_passing_steps < 1:
        raise UsageError(
            f"{spec.name}: the graph network needs at least one hidden layer and one step of message passing, got "
            f"hidden_dims={model.hidden_dims} and num_message_passing_steps={model.num_message_passing_steps}."
        )
