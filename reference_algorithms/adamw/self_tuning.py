"""The one point that AdamW uses where nothing is tuned."""

# NadamW's, so that the two self-tuning baselines differ in the update rule alone. Our choice: AlgoPerf has no
# self-tuning AdamW.
from reference_algorithms.nadamw.self_tuning import SELF_TUNING_POINT

__all__ = ["SELF_TUNING_POINT"]
