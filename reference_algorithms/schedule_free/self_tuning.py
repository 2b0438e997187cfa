"""The one point that Schedule-Free AdamW uses where nothing is tuned, and when running statistics move."""

from types import SimpleNamespace

# The public self-tuning entry of AlgoPerf 0.6 (second version), without its restarts. No dropout_rate: the workload's
# default applies.
SELF_TUNING_POINT = SimpleNamespace(
    learning_rate=0.0025,
    one_minus_beta1=0.1,
    beta2=0.9955159689799007,
    weight_decay=0.08121616522670176,
    warmup_factor=0.015,
    label_smoothing=0.2,
)

STATISTICS_EVERY_STEPS = 3
"""Statistics of batch norm are taken at x in an extra forward pass, which is too expensive for every update."""
EPSILON = 1e-8
