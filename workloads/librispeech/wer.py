"""Greedy CTC decoding and word errors."""

from collections.abc import Sequence

import jiwer
import numpy as np

from workloads.librispeech.tokenizer import BLANK_ID


def greedy_decode(ids: np.ndarray) -> list[list[int]]:
    """Greedy CTC decoding: merges equal neighbours, then drops blanks.

    Args:
      ids: (batch, frames), the most likely id of each frame; negative where padded.

    >>> greedy_decode(np.array([[0, 5, 5, 0, 5, 7, -1, -1], [0, 0, 0, 0, 0, 0, 0, 0]]))
    [[5, 5, 7], []]
    """
    ids = np.asarray(ids)
    is_kept = ids > BLANK_ID
    is_kept[:, 1:] &= ids[:, 1:] != ids[:, :-1]
    ends = np.cumsum(is_kept.sum(axis=1))
    return [row.tolist() for row in np.split(ids[is_kept], ends)[: len(ids)]]


def word_errors(hypotheses: Sequence[str], references: Sequence[str]) -> tuple[int, int]:
    """(sum of word-level edit distances, number of reference words).

    >>> word_errors(["THE CAT SAT"], ["THE BAD CAT"])
    (2, 3)
    """
    # jiwer refuses empty references. Against one, every word of the hypothesis is an error.
    spoken = [(h, r) for h, r in zip(hypotheses, references, strict=True) if r.split()]
    errors = sum(len(h.split()) for h, r in zip(hypotheses, references, strict=True) if not r.split())
    if not spoken:
        return errors, 0
    found = jiwer.process_words(reference=[r for _, r in spoken], hypothesis=[h for h, _ in spoken])
    errors += found.substitutions + found.deletions + found.insertions
    return errors, found.hits + found.substitutions + found.deletions


def as_tensor_text(text: str) -> str:
    """The text that AlgoPerf compares instead of the transcript: a TensorFlow string tensor as it is printed.

    It adds two words to every utterance and changes its first and last word. All published targets include this
    effect.

    >>> as_tensor_text("I KNOW")
    "tf.Tensor(b'I KNOW', shape=(), dtype=string)"
    """
    return f"tf.Tensor({text.encode()!r}, shape=(), dtype=string)"


def algoperf_word_errors(hypotheses: Sequence[str], references: Sequence[str]) -> tuple[int, int]:
    """(errors, words) as AlgoPerf counts them; see `as_tensor_text`.

    >>> algoperf_word_errors(["I DOG KNOW WHAT"], ["I DON'T KNOW WHAT"])
    (3, 6)
    """
    return word_errors([as_tensor_text(h) for h in hypotheses], [as_tensor_text(r) for r in references])
