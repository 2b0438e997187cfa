"""The one point that Adafactor uses where nothing is tuned."""

from types import SimpleNamespace

# Our choice, inside the search space: AlgoPerf has no self-tuning Adafactor. No dropout_rate: the workload's default
# applies.
SELF_TUNING_POINT = SimpleNamespace(
    learning_rate=0.002,
    one_minus_beta1=0.1,
    weight_decay=0.1,
    warmup_factor=0.05,
)
