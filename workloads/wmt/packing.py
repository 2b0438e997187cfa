"""Puts sentence pairs into dense arrays: several pairs per row for training, one pair per row for evaluation."""

import numpy as np

from workloads.wmt.encoding import SIDES, Pairs, Sentences

Batch = dict[str, np.ndarray]


def assign(
    lengths: dict[str, np.ndarray], max_len: int
) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Greedy packing: a pair joins the current row if both sides fit, otherwise it starts the next row.

    Args:
      lengths: side -> (pairs,) tokens per sentence, each in [1, max_len].
      max_len: tokens per row and side.

    Returns:
      (pairs,) row of each pair; side -> (pairs,) column of its first token; (pairs,) its number in the row, from 1.

    >>> assign({"inputs": np.array([3, 2, 2]), "targets": np.array([1, 1, 1])}, max_len=5)[0].tolist()
    [0, 0, 1]
    """
    # Python numbers and lists (`tolist`): a loop over NumPy scalars takes several times as long.
    rows, places, input_starts, target_starts = [], [], [], []
    row, place, num_inputs, num_targets = 0, 0, 0, 0
    for input_length, target_length in zip(
        lengths["inputs"].tolist(), lengths["targets"].tolist(), strict=True
    ):
        if place and (num_inputs + input_length > max_len or num_targets + target_length > max_len):
            row, place, num_inputs, num_targets = row + 1, 0, 0, 0
        place += 1
        rows.append(row)
        places.append(place)
        input_starts.append(num_inputs)
        target_starts.append(num_targets)
        num_inputs += input_length
        num_targets += target_length
    starts = {"inputs": np.array(input_starts, np.int64), "targets": np.array(target_starts, np.int64)}
    return np.array(rows, np.int64), starts, np.array(places, np.int32)


def pack(pairs: Pairs, indices: np.ndarray, max_len: int) -> Batch:
    """Packed rows of the pairs at `indices`, in that order.

    Returns:
      (rows, max_len) int32 arrays: `inputs`, `targets`; `*_position`, from 0 in each sentence; `*_segmentation`,
      from 1 in each row and 0 for padding; `weights`, 1 where a target id is above 0.
    """
    lengths = {side: sentence_lengths(getattr(pairs, side), indices) for side in SIDES}
    rows, starts, places = assign(lengths, max_len)
    batch: Batch = {}
    for side in SIDES:
        names = (side, f"{side}_position", f"{side}_segmentation")
        ids, positions, segments = (np.zeros((int(rows[-1]) + 1, max_len), np.int32) for _ in names)
        within, source = ragged(getattr(pairs, side), indices, lengths[side])
        # Index of each token in the flattened rows, so that one assignment places all tokens of a side.
        destination = within + np.repeat(rows * max_len + starts[side], lengths[side])
        ids.reshape(-1)[destination] = source
        positions.reshape(-1)[destination] = within
        segments.reshape(-1)[destination] = np.repeat(places, lengths[side])
        batch.update(zip(names, (ids, positions, segments), strict=True))
    batch["weights"] = (batch["targets"] > 0).astype(np.int32)
    return batch


def pad(pairs: Pairs, indices: np.ndarray, max_len: int, num_rows: int) -> Batch:
    """One pair per row, followed by zeros; rows without a pair are all zeros, also in `weights`."""
    batch = {}
    for side in SIDES:
        lengths = sentence_lengths(getattr(pairs, side), indices)
        within, source = ragged(getattr(pairs, side), indices, lengths)
        ids = np.zeros((num_rows, max_len), np.int32)
        ids.reshape(-1)[within + np.repeat(np.arange(len(indices)) * max_len, lengths)] = source
        batch[side] = ids
    batch["weights"] = (batch["targets"] > 0).astype(np.int32)
    return batch


def sentence_lengths(sentences: Sentences, indices: np.ndarray) -> np.ndarray:
    """(indices,) tokens per sentence."""
    return sentences.offsets[indices + 1] - sentences.offsets[indices]


def ragged(sentences: Sentences, indices: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All tokens of the sentences at `indices`, one after the other: position in the sentence, and id."""
    ends = np.cumsum(lengths)
    within = np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)
    return within, sentences.tokens[within + np.repeat(sentences.offsets[indices], lengths)]
