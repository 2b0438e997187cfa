"""Facts of the ImageNet ResNet-50 workload; sources are in this folder's README.md."""

from algoperf.spec import LossType
from algoperf.workload import Family, Variant, WorkloadSpec

MODEL = {
    "stage_sizes": (3, 4, 6, 3),  # Bottleneck blocks per stage.
    "num_filters": 64,  # Channels of the stem; inner channels double with every stage.
    "num_classes": 1000,
    "use_silu": False,  # SiLU or GELU (its tanh form) in place of ReLU; not both.
    "use_gelu": False,
    "bn_init_scale": 0.0,  # Initial scale of the last batch normalisation of each residual branch.
}

DATA = {
    "crop_size": 224,
    "eval_crop_fraction": 0.875,  # Side of the centre crop over the shorter side of the image.
    "area_range": (0.08, 1.0),  # Share of the image that a training crop covers.
    "aspect_range": (3 / 4, 4 / 3),  # Width over height of a training crop.
    "randaugment": False,
    "mixup_alpha": 0.0,
    "num_classes": 1000,
    "image_size": 0,  # Side of synthesized JPEGs; only mini twins have them.
    "num_workers": 0,  # Threads that decode; 0 is one per core, at most 16.
}

FAMILY = Family(
    base=WorkloadSpec(
        name="imagenet_resnet",
        family="imagenet_resnet",
        dataset="imagenet",
        target_metric_name="accuracy",
        higher_is_better=True,
        validation_target_value=1 - 0.22569,
        test_target_value=1 - 0.3440,
        loss_type=LossType.SOFTMAX_CROSS_ENTROPY,
        num_train_examples=1_281_167,
        num_eval_train_examples=50_176,
        num_validation_examples=50_000,
        num_test_examples=10_000,
        eval_batch_size=1_024,
        max_allowed_runtime_sec=66_159,
        eval_period_time_sec=510,
        step_hint=195_999,
        default_batch_size=1_024,
        has_dropout=False,
        output_params={"jax": ("Dense_0",), "pytorch": ("fc.weight", "fc.bias")},
        train_mean=(123.675, 116.28, 103.53),
        train_stddev=(58.395, 57.12, 57.375),
        model=MODEL,
        data=DATA,
    ),
    variants={
        "silu": Variant(
            model={"use_silu": True},
            facts={
                "validation_target_value": 0.75445,
                "test_target_value": 0.6323,
                "default_batch_size": 512,
            },
            mini_facts={"validation_target_value": 0.954, "test_target_value": 0.708},
        ),
        "gelu": Variant(
            model={"use_gelu": True},
            facts={
                "validation_target_value": 0.76765,
                "test_target_value": 0.6519,
                "default_batch_size": 512,
            },
        ),
        "large_bn_init": Variant(
            model={"bn_init_scale": 8.0},
            facts={"validation_target_value": 0.76526, "test_target_value": 0.6423},
        ),
    },
    # Targets, budget and step hint: docs/mini_calibration.md.
    mini=Variant(
        model={"stage_sizes": (1, 1, 1), "num_filters": 24, "num_classes": 16},
        data={"crop_size": 24, "area_range": (0.35, 1.0), "num_classes": 16, "image_size": 64},
        facts={
            "num_train_examples": 8_000,
            "num_eval_train_examples": 500,
            "num_validation_examples": 500,
            "num_test_examples": 500,
            "eval_batch_size": 250,
            "validation_target_value": 0.948,
            "test_target_value": 0.702,
            "max_allowed_runtime_sec": 70,
            "eval_period_time_sec": 5,
            "step_hint": 400,
            "default_batch_size": 128,
        },
    ),
)
