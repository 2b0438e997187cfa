"""The fixed two-dimensional position encoding of the ViT, as a NumPy table."""

import functools

import numpy as np

from algoperf.spec import UsageError


@functools.cache
def position_table(num_rows: int, num_columns: int, width: int) -> np.ndarray:
    """Sines and cosines of the column, then of the row, of each patch.

    Channel k of the first quarter is sin(column * 10000 ** (-k / (width / 4 - 1))), of the second its cosine; the
    third and fourth are the same for the row.

    Args:
      num_rows, num_columns: size of the grid of patches.
      width: width of the model.

    Returns:
      (num_rows * num_columns, width) float32, row by row; read-only, because it is cached.

    Raises:
      UsageError: if `width` is no multiple of 4 or is below 8.

    Source: Beyer et al. 2022, "Better plain ViT baselines for ImageNet-1k", https://arxiv.org/abs/2205.01580.

    >>> position_table(14, 14, 384)[15, [0, 1, 383]].round(4).tolist() == [
    ...     np.float32(0.8415), np.float32(0.788), np.float32(1.0)]
    True
    """
    if width % 4 or width < 8:
        raise UsageError(
            f"The model setting width of imagenet_vit must be a multiple of 4 and at least 8, got {width}: "
            "its position encoding has four parts."
        )
    num_waves = width // 4
    # Divided by num_waves - 1, so that the last wave is exactly 10,000 (as in big_vision).
    omega_K = 10_000.0 ** (-np.arange(num_waves) / (num_waves - 1))
    rows, columns = np.mgrid[:num_rows, :num_columns].reshape(2, -1, 1)
    table = np.concatenate(
        [
            np.sin(columns * omega_K),
            np.cos(columns * omega_K),
            np.sin(rows * omega_K),
            np.cos(rows * omega_K),
        ],
        axis=1,
    )
    table = table.astype(np.float32)
    table.flags.writeable = False
    return table
