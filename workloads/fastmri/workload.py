"""Facts of the fastMRI knee reconstruction workload; sources are in this folder's README.md."""

from algoperf.spec import LossType
from algoperf.workload import Family, Variant, WorkloadSpec

MODEL = {
    "num_pool_layers": 4,
    "num_channels": 32,  # Channels after the first block; doubled at each pooling.
    "use_tanh": False,  # Instead of leaky ReLU.
    "use_layer_norm": False,  # Instead of instance norm, in `ConvBlock`.
    "channel_divisor": 1,  # Divides `num_channels` in mini versions, so that model_size keeps its ratio.
}

DATA = {
    "image_size": 320,  # N: k-space has 2 N rows, images are cropped to N x N.
    "acceleration": 4.0,  # A mask keeps one in four k-space columns.
    "center_fraction": 0.08,  # Share of columns in the centre, which are always kept.
    "validation_volumes": 100,  # The first of the sorted 'val' volumes; the others are the test split.
    "slices_per_volume": 0,  # Slices of a synthesized volume.
    "cache_gigabytes": 40.0,  # Disk for reconstructed training images during a run (all take 14.2); 0 keeps none.
}

# From docs/mini_calibration.md; model_size shares them.
MINI_TARGETS = {"validation_target_value": 0.82, "test_target_value": 0.826}

FAMILY = Family(
    base=WorkloadSpec(
        name="fastmri",
        family="fastmri",
        target_metric_name="ssim",
        higher_is_better=True,
        validation_target_value=0.723653,
        test_target_value=0.740633,
        loss_type=LossType.MEAN_ABSOLUTE_ERROR,
        num_train_examples=34_742,
        num_eval_train_examples=3_584,
        num_validation_examples=3_554,
        num_test_examples=3_581,
        eval_batch_size=256,
        max_allowed_runtime_sec=4_430,
        eval_period_time_sec=80,
        step_hint=18_094,
        default_batch_size=32,
        default_dropout_rate=0.0,
        output_params={"jax": ("Conv_0",), "pytorch": ("up_conv.3.1.weight", "up_conv.3.1.bias")},
        model=MODEL,
        data=DATA,
    ),
    variants={
        "model_size": Variant(
            model={"num_pool_layers": 3, "num_channels": 64},
            facts={
                "validation_target_value": 0.723559,
                "test_target_value": 0.740726,
                "output_params": {"jax": ("Conv_0",), "pytorch": ("up_conv.2.1.weight", "up_conv.2.1.bias")},
            },
            mini_facts=MINI_TARGETS,
        ),
        "tanh": Variant(
            model={"use_tanh": True},
            facts={"validation_target_value": 0.717840, "test_target_value": 0.734505},
            mini_facts={"validation_target_value": 0.73, "test_target_value": 0.73},  # Provisional.
        ),
        "layernorm": Variant(
            model={"use_layer_norm": True},
            facts={"validation_target_value": 0.723284, "test_target_value": 0.739996},
            mini_facts={"validation_target_value": 0.771, "test_target_value": 0.777},
        ),
    },  # Targets, budget and step hint: docs/mini_calibration.md.
    mini=Variant(
        model={"num_pool_layers": 3, "channel_divisor": 4},
        data={"image_size": 64, "slices_per_volume": 8, "cache_gigabytes": 1.0},
        facts={
            "num_train_examples": 1_200,
            "num_eval_train_examples": 64,
            "num_validation_examples": 128,
            "num_test_examples": 128,
            "eval_batch_size": 64,
            **MINI_TARGETS,
            "max_allowed_runtime_sec": 130,
            "eval_period_time_sec": 5,
            "step_hint": 800,
            "default_batch_size": 8,
            "output_params": {"jax": ("Conv_0",), "pytorch": ("up_conv.2.1.weight", "up_conv.2.1.bias")},
        },
    ),
)
