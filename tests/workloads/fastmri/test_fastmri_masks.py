"""Masks: AlgoPerf's own for evaluation, ours for training."""

import numpy as np
import pytest

from workloads.fastmri import masks

# Columns outside the centre that AlgoPerf's evaluation mask keeps, for 368 columns as for 372.
OUTER = [
    10, 11, 19, 20, 25, 28, 30, 32, 38, 49, 53, 55, 63, 66, 69, 76, 82, 86, 91, 105, 113, 118, 122, 125, 135, 140, 153,
    156, 162, 164, 202, 203, 208, 219, 226, 228, 232, 233, 237, 242, 245, 249, 250, 253, 266, 274, 283, 286, 294, 296,
    301, 302, 305, 309, 312, 320, 321, 322, 326, 330, 333, 346, 351, 352, 358, 361, 363, 366,
]  # fmt: skip


@pytest.mark.parametrize(("num_columns", "first"), [(368, 170), (372, 172)])
def test_the_evaluation_mask_is_algoperfs(num_columns, first):
    columns = masks.eval_columns(num_columns, 0.08, 4.0)
    assert len(columns) == 97
    np.testing.assert_array_equal(columns, sorted({*OUTER, *range(first, first + 29)}))


def test_the_generator_is_tensorflows_bit_for_bit():
    wanted = np.array([0.21101546, 0.70601, 0.8000634, 0.77079225, 0.38858867], np.float32)
    np.testing.assert_array_equal(masks.tensorflow_uniform((0, 0), 5), wanted)
    np.testing.assert_array_equal(masks.tensorflow_uniform((0, 0), 2), wanted[:2])


def test_training_masks_depend_on_seed_and_slice_and_keep_a_quarter():
    def columns(seed, index):
        return masks.train_columns(seed, index, 368, 0.08, 4.0)

    np.testing.assert_array_equal(columns(3, 7), columns(3, 7))
    assert not np.array_equal(columns(3, 7), columns(3, 8))
    assert not np.array_equal(columns(3, 7), columns(4, 7))
    for index in range(20):
        assert set(range(170, 199)) <= set(columns(0, index).tolist())
    sizes = [len(columns(0, index)) for index in range(400)]
    # 92 columns with a standard deviation of 7.4 per mask.
    assert abs(np.mean(sizes) - 92) < 4 * 7.4 / 20


def test_the_number_of_centre_columns_is_truncated():
    assert len(masks.kept_columns(np.ones(372, np.float32), 0.08, 4.0)) == 29
