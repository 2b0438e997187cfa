"""Word error rate of greedy decoding, and CTC loss per target token."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from algoperf.workload import WorkloadSpec
from workloads.librispeech import preparation, tokenizer, wer


def make_metrics(spec: WorkloadSpec, folder: Path) -> "SpeechMetrics":
    """Metrics of one pass over a split; see `SpeechMetrics`."""
    del spec
    return SpeechMetrics(tokenizer.load(Path(folder) / preparation.TOKENIZER))


class SpeechMetrics:
    """Metrics from sums over real rows, so that batch size and padding do not matter.

    Outputs per batch: `loss` (batch,), CTC loss of each utterance in nats; `ids` (batch, frames), the most likely id
    of each frame, -1 where padded.
    """

    def __init__(self, text: tokenizer.Tokenizer):
        self._tokenizer = text
        self._loss = self._num_tokens = 0.0
        self._hypotheses: list[str] = []
        self._references: list[str] = []

    def update(self, batch: dict[str, Any], outputs: dict[str, np.ndarray]) -> None:
        tokens, paddings = (np.asarray(array) for array in batch["targets"])
        is_real = np.asarray(batch["weights"]) > 0
        lengths = (paddings[is_real] == 0).sum(axis=1)
        self._loss += float(np.asarray(outputs["loss"], np.float64)[is_real].sum())
        self._num_tokens += float(lengths.sum())
        # References are the decoded target ids, not the transcripts, as in AlgoPerf, whose targets we use.
        targets = [row[:length] for row, length in zip(tokens[is_real], lengths, strict=True)]
        self._references += self._tokenizer.decode(targets)
        self._hypotheses += self._tokenizer.decode(wer.greedy_decode(np.asarray(outputs["ids"])[is_real]))

    def result(self) -> dict[str, float]:
        """Averages over the pass; NaN without any reference.

        Returns:
          wer: word errors per word, both counted as in AlgoPerf (`wer.algoperf_word_errors`); the target metric.
          true_wer: word errors per word of the reference.
          ctc_loss: in nats per target token.
        """
        # Both rates: published targets refer to the first one, the second is what the term means elsewhere.
        errors, words = wer.algoperf_word_errors(self._hypotheses, self._references)
        true_errors, true_words = wer.word_errors(self._hypotheses, self._references)
        return {
            "wer": errors / words if words else math.nan,
            "true_wer": true_errors / true_words if true_words else math.nan,
            "ctc_loss": self._loss / self._num_tokens if self._num_tokens else math.nan,
        }
