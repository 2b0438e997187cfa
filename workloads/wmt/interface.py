"""How the Transformer meets the harness, alike in both frameworks."""

from typing import Any

CALL_KEYS = (
    "inputs",
    "targets",
    "inputs_position",
    "targets_position",
    "inputs_segmentation",
    "targets_segmentation",
)


def call_args(batch: dict[str, Any], train: bool) -> dict[str, Any]:
    """Arguments of the model by name."""
    del train  # Packing shows in the keys that a batch has.
    return {key: batch[key] for key in CALL_KEYS if key in batch}
