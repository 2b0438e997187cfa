"""Loss and accuracy per target token, and corpus BLEU of the beam-search translations."""

import math
from pathlib import Path

import numpy as np
import sacrebleu

from algoperf.workload import WorkloadSpec
from workloads.wmt import encoding, tokenizer


def make_metrics(spec: WorkloadSpec, folder: Path) -> "TranslationMetrics":
    """A fresh `TranslationMetrics` for one pass over a split."""
    del spec
    return TranslationMetrics(tokenizer.load(encoding.model_path(Path(folder))))


class TranslationMetrics:
    """Sums over real rows and tokens; the result depends neither on batch size nor on padding.

    Outputs per batch: `loss` (batch,) in nats and `correct` (batch,), both summed over the tokens of a row;
    `hypotheses` (batch, length), ids without start token.
    """

    def __init__(self, text: tokenizer.Tokenizer):
        self._tokenizer = text
        self._loss = self._correct = self._num_tokens = 0.0
        self._hypotheses: list[str] = []
        self._references: list[str] = []

    def update(self, batch: dict[str, np.ndarray], outputs: dict[str, np.ndarray]) -> None:
        weights = np.asarray(batch["weights"])
        is_real = weights.any(axis=1)
        self._loss += float(np.asarray(outputs["loss"], np.float64)[is_real].sum())
        self._correct += float(np.asarray(outputs["correct"], np.float64)[is_real].sum())
        self._num_tokens += float(weights.sum(dtype=np.float64))
        # References are the decoded target ids instead of the raw text, as in AlgoPerf: its targets are measured so.
        self._references += self._tokenizer.decode(np.asarray(batch["targets"])[is_real])
        self._hypotheses += self._tokenizer.decode(np.asarray(outputs["hypotheses"])[is_real])

    def result(self) -> dict[str, float]:
        """`loss` (nats) and `accuracy` per token, `bleu` from 0 to 100; all NaN if there was no real row."""
        if not self._num_tokens:
            return {"loss": math.nan, "accuracy": math.nan, "bleu": math.nan}
        return {
            "loss": self._loss / self._num_tokens,
            "accuracy": self._correct / self._num_tokens,
            "bleu": bleu(self._hypotheses, self._references),
        }


def bleu(hypotheses: list[str], references: list[str]) -> float:
    """Corpus BLEU as AlgoPerf computes it: sacrebleu's defaults (13a tokens, exponential smoothing), cased.

    Source: Post 2018, https://arxiv.org/abs/1804.08771.

    >>> round(bleu(["The cat sat on the mat ."], ["The cat is on the mat ."]), 3)
    48.892
    """
    # force: do not warn that hypotheses look tokenized, which those of an untrained model do.
    score = sacrebleu.corpus_bleu(hypotheses, [references], force=True).score
    return min(score, 100.0)  # A perfect score comes out as 100.00000000000004.
