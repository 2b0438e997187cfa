"""Structural similarity of reconstructions; uses only operators, so it takes NumPy, JAX and PyTorch arrays."""

from typing import Any

# Window and constants are the defaults of scikit-image, which fastMRI and AlgoPerf use.
WINDOW = 7
_K1, _K2 = 0.01, 0.03


def ssim(prediction: Any, target: Any, mean: Any, std: Any, volume_max: Any) -> Any:
    """Mean structural similarity of each slice, in [-1, 1].

    Images are first converted back to their original scale. The window is a uniform 7 x 7 square, and (co)variances
    are sample statistics (divisor 48). Windows beyond the edge do not count, as in the cropped mean of scikit-image's
    `structural_similarity` and of AlgoPerf.

    Args:
      prediction: (B, H, W), normalised.
      target: (B, H, W), normalised.
      mean: (B,) the mean that normalisation subtracted.
      std: (B,) the standard deviation by which it divided.
      volume_max: (B,) largest value in the slice's volume, used as data range; 0 (in padding) counts as 1.

    Returns:
      (B,).

    Source: Wang et al. 2004, https://doi.org/10.1109/TIP.2003.819861.

    >>> import numpy as np
    >>> y, x = np.mgrid[:32, :32]
    >>> a = np.sin(y / 5) + np.cos(x / 7)
    >>> b = a + 0.1 * np.sin(x * y / 50)
    >>> ssim(b[None], a[None], np.array([2.0]), np.array([0.5]), np.array([3.0])).round(6)
    array([0.983522])
    """
    mean, std, volume_max = (value[:, None, None] for value in (mean, std, volume_max))
    # In units of the range, because fastMRI's values are around 1e-4 and products of variances would underflow in
    # float32.
    data_range = volume_max + (volume_max == 0)
    x, y = ((image * std + mean) / data_range for image in (prediction, target))
    mean_x, mean_y = _window_mean(x), _window_mean(y)
    sample = WINDOW**2 / (WINDOW**2 - 1)
    variance_x = sample * (_window_mean(x * x) - mean_x * mean_x)
    variance_y = sample * (_window_mean(y * y) - mean_y * mean_y)
    covariance = sample * (_window_mean(x * y) - mean_x * mean_y)
    c1, c2 = _K1**2, _K2**2
    similarity = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x * mean_x + mean_y * mean_y + c1) * (variance_x + variance_y + c2)
    )
    return similarity.mean((1, 2)).clip(-1, 1)


def _window_mean(x: Any) -> Any:
    """(B, H, W) -> (B, H - 6, W - 6); sums of rows, then of columns."""
    height, width = x.shape[1] - WINDOW + 1, x.shape[2] - WINDOW + 1
    rows = sum((x[:, i : i + height] for i in range(1, WINDOW)), start=x[:, :height])
    return sum((rows[:, :, i : i + width] for i in range(1, WINDOW)), start=rows[:, :, :width]) / WINDOW**2
