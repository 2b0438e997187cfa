"""The one point that SAM uses where nothing is tuned."""

from types import SimpleNamespace

from reference_algorithms.adamw.self_tuning import SELF_TUNING_POINT as ADAMW

# AdamW's point, so that the two differ in the gradient alone, and the middle radius of the search space. Our choice:
# AlgoPerf has no self-tuning SAM.
SELF_TUNING_POINT = SimpleNamespace(**vars(ADAMW), rho=0.02)
