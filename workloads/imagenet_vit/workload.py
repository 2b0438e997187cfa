"""Facts of the ImageNet ViT-S/16 workload; sources are in this folder's README.md."""

from algoperf.workload import Family, Variant, WorkloadSpec
from workloads.imagenet import facts

MODEL = {
    "width": 384,
    "depth": 12,  # Blocks of the encoder.
    "mlp_dim": 1536,
    "num_heads": 6,
    "patch_size": 16,
    "num_classes": 1000,
    "use_glu": False,  # Whether the MLP of every block has a gate.
    "use_post_layer_norm": False,  # LayerNorm after each residual sum instead of before each sublayer.
    "use_map": False,  # Attention pooling instead of the mean over tokens.
}

FAMILY = Family(
    base=WorkloadSpec(
        name="imagenet_vit",
        family="imagenet_vit",
        # AlgoPerf states these targets as error rates.
        validation_target_value=1 - 0.22691,
        test_target_value=1 - 0.3481,
        num_eval_train_examples=51_200,
        eval_batch_size=2_048,
        max_allowed_runtime_sec=69_768,
        eval_period_time_sec=420,
        step_hint=167_999,
        output_params={"jax": ("head",), "pytorch": ("head.weight", "head.bias")},
        model=MODEL,
        data={**facts.DATA, "randaugment": True, "mixup_alpha": 0.2},
        **facts.COMMON,
    ),
    variants={
        "glu": Variant(
            model={"use_glu": True},
            facts={"validation_target_value": 0.75738, "test_target_value": 0.6359},
            mini_facts={"validation_target_value": 0.556, "test_target_value": 0.414},
        ),
        "post_ln": Variant(
            model={"use_post_layer_norm": True},
            facts={"validation_target_value": 0.75312, "test_target_value": 0.6286},
            mini_facts={"validation_target_value": 0.46, "test_target_value": 0.35},
        ),
        "map": Variant(
            model={"use_map": True},
            facts={"validation_target_value": 0.77113, "test_target_value": 0.6523},
        ),
    },
    # Targets, budget and step hint: docs/mini_calibration.md.
    mini=Variant(
        model={"width": 64, "depth": 3, "mlp_dim": 128, "num_heads": 4, "patch_size": 8, "num_classes": 16},
        data={"crop_size": 32, "area_range": (0.65, 1.0), "num_classes": 16, "image_size": 64},
        facts={
            **facts.MINI_COUNTS,
            "validation_target_value": 0.51,
            "test_target_value": 0.388,
            "max_allowed_runtime_sec": 90,
            "eval_period_time_sec": 5,
            "step_hint": 1_600,
            "default_batch_size": 64,
        },
    ),
)
