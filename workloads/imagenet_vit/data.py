"""The ImageNet pipeline, with RandAugment and mixup (`spec.data`); see `workloads/imagenet`."""

from workloads.imagenet.data import (
    RESEEDS,
    eval_batches,
    is_ready,
    prepare,
    synthesize,
    train_stream,
    training_files,
    verify,
)

__all__ = [
    "RESEEDS",
    "eval_batches",
    "is_ready",
    "prepare",
    "synthesize",
    "train_stream",
    "training_files",
    "verify",
]
