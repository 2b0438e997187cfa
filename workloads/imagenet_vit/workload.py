"""Facts of the ImageNet ViT-S/16 workload; sources are in this folder's README.md."""

from algoperf.spec import LossType
from algoperf.workload import Family, Variant, WorkloadSpec

MODEL = {
    "width": 384,
    "depth": 12,  # Blocks of the encoder.
    "mlp_dim": 1536,
    "num_heads": 6,
    "patch_size": 16,
    "num_classes": 1000,
    "use_glu": False,  # A gate in the MLP of every block.
    "use_post_layer_norm": False,  # LayerNorm after each residual sum instead of before each sublayer.
    "use_map": False,  # Attention pooling instead of the mean over tokens.
}

DATA = {
    "crop_size": 224,
    "eval_crop_fraction": 0.875,  # Side of the centre crop over the shorter side of the image.
    "area_range": (0.08, 1.0),  # Share of the image that a training crop covers.
    "aspect_range": (3 / 4, 4 / 3),  # Width over height of a training crop.
    "randaugment": True,
    "mixup_alpha": 0.2,
    "num_classes": 1000,
    "image_size": 0,  # Side of synthesized JPEGs; only mini twins have them.
    "num_workers": 0,  # Threads that decode; 0 is one per core, at most 16.
}

FAMILY = Family(
    base=WorkloadSpec(
        name="imagenet_vit",
        family="imagenet_vit",
        dataset="imagenet",
        target_metric_name="accuracy",
        higher_is_better=True,
        validation_target_value=1 - 0.22691,
        test_target_value=1 - 0.3481,
        loss_type=LossType.SOFTMAX_CROSS_ENTROPY,
        num_train_examples=1_281_167,
        num_eval_train_examples=51_200,
        num_validation_examples=50_000,
        num_test_examples=10_000,
        eval_batch_size=2_048,
        max_allowed_runtime_sec=69_768,
        eval_period_time_sec=420,
        step_hint=167_999,
        default_batch_size=1_024,
        output_params={"jax": ("head",), "pytorch": ("head.weight", "head.bias")},
        train_mean=(123.675, 116.28, 103.53),
        train_stddev=(58.395, 57.12, 57.375),
        model=MODEL,
        data=DATA,
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
            "num_train_examples": 8_000,
            "num_eval_train_examples": 500,
            "num_validation_examples": 500,
            "num_test_examples": 500,
            "eval_batch_size": 250,
            "validation_target_value": 0.51,
            "test_target_value": 0.388,
            "max_allowed_runtime_sec": 90,
            "eval_period_time_sec": 5,
            "step_hint": 1_600,
            "default_batch_size": 64,
        },
    ),
)
