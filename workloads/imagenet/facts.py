"""Facts that both ImageNet workloads share; sources are in their README.md."""

from typing import Any

from algoperf.spec import LossType

DATA: dict[str, Any] = {
    "crop_size": 224,
    "eval_crop_fraction": 0.875,  # Side of the centre crop over the shorter side of the image.
    "area_range": (0.08, 1.0),  # Area of a training crop over that of the image.
    "aspect_range": (3 / 4, 4 / 3),  # Width over height of a training crop.
    "randaugment": False,
    "mixup_alpha": 0.0,
    "num_classes": 1000,
    "image_size": 0,  # Side of synthesized JPEGs, in mini versions only.
    "num_workers": 0,  # Decoding threads; 0 for one per core, at most 16.
}

COMMON: dict[str, Any] = {
    "dataset": "imagenet",
    "target_metric_name": "accuracy",
    "higher_is_better": True,
    "loss_type": LossType.SOFTMAX_CROSS_ENTROPY,
    "num_train_examples": 1_281_167,
    "num_validation_examples": 50_000,
    "num_test_examples": 10_000,
    "default_batch_size": 1_024,
    # The usual ImageNet statistics (0.485, 0.456, 0.406) and (0.229, 0.224, 0.225), times 255.
    "train_mean": (123.675, 116.28, 103.53),
    "train_stddev": (58.395, 57.12, 57.375),
}

MINI_COUNTS: dict[str, Any] = {
    "num_train_examples": 8_000,
    "num_eval_train_examples": 500,
    "num_validation_examples": 500,
    "num_test_examples": 500,
    "eval_batch_size": 250,
}
