"""Mean average precision over tasks, and loss and accuracy per valid label."""

import math
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score

from algoperf.workload import WorkloadSpec

Arrays = dict[str, np.ndarray]


def make_metrics(spec: WorkloadSpec, folder: Path) -> "GraphMetrics":
    """A fresh `GraphMetrics` for one pass over a split."""
    del spec, folder
    return GraphMetrics()


class GraphMetrics:
    """Collects all labelled graphs; the result depends neither on batch size, number of devices nor padding.

    Outputs per batch: `logits` and `loss`, (graphs, tasks). `targets` and `weights` of the batch have that shape, too.
    A graph without any valid label counts as padding.
    """

    def __init__(self):
        self._targets: list[np.ndarray] = []
        self._weights: list[np.ndarray] = []
        self._logits: list[np.ndarray] = []
        self._loss = 0.0

    def update(self, batch: Arrays, outputs: Arrays) -> None:
        """Adds one batch."""
        valid = np.asarray(batch["weights"]) > 0
        is_real = valid.any(axis=1)
        # `where` instead of a product: the loss of a missing label may be NaN, and NaN * 0 is NaN.
        self._loss += float(np.where(valid, np.asarray(outputs["loss"], np.float64), 0.0).sum())
        self._weights.append(valid[is_real])
        self._targets.append(np.asarray(batch["targets"])[is_real] > 0)
        self._logits.append(np.asarray(outputs["logits"], np.float32)[is_real])

    def result(self) -> dict[str, float]:
        """`mean_average_precision`, `accuracy` and `loss`; NaN where nothing is valid."""
        num_labels = sum(int(valid.sum()) for valid in self._weights)
        if not num_labels:
            return {"mean_average_precision": math.nan, "accuracy": math.nan, "loss": math.nan}
        targets, valid, logits = map(np.concatenate, (self._targets, self._weights, self._logits))
        return {
            "mean_average_precision": mean_average_precision(targets, logits, valid),
            "accuracy": float((((logits > 0) == targets) & valid).sum() / num_labels),
            "loss": self._loss / num_labels,
        }


def mean_average_precision(targets: np.ndarray, logits: np.ndarray, valid: np.ndarray) -> float:
    """The mean over tasks of scikit-learn's average precision on valid labels, in [0, 1].

    As in AlgoPerf, a task counts if its column of `targets` has a 0 and a 1, where a missing label is a 0; tasks
    without a positive label have no average precision. Graphs are ranked by logits: sigmoid, which AlgoPerf ranks by,
    keeps their order but rounds large ones to the same number.

    Args:
      targets: (graphs, tasks) bool.
      logits: (graphs, tasks).
      valid: (graphs, tasks) bool; False where a label is missing.

    Returns:
      NaN if no task counts or a valid logit is NaN.

    >>> targets = np.array([[1, 1], [0, 0], [1, 0]], bool)
    >>> logits = np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    >>> round(mean_average_precision(targets, logits, np.ones((3, 2), bool)), 4)  # (5 / 6 + 1 / 3) / 2
    0.5833
    """
    targets = targets & valid
    logits = np.clip(logits, -1e30, 1e30)  # scikit-learn raises an error for infinities; clipping keeps NaN.
    if np.isnan(logits[valid]).any():
        return math.nan
    # `targets` is 0 for a missing label here, so a task whose valid labels are all 1 counts, with average
    # precision 1: kept, because the published targets include it (see README.md).
    counted = np.flatnonzero(targets.any(axis=0) & ~targets.all(axis=0))
    found = [
        average_precision_score(targets[valid[:, task], task], logits[valid[:, task], task])
        for task in counted
    ]
    return float(np.mean(found)) if found else math.nan
