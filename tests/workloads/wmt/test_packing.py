import numpy as np
import pytest

from workloads.wmt import packing
from workloads.wmt.encoding import Pairs, Sentences


def sentences(rows: list[list[int]]) -> Sentences:
    return Sentences(np.concatenate(rows).astype(np.uint16), np.cumsum([0, *map(len, rows)]))


def random_pairs(seed: int, count: int, longest: int) -> tuple[list[list[int]], list[list[int]]]:
    """Ids from 0 (<unk>) to 9 with EOS at the end."""
    rng = np.random.default_rng(seed)
    draw = lambda: [*rng.integers(0, 10, rng.integers(0, longest)).tolist(), 2]  # noqa: E731
    return [draw() for _ in range(count)], [draw() for _ in range(count)]


def packed_one_by_one(
    inputs: list[list[int]], targets: list[list[int]], max_len: int
) -> dict[str, np.ndarray]:
    """The rule as a plain loop: append while both sides fit, else start a row."""
    rows: list[list[tuple[list[int], list[int]]]] = [[]]
    for pair in zip(inputs, targets, strict=True):
        room = [max_len - sum(len(other[side]) for other in rows[-1]) for side in (0, 1)]
        if len(pair[0]) > room[0] or len(pair[1]) > room[1]:
            rows.append([])
        rows[-1].append(pair)
    names = [f"{side}{part}" for side in ("inputs", "targets") for part in ("", "_position", "_segmentation")]
    batch = {name: np.zeros((len(rows), max_len), np.int32) for name in names}
    for i, row in enumerate(rows):
        for side, name in enumerate(("inputs", "targets")):
            start = 0
            for place, pair in enumerate(row):
                for position, token in enumerate(pair[side]):
                    batch[name][i, start] = token
                    batch[f"{name}_position"][i, start] = position
                    batch[f"{name}_segmentation"][i, start] = place + 1
                    start += 1
    batch["weights"] = (batch["targets"] > 0).astype(np.int32)
    return batch


@pytest.mark.parametrize("seed", range(20))
def test_packing_equals_the_rule_written_as_a_loop(seed):
    inputs, targets = random_pairs(seed, count=1 + 7 * seed, longest=16)
    pairs = Pairs(sentences(inputs), sentences(targets))
    order = np.random.default_rng(seed).permutation(len(pairs))
    packed = packing.pack(pairs, order, max_len=16)
    expected = packed_one_by_one([inputs[i] for i in order], [targets[i] for i in order], max_len=16)
    assert packed.keys() == expected.keys()
    for key, array in expected.items():
        np.testing.assert_array_equal(packed[key], array, err_msg=key)
        assert packed[key].dtype == np.int32


def test_unknown_tokens_do_not_shorten_a_packed_sentence():
    # AlgoPerf counts non-zero ids, so its row starts 5 0 7 8 5 0 7 8 (spec sheet, 10.7); the ids are kept here.
    pairs = Pairs(sentences([[5, 0, 7, 8, 2]] * 2), sentences([[9, 10, 0, 0, 11, 2]] * 2))
    packed = packing.pack(pairs, np.arange(2), max_len=16)
    assert packed["inputs"][0].tolist() == [5, 0, 7, 8, 2, 5, 0, 7, 8, 2] + [0] * 6
    assert packed["targets"][0].tolist() == [9, 10, 0, 0, 11, 2, 9, 10, 0, 0, 11, 2] + [0] * 4
    assert packed["inputs_segmentation"][0].tolist() == [1] * 5 + [2] * 5 + [0] * 6
    assert packed["targets_position"][0].tolist() == [0, 1, 2, 3, 4, 5] * 2 + [0] * 4
    assert packed["weights"][0].tolist() == [1, 1, 0, 0, 1, 1] * 2 + [0] * 4


def test_a_pair_that_fills_a_row_alone_is_kept_whole():
    pairs = Pairs(sentences([[3] * 7 + [2], [4, 2]]), sentences([[2], [2]]))
    packed = packing.pack(pairs, np.arange(2), max_len=8)
    assert packed["inputs"].tolist() == [[3] * 7 + [2], [4, 2] + [0] * 6]


def test_padded_rows_hold_one_pair_each_and_missing_rows_are_empty():
    pairs = Pairs(sentences([[5, 2], [6, 7, 2]]), sentences([[0, 8, 2], [9, 2]]))
    batch = packing.pad(pairs, np.array([1, 0]), max_len=4, num_rows=3)
    assert batch["inputs"].tolist() == [[6, 7, 2, 0], [5, 2, 0, 0], [0] * 4]
    assert batch["targets"].tolist() == [[9, 2, 0, 0], [0, 8, 2, 0], [0] * 4]
    assert batch["weights"].tolist() == [[1, 1, 0, 0], [0, 1, 1, 0], [0] * 4]
