"""The ImageNet pipeline, with RandAugment and mixup (`spec.data`); see `workloads/imagenet`."""

from workloads.imagenet.data import eval_batches, is_ready, prepare, synthesize, train_stream, verify

__all__ = ["eval_batches", "is_ready", "prepare", "synthesize", "train_stream", "verify"]
