"""The one point that Nesterov momentum uses where nothing is tuned."""

from types import SimpleNamespace

# Our choice (AlgoPerf has no self-tuning Nesterov): the textbook pair 0.1 and 0.9, which lies inside the
# search space; the other values are those of the search space with fixed beta1, where it has a range the
# upper end. No dropout_rate: the workload's default applies.
SELF_TUNING_POINT = SimpleNamespace(
    learning_rate=0.1,
    one_minus_beta1=0.1,
    weight_decay=5e-5,
    warmup_factor=0.05,
    decay_steps_factor=0.9,
    end_factor=0.001,
)
