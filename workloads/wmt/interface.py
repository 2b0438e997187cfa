"""How the harness calls the Transformer; the same in both frameworks."""

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
    """Keyword arguments of the model for a batch."""
    del train  # Only packed batches have the keys for positions and segments.
    return {key: batch[key] for key in CALL_KEYS if key in batch}
