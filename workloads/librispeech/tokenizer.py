"""The SentencePiece vocabulary of LibriSpeech's transcripts.

Ids: 0 <unk>, which is also CTC's blank; 1 <s>, unused; 2 </s>, the end of every target (EOS). There is no padding id.
"""

import functools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from algoperf.data import vocabulary
from algoperf.data.vocabulary import EOS_ID as EOS_ID

BLANK_ID = 0
TRAINING_CHARACTERS = 10_000_000


def training_text(transcripts: Iterable[str]) -> Iterator[str]:
    """The first 10 million characters of the transcripts, newlines counted, as in AlgoPerf; may cut the last line."""
    left = TRAINING_CHARACTERS
    for text in transcripts:
        if left <= 0:
            return
        yield text[:left]
        left -= len(text) + 1


def train(transcripts: Iterable[str], vocab_size: int) -> bytes:
    """Trains a unigram model that covers every character of `transcripts`; returns it serialised.

    Raises:
      UsageError: if the text has too few or too many different pieces for `vocab_size`.
    """
    return vocabulary.train(training_text(transcripts), vocab_size)


class Tokenizer(vocabulary.Vocabulary):
    """Text <-> ids with a trained model."""

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Text per list of ids. <s> and </s> leave nothing; <unk> leaves ' \N{DOUBLE QUESTION MARK} '."""
        ids = [list(map(int, row)) for row in ids]
        return self._processor.decode(ids) if ids else []


@functools.lru_cache(maxsize=4)
def load(path: Path) -> Tokenizer:
    return Tokenizer(path)
