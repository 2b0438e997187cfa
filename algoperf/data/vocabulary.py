"""SentencePiece vocabularies: training that gives the same result on every machine, and text -> ids.

Ids: 0 <unk>, 1 <s>, 2 </s> (end of sentence, EOS).
"""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import sentencepiece

from algoperf.spec import UsageError

EOS_ID = 2
# The result of training depends on the number of threads (order of sums), but not on the number of processors. 16 is
# SentencePiece's default, which AlgoPerf uses for its vocabularies.
TRAINING_THREADS = 16


def train(lines: Iterable[str], vocab_size: int) -> bytes:
    """Trains a unigram model that covers every character of `lines`; returns it serialised.

    Raises:
      UsageError: if the text has too few or too many different pieces for `vocab_size`.
    """
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=model,
            model_type="unigram",
            vocab_size=vocab_size,
            # The default, 0.9995, would map rare characters to <unk>, which cannot be decoded again.
            character_coverage=1.0,
            num_threads=TRAINING_THREADS,
            minloglevel=2,  # Errors only.
        )
    except RuntimeError as error:
        raise UsageError(f"SentencePiece cannot make {vocab_size:,} pieces of the text: {error}") from error
    return model.getvalue()


class Vocabulary:
    """Text -> ids with a trained model. Families decode ids themselves.

    Args:
      path: the file of the serialised model.
    """

    def __init__(self, path: Path):
        self._processor = sentencepiece.SentencePieceProcessor(model_file=str(path))

    @property
    def vocab_size(self) -> int:
        return self._processor.vocab_size()

    def encode(self, texts: Sequence[str], num_threads: int = 1) -> list[list[int]]:
        """The ids of each text, with EOS at the end and no start token."""
        return self._processor.encode(list(texts), add_eos=True, num_threads=num_threads)
