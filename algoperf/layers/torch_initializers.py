"""Flax's default initialiser in PyTorch."""

from torch import Tensor, nn

# Standard deviation of a unit normal distribution that is truncated at two standard deviations.
TRUNCATED_STDDEV = 0.87962566103423978


def lecun_normal_(weight: Tensor, fan_in: int | None = None) -> None:
    """Fills `weight` with a truncated normal of variance 1 / fan_in; fan_in defaults to weight[0].numel()."""
    # Truncation lowers the standard deviation; dividing by its value restores the intended variance, as Flax
    # does.
    stddev = (weight[0].numel() if fan_in is None else fan_in) ** -0.5 / TRUNCATED_STDDEV
    nn.init.trunc_normal_(weight, std=stddev, a=-2 * stddev, b=2 * stddev)
