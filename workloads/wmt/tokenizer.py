"""The joint SentencePiece vocabulary of German and English.

Ids: 0 <unk> (also padding and the decoder's start token), 1 <s> (unused), 2 </s> (end of sentence, EOS).
"""

import functools
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from algoperf.data.vocabulary import EOS_ID, Vocabulary
from algoperf.data.vocabulary import train as train
from workloads.wmt.corpus import Pair


def training_text(pairs: Iterable[Pair], num_bytes: int) -> Iterator[str]:
    """Yields German and English lines in turn until they have at least `num_bytes` bytes of UTF-8 with newlines."""
    written = 0
    for pair in pairs:
        if written >= num_bytes:
            return
        for line in pair:
            written += len(line.encode()) + 1
            yield line


class Tokenizer(Vocabulary):
    """Text <-> ids with a trained model."""

    def decode(self, ids: np.ndarray) -> list[str]:
        """Text of each row of `ids` (rows, length) up to the first EOS; a row without EOS loses its padding only."""
        is_eos = ids == EOS_ID
        # Length without trailing zeros: argmax finds the first non-zero id from the end. Zeros inside remain,
        # they are `<unk>`.
        without = ids.shape[1] - np.argmax(ids[:, ::-1] != 0, axis=1)
        ends = np.where(is_eos.any(axis=1), np.argmax(is_eos, axis=1), np.where(ids.any(axis=1), without, 0))
        sentences = [row[:end].tolist() for row, end in zip(ids, ends, strict=True)]
        return self._processor.decode(sentences) if sentences else []


@functools.lru_cache(maxsize=4)
def load(path: Path) -> Tokenizer:
    return Tokenizer(path)
