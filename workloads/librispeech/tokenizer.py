"""The SentencePiece vocabulary of LibriSpeech's transcripts.

Ids: 0 <unk>, which is also CTC's blank; 1 <s>, unused; 2 </s>, the end of every target (EOS). There is no padding id.
"""

import functools
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import sentencepiece

from algoperf.spec import UsageError

BLANK_ID, EOS_ID = 0, 2
TRAINING_CHARACTERS = 10_000_000
# The result of training depends on the number of threads (order of sums), though not on the number of processors:
# 16 is SentencePiece's default, with which AlgoPerf trains its vocabulary.
TRAINING_THREADS = 16


def training_text(transcripts: Iterable[str]) -> Iterator[str]:
    """Lines until 10 million characters have passed, newlines counted; the last line may be cut."""
    left = TRAINING_CHARACTERS
    for text in transcripts:
        if left <= 0:
            return
        yield text[:left]
        left -= len(text) + 1


def train(transcripts: Iterable[str], vocab_size: int) -> bytes:
    """A serialised unigram model that covers every character of `transcripts`.

    Raises:
      UsageError: if the text has too few or too many different pieces for `vocab_size`.
    """
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=training_text(transcripts),
            model_writer=model,
            model_type="unigram",
            vocab_size=vocab_size,
            character_coverage=1.0,
            num_threads=TRAINING_THREADS,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise UsageError(
            f"SentencePiece cannot make {vocab_size:,} pieces of the transcripts: {error}"
        ) from error
    return model.getvalue()


class Tokenizer:
    """Text <-> ids with a trained model."""

    def __init__(self, path: Path):
        self._processor = sentencepiece.SentencePieceProcessor(model_file=str(path))

    @property
    def vocab_size(self) -> int:
        return self._processor.vocab_size()

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids per text; EOS at the end, no start token."""
        return self._processor.encode(list(texts), add_eos=True, num_threads=1)

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Text per list of ids. <s> and </s> leave nothing; <unk> leaves ' \N{DOUBLE QUESTION MARK} '."""
        ids = [list(map(int, row)) for row in ids]
        return self._processor.decode(ids) if ids else []


@functools.lru_cache(maxsize=4)
def load(path: Path) -> Tokenizer:
    return Tokenizer(path)
