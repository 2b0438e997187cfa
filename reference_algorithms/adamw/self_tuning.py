"""The one point that AdamW uses where nothing is tuned."""

from types import SimpleNamespace

# The point of NadamW (reference_algorithms/nadamw/self_tuning.py), so that the two self-tuning baselines
# differ in the update rule alone. Our choice: AlgoPerf has no self-tuning AdamW.
SELF_TUNING_POINT = SimpleNamespace(
    learning_rate=0.0017486387539278373,
    one_minus_beta1=0.06733926164,
    beta2=0.9955159689799007,
    weight_decay=0.08121616522670176,
    warmup_factor=0.02,
    dropout_rate=0.1,
)
