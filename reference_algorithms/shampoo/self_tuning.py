"""The one point that Shampoo uses where nothing is tuned, and its constants."""

from dataclasses import dataclass
from types import SimpleNamespace

# Our choice; warm-up apart, inside the search space. First directions are too long (README.md), and a run of a thousand
# updates needs a longer warm-up for that than the paper's 0.05. No dropout_rate: the workload's default applies.
SELF_TUNING_POINT = SimpleNamespace(
    learning_rate=0.002,
    one_minus_beta1=0.1,
    beta2=0.999,
    weight_decay=0.05,
    warmup_factor=0.2,
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Constants that are not tuned. Source: the configuration of the AlgoPerf paper, arXiv 2306.07179."""

    block_size: int = 1024
    """Longest side of a block."""
    merge_up_to: int = 4096
    """Neighbouring axes are merged while the merged axis has at most this many entries."""
    largest_dimension: int = 2048
    """Tensors with a longer axis use only the grafting rule."""
    root_interval: int = 20
    """Updates between two computations of the inverse roots."""
    start: int = 101
    """Index, from 0, of the first update in Shampoo's direction; before it the grafting rule is used."""
    matrix_epsilon: float = 1e-6
    """Initial statistics are this times the identity; also the ridge of a root, relative to the largest eigenvalue."""
    diagonal_epsilon: float = 1e-8
    """Added to the root in the denominator of the grafting rule."""


PAPER = Settings()

SMALL = Settings(block_size=256, merge_up_to=256)
SMALL_MODEL = 3_000_000


def settings_for(num_parameters: int) -> Settings:
    """`PAPER`, or `SMALL` for models below `SMALL_MODEL` parameters, whose layers are about a tenth as wide.

    In small models merging up to 4096 would turn a whole layer into one axis: a 64 x 64 kernel would become 4 blocks
    of 1024, and their decompositions would cost 8192 times those of two matrices of size 64.
    """
    return SMALL if num_parameters < SMALL_MODEL else PAPER


SMALLEST_NORM = 1e-25
"""Added to norms, and lower limit of the largest eigenvalue in the ridge."""


def weight_of_new(beta2: float) -> float:
    """Weight of the newest term of an average; with β2 = 1 averages become sums."""
    return 1 - beta2 if beta2 < 1 else 1.0
