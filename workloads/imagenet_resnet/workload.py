"""Facts of the ImageNet ResNet-50 workload; sources are in this folder's README.md."""

from algoperf.workload import Family, Variant, WorkloadSpec
from workloads.imagenet import facts

MODEL = {
    "stage_sizes": (3, 4, 6, 3),  # Bottleneck blocks per stage.
    "num_filters": 64,  # Channels of the stem; inner channels double with every stage.
    "num_classes": 1000,
    "use_silu": False,  # SiLU or GELU (tanh form) instead of ReLU; not both.
    "use_gelu": False,
    "bn_init_scale": 0.0,  # Initial scale of the last batch normalisation of each residual branch.
}

FAMILY = Family(
    base=WorkloadSpec(
        name="imagenet_resnet",
        family="imagenet_resnet",
        # AlgoPerf states these targets as error rates.
        validation_target_value=1 - 0.22569,
        test_target_value=1 - 0.3440,
        num_eval_train_examples=50_176,
        eval_batch_size=1_024,
        max_allowed_runtime_sec=66_159,
        eval_period_time_sec=510,
        step_hint=195_999,
        has_dropout=False,
        output_params={"jax": ("Dense_0",), "pytorch": ("fc.weight", "fc.bias")},
        model=MODEL,
        data=facts.DATA,
        **facts.COMMON,
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
            **facts.MINI_COUNTS,
            "validation_target_value": 0.948,
            "test_target_value": 0.702,
            "max_allowed_runtime_sec": 70,
            "eval_period_time_sec": 5,
            "step_hint": 400,
            "default_batch_size": 128,
        },
    ),
)
