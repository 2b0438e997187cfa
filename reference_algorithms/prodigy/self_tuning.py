"""The one point that Prodigy uses where nothing is tuned."""

from types import SimpleNamespace

from reference_algorithms.nadamw.self_tuning import SELF_TUNING_POINT as NADAMW

# The factor 1 and the decays β1, β2 of its authors; weight decay and warm-up of NadamW's self-tuning point. No
# dropout_rate: the workload's default applies.
SELF_TUNING_POINT = SimpleNamespace(
    learning_rate=1.0,
    first_estimate=1e-6,
    one_minus_beta1=0.1,
    beta2=0.999,
    weight_decay=NADAMW.weight_decay,
    warmup_factor=NADAMW.warmup_factor,
)

EPSILON = 1e-8
