"""Facts of the Criteo 1TB click-through workload; sources are in this folder's README.md."""

from algoperf.spec import LossType
from algoperf.workload import Family, Variant, WorkloadSpec

# fmt: off
# Numbers of hash buckets in AlgoPerf (README.md).
BUCKET_COUNTS = (
    39_884_406, 39_043, 17_289, 7_420, 20_263, 3, 7_120, 1_543, 63, 38_532_951, 2_953_546, 403_346, 10,
    2_208, 11_938, 155, 4, 976, 14, 39_979_771, 25_641_295, 39_664_984, 585_935, 12_972, 108, 36,
)
# fmt: on

MODEL = {
    "vocab_size": 4_194_304,  # Rows of the one embedding table, shared by all categorical features.
    "num_dense_features": 13,
    "mlp_bottom_dims": (512, 256, 128),
    "mlp_top_dims": (1024, 1024, 512, 256, 1),
    "embed_dim": 128,
    "use_layer_norm": False,
    "use_resnet": False,  # Residual layers, and no dot products.
    "output_bias_stddev": 1.0,  # Standard deviation of the output bias at the start.
    "embedding_init_multiplier": None,  # Factor on the table's U[0, 1); None is vocab_size ** -0.5.
}

DATA = {
    "bucket_counts": BUCKET_COUNTS,  # Hash buckets of each categorical feature.
    "num_days": 24,  # The last day holds the test split, then the validation split; the others are training.
}


def mini_targets(loss: float) -> dict[str, float]:
    """Targets of a variant's mini version; provisional (README.md)."""
    return {"validation_target_value": loss, "test_target_value": loss}


FAMILY = Family(
    base=WorkloadSpec(
        name="criteo1tb",
        family="criteo1tb",
        target_metric_name="loss",
        higher_is_better=False,
        validation_target_value=0.123735,
        test_target_value=0.126041,
        loss_type=LossType.SIGMOID_CROSS_ENTROPY,
        num_train_examples=4_195_197_692,
        num_eval_train_examples=83_361_792,
        num_validation_examples=83_274_637,
        num_test_examples=95_000_000,
        eval_batch_size=131_072,
        max_allowed_runtime_sec=7_703,
        eval_period_time_sec=120,
        step_hint=10_666,
        default_batch_size=262_144,
        default_dropout_rate=0.0,
        output_params={"jax": ("Dense_7",), "pytorch": ("top_mlp.9.weight", "top_mlp.9.bias")},
        model=MODEL,
        data=DATA,
    ),
    variants={
        "layernorm": Variant(
            model={"use_layer_norm": True},
            facts={"validation_target_value": 0.123757, "test_target_value": 0.126152},
            mini_facts={"validation_target_value": 0.380, "test_target_value": 0.386},
        ),
        "resnet": Variant(
            model={
                "use_resnet": True,
                "mlp_bottom_dims": (256, 256, 256),
                "mlp_top_dims": (256, 256, 256, 256, 1),
            },
            facts={"validation_target_value": 0.12415, "test_target_value": 0.12648},
            mini_facts=mini_targets(0.52),
        ),
        "embed_init": Variant(
            model={"embedding_init_multiplier": 1.0},
            facts={"validation_target_value": 0.129657, "test_target_value": 0.131967},
            mini_facts=mini_targets(0.56),
        ),
        # For smoke tests on the real data. It has the targets of the base.
        "test": Variant(model={"vocab_size": 65_536}),
    },
    # Targets, budget and step hint: docs/mini_calibration.md.
    mini=Variant(
        model={
            "vocab_size": 32_768,
            "mlp_bottom_dims": (256, 128, 32),
            "mlp_top_dims": (512, 512, 256, 128, 1),
            "embed_dim": 32,
            "output_bias_stddev": 0.0,  # From a draw of 1, Adam needs 500 updates to correct it.
        },
        data={"num_days": 5},
        facts={
            "num_train_examples": 384_000,
            "num_eval_train_examples": 8_192,
            # 1,600 updates of 512 rows are two epochs of the 384,000 training rows.
            "num_validation_examples": 16_384,
            "num_test_examples": 16_384,
            "eval_batch_size": 4_096,
            "validation_target_value": 0.433,
            "test_target_value": 0.436,
            "max_allowed_runtime_sec": 90,
            "eval_period_time_sec": 5,
            "step_hint": 1_600,
            "default_batch_size": 512,
        },
    ),
)
