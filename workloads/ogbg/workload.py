"""Facts of the OGBG molecule workload; sources are in this folder's README.md."""

from typing import Any

from algoperf.spec import LossType
from algoperf.workload import Family, Variant, WorkloadSpec

MODEL = {
    "latent_dim": 256,
    "hidden_dims": (256,),  # Widths in each MLP; the last one is the width of edges, nodes and globals.
    "num_message_passing_steps": 5,
    "activation_fn_name": "relu",  # 'relu', 'gelu' or 'silu'.
    "num_outputs": 128,
}

DATA = {
    # Budgets of a batch per graph of the batch size: the averages of the data set.
    "max_nodes_per_graph": 26,
    "max_edges_per_graph": 56,  # Directed: two for each of 28.1 bonds on average.
}


def _targets(validation_map: float, test_map: float) -> dict[str, Any]:
    return {"validation_target_value": validation_map, "test_target_value": test_map}


FAMILY = Family(
    base=WorkloadSpec(
        name="ogbg",
        family="ogbg",
        target_metric_name="mean_average_precision",
        higher_is_better=True,
        **_targets(0.28098, 0.268729),
        loss_type=LossType.SIGMOID_CROSS_ENTROPY,
        num_train_examples=350_343,
        num_eval_train_examples=43_793,
        num_validation_examples=43_793,
        num_test_examples=43_793,
        eval_batch_size=32_768,
        max_allowed_runtime_sec=12_011,
        eval_period_time_sec=240,
        step_hint=52_000,
        default_batch_size=512,
        default_dropout_rate=0.1,
        # Dense_0 to Dense_14 are the hidden layers: 5 steps of 3 MLPs with one hidden layer each.
        output_params={"jax": ("Dense_15",), "pytorch": ("decoder.weight", "decoder.bias")},
        model=MODEL,
        data=DATA,
    ),
    variants={
        "gelu": Variant(
            model={"activation_fn_name": "gelu"},
            facts=_targets(0.27771, 0.262926),
            mini_facts=_targets(0.738, 0.739),
        ),
        "silu": Variant(
            model={"activation_fn_name": "silu"},
            facts=_targets(0.282178, 0.272144),
            mini_facts=_targets(0.42, 0.42),
        ),
        "model_size": Variant(
            model={"hidden_dims": (256, 256), "latent_dim": 128, "num_message_passing_steps": 3},
            facts={
                **_targets(0.269446, 0.253051),
                # 3 steps of 3 MLPs with two hidden layers each come before it; AlgoPerf names Dense_17, a
                # hidden layer.
                "output_params": {"jax": ("Dense_18",), "pytorch": ("decoder.weight", "decoder.bias")},
            },
            mini_model={"hidden_dims": (128, 128), "latent_dim": 64, "num_message_passing_steps": 2},
            mini_facts={
                **_targets(0.68, 0.66),
                "output_params": {"jax": ("Dense_12",), "pytorch": ("decoder.weight", "decoder.bias")},
            },
        ),
    },
    # Targets, budget and step hint: docs/mini_calibration.md.
    mini=Variant(
        model={"latent_dim": 128, "hidden_dims": (128,), "num_message_passing_steps": 3, "num_outputs": 24},
        data={"max_nodes_per_graph": 17, "max_edges_per_graph": 36},
        facts={
            "num_train_examples": 20_000,
            "num_eval_train_examples": 1_024,
            "num_validation_examples": 2_048,
            "num_test_examples": 2_048,
            "eval_batch_size": 512,
            **_targets(0.696, 0.699),
            "max_allowed_runtime_sec": 80,
            "eval_period_time_sec": 5,
            "step_hint": 1_200,
            "default_batch_size": 64,
            "output_params": {"jax": ("Dense_9",), "pytorch": ("decoder.weight", "decoder.bias")},
        },
    ),
)
