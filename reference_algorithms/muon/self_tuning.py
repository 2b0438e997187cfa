"""The one point that Muon uses where nothing is tuned, and the constants of its orthogonalisation."""

from types import SimpleNamespace

from reference_algorithms.nadamw.self_tuning import SELF_TUNING_POINT as NADAMW

# Our choice: the self-tuning point of NadamW, whose rate and decay fit because steps have the size of Adam's, with the
# momentum of Muon's authors for matrices. No dropout_rate: the workload's default applies.
SELF_TUNING_POINT = SimpleNamespace(
    learning_rate=NADAMW.learning_rate,
    one_minus_momentum=0.05,
    one_minus_beta1=NADAMW.one_minus_beta1,
    beta2=NADAMW.beta2,
    weight_decay=NADAMW.weight_decay,
    warmup_factor=NADAMW.warmup_factor,
)

# Jordan's polynomial a x + b x³ + c x⁵, applied to every singular value x. It is as steep as possible at 0, so that
# small values grow fast; as a result they end between about 0.7 and 1.2 instead of at 1, which does no harm.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
# As in Jordan's code.
NUM_ITERATIONS = 5
RMS_OF_ADAM = 0.2
"""Typical root mean square of Adam's steps (Liu et al. 2025); an orthogonal (m, n) matrix has 1 / sqrt(max(m, n))."""
EPSILON = 1e-7  # Added to norms, as in Jordan's code: a gradient of zeros then gives zeros.
