"""The one point that heavy-ball momentum uses where nothing is tuned."""

# The point of Nesterov momentum, whose search space is the same. Our choice: AlgoPerf has no self-tuning heavy ball.
from reference_algorithms.nesterov.self_tuning import SELF_TUNING_POINT

__all__ = ["SELF_TUNING_POINT"]
