"""The one point that AdEMAMix uses where nothing is tuned."""

from types import SimpleNamespace

# Our choice: decays, learning rate and clipping of the public self-tuning entry of AlgoPerf 0.6, and a weight of
# the slow
# average (alpha) that is reached within the run. The entry's 8 is reached after 500,000 updates, which no workload
# makes. No dropout_rate: the workload's default applies.
SELF_TUNING_POINT = SimpleNamespace(
    learning_rate=0.002,
    one_minus_beta1=0.1,
    beta2=0.995,
    one_minus_beta3=0.002,
    alpha=2.0,
    weight_decay=0.1,
    warmup_factor=0.02,
    grad_clip=0.5,
)
