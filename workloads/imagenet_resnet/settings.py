"""What the model configuration means, for both frameworks."""

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
