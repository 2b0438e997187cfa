"""The one point that Lion uses where nothing is tuned."""

from types import SimpleNamespace

# The public self-tuning Lion entry of AlgoPerf 0.6. No dropout_rate: the workload's default applies.
SELF_TUNING_POINT = SimpleNamespace(
    learning_rate=2e-4,
    one_minus_beta1=0.05,
    beta2=0.98,
    weight_decay=0.5,
    warmup_factor=0.02,
)
