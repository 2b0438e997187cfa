"""Mean cross entropy per token, and perplexity."""

import math
from pathlib import Path

import numpy as np

from algoperf.workload import WorkloadSpec


def make_metrics(spec: WorkloadSpec, folder: Path) -> "TokenMetrics":
    """A fresh `TokenMetrics` for one pass over a split."""
    del spec, folder
    return TokenMetrics()


class TokenMetrics:
    """Sums over real tokens in float64; the result depends neither on batch size nor on padding.

    Outputs per batch: `loss` (batch,) in nats, summed over the tokens of a row.
    """

    def __init__(self) -> None:
        self._loss = self._num_tokens = 0.0

    def update(self, batch: dict[str, np.ndarray], outputs: dict[str, np.ndarray]) -> None:
        weights = np.asarray(batch["weights"])
        is_real = weights.any(axis=1)
        self._loss += float(np.asarray(outputs["loss"], np.float64)[is_real].sum())
        self._num_tokens += float(weights.sum(dtype=np.float64))

    def result(self) -> dict[str, float]:
        """`loss` (nats per token) and `ppl`, its exponential; NaN if there was no real token."""
        loss = self._loss / self._num_tokens if self._num_tokens else math.nan
        with np.errstate(over="ignore"):  # Of a run that has diverged: infinite.
            return {"loss": loss, "ppl": float(np.exp(loss))}
