"""Word error rate and CTC loss; see `workloads/librispeech`."""

from workloads.librispeech.metrics import make_metrics

__all__ = ["make_metrics"]
