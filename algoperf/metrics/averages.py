"""The default metrics of a split: averages of per-example outputs over real examples."""

import math
from pathlib import Path
from typing import TypedDict

import numpy as np

from algoperf.workload import WorkloadSpec

Outputs = dict[str, np.ndarray]


class DefaultOutputs(TypedDict, total=False):
    """The outputs of an evaluation step without `eval_outputs`; each is averaged over the examples with weight 1."""

    loss: np.ndarray
    """(batch,): the loss of each example, without label smoothing; its average is the metric `loss`."""
    correct: np.ndarray
    """(batch,): whether the largest logit is that of the target. Present only if the target metric is `accuracy` or
    `error_rate`, which is computed from it."""


def wants_correct(spec: WorkloadSpec) -> bool:
    """Whether the default outputs of a workload have `correct`."""
    return spec.target_metric_name in ("accuracy", "error_rate")


class AverageMetrics:
    """`loss`, and `accuracy` or `error_rate` from `correct`, in float64 over examples with weight 1.

    Args:
      accuracy_name: the metric made from `correct`: 'accuracy' or 'error_rate'.

    >>> metrics = AverageMetrics("error_rate")
    >>> metrics.update({"weights": np.array([1, 1, 0])}, {"loss": np.array([1.0, 3.0, 9.0]),
    ...     "correct": np.array([True, False, True])})
    >>> metrics.result()
    {'loss': 2.0, 'error_rate': 0.5}
    """

    def __init__(self, accuracy_name: str = "accuracy"):
        self._accuracy_name = accuracy_name
        self._sums: dict[str, float] = {}
        self._count = 0.0

    def update(self, batch: Outputs, outputs: Outputs) -> None:
        """Adds one batch; every output has the batch axis and nothing else."""
        some = next(iter(outputs.values()))
        weights = batch.get("weights")
        weights = (
            np.ones(len(some)) if weights is None else np.asarray(weights, np.float64).reshape(len(some))
        )
        self._count += float(weights.sum())
        for name, values in outputs.items():
            # `where`, because a padded row may hold NaN, and NaN * 0 is NaN.
            total = np.where(weights > 0, values.astype(np.float64) * weights, 0.0).sum()
            self._sums[name] = self._sums.get(name, 0.0) + float(total)

    def result(self) -> dict[str, float]:
        """Metric name -> average."""
        sums = dict(self._sums)
        if "correct" in sums:
            correct = sums.pop("correct")
            # Counts are subtracted, not shares: 1 - 244/250 is not 6/250.
            sums[self._accuracy_name] = (
                self._count - correct if self._accuracy_name == "error_rate" else correct
            )
        return {name: total / self._count if self._count else math.nan for name, total in sums.items()}


def make_metrics(spec: WorkloadSpec, folder: Path) -> AverageMetrics:
    """See workloads/README.md."""
    del folder
    return AverageMetrics("error_rate" if spec.target_metric_name == "error_rate" else "accuracy")
