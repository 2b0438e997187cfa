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

# Jordan's polynomial, a x + b x³ + c x⁵ of every singular value x: its slope at 0 is as steep as it can be, so that
# small ones grow fast. In return they end between about 0.7 and 1.2 instead of at 1, which does no harm.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NUM_ITERATIONS = 5
RMS_OF_ADAM = 0.2
"""Root mean square of a typical step of Adam; an orthogonal matrix of m rows and n columns has 1 / sqrt(max(m, n))."""
EPSILON = 1e-7
