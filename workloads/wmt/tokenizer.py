"""The joint SentencePiece vocabulary of German and English.

Ids: 0 <unk> (also padding and the decoder's start token), 1 <s> (unused), 2 </s> (end of sentence, EOS).
"""

import functools
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import sentencepiece

from workloads.wmt.corpus import Pair

EOS_ID = 2
# The result of training depends on the number of threads (order of sums), though not on the number of processors:
# 16 is SentencePiece's default, with which AlgoPerf trains its vocabulary.
TRAINING_THREADS = 16


def training_text(pairs: Iterable[Pair], num_bytes: int) -> Iterator[str]:
    """Lines, German then English, until at least `num_bytes` bytes of UTF-8 have passed, newlines counted."""
    written = 0
    for pair in pairs:
        if written >= num_bytes:
            return
        for line in pair:
            written += len(line.encode()) + 1
            yield line


def train(lines: Iterable[str], vocab_size: int) -> bytes:
    """A serialised unigram model that covers every character of `lines`."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        model_type="unigram",
        vocab_size=vocab_size,
        character_coverage=1.0,
        num_threads=TRAINING_THREADS,
        minloglevel=2,
    )
    return model.getvalue()


class Tokenizer:
    """Text <-> ids with a trained model."""

    def __init__(self, path: Path):
        self._processor = sentencepiece.SentencePieceProcessor(model_file=str(path))

    @property
    def vocab_size(self) -> int:
        return self._processor.vocab_size()

    def encode(self, sentences: Sequence[str], num_threads: int = 1) -> list[list[int]]:
        """Ids per sentence; EOS at the end, no start token."""
        return self._processor.encode(list(sentences), add_eos=True, num_threads=num_threads)

    def decode(self, ids: np.ndarray) -> list[str]:
        """Text per row of `ids` (rows, length): up to the first EOS, or all but trailing padding without one."""
        is_eos = ids == EOS_ID
        without = ids.shape[1] - np.argmax(ids[:, ::-1] != 0, axis=1)
        ends = np.where(is_eos.any(axis=1), np.argmax(is_eos, axis=1), np.where(ids.any(axis=1), without, 0))
        sentences = [row[:end].tolist() for row, end in zip(ids, ends, strict=True)]
        return self._processor.decode(sentences) if sentences else []


@functools.lru_cache(maxsize=4)
def load(path: Path) -> Tokenizer:
    return Tokenizer(path)
