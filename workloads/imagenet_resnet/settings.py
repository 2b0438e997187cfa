"""Interprets the model configuration, for both frameworks."""

from typing import Any

from algoperf.spec import UsageError


def activation_name(config: Any) -> str:
    """'relu', 'silu' or 'gelu' from the switches `use_silu` and `use_gelu`.

    Raises:
      UsageError: if both are on.
    """
    if config.use_silu and config.use_gelu:
        raise UsageError(
            "imagenet_resnet: model settings use_silu and use_gelu are both True; switch on one of them at most."
        )
    return "silu" if config.use_silu else "gelu" if config.use_gelu else "relu"


def model_arguments(config: Any) -> dict[str, Any]:
    """Arguments of the constructor of `ResNet`, which are the same in both frameworks."""
    return {
        "stage_sizes": config.stage_sizes,
        "num_filters": config.num_filters,
        "num_classes": config.num_classes,
        "activation": activation_name(config),
        "bn_init_scale": config.bn_init_scale,
    }
