"""The one point that Muon uses where nothing is tuned, and the constants of its orthogonalisation."""

from types import SimpleNamespace

from algoperf.spec import ParameterType

# Our choice: the self-tuning point of NadamW, whose rate and decay fit because steps have the size of Adam's, with the
# momentum of Muon's authors for matrices. No dropout_rate: the workload's default applies.
SELF_TUNING_POINT = SimpleNamespace(
    learning_rate=0.0017486387539278373,
    one_minus_momentum=0.05,
    one_minus_beta1=0.06733926164,
    beta2=0.9955159689799007,
    weight_decay=0.08121616522670176,
    warmup_factor=0.02,
)

MATRIX_TYPES = {
    ParameterType.WEIGHT,
    ParameterType.CONV_WEIGHT,
    ParameterType.ATTENTION_Q,
    ParameterType.ATTENTION_K,
    ParameterType.ATTENTION_V,
    ParameterType.ATTENTION_OUT,
    ParameterType.ATTENTION_QKV,
    ParameterType.ATTENTION_KV,
}
"""Of these, what has two axes or more and is not in the output layer is orthogonalised."""

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NUM_ITERATIONS = 5
RMS_OF_ADAM = 0.2
"""Root mean square of a typical step of Adam; an orthogonal matrix of m rows and n columns has 1 / sqrt(max(m, n))."""
EPSILON = 1e-7
