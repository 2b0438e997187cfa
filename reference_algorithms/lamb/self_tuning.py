"""The one point that LAMB uses where nothing is tuned."""

from types import SimpleNamespace

# Our choice, inside the search space: there is no self-tuning LAMB in AlgoPerf. No dropout_rate: the workload's
# default applies.
SELF_TUNING_POINT = SimpleNamespace(
    learning_rate=0.005,
    one_minus_beta1=0.1,
    beta2=0.999,
    weight_decay=0.01,
    warmup_factor=0.05,
)
