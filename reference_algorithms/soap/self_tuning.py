"""The one point that SOAP uses where nothing is tuned, and the axes of a parameter that get a basis."""

from types import SimpleNamespace

from algoperf.spec import ParameterType
from reference_algorithms.nadamw.self_tuning import SELF_TUNING_POINT as NADAMW
from reference_algorithms.shared import parameter_types

# Our choice: rate, decay and warm-up of NadamW's self-tuning point, whose steps have the same size; moments and
# frequency of SOAP's authors. No dropout_rate: the workload's default applies.
SELF_TUNING_POINT = SimpleNamespace(
    learning_rate=NADAMW.learning_rate,
    one_minus_beta1=0.05,
    beta2=0.95,
    precondition_frequency=10,
    weight_decay=NADAMW.weight_decay,
    warmup_factor=NADAMW.warmup_factor,
)

MATRIX_TYPES = {*parameter_types.MATRIX_TYPES, ParameterType.EMBEDDING}
"""Parameters of these types with two or more axes are rotated. Biases never are, even if stored with several axes."""

MAX_AXIS_SIZE = 4096
"""Longer axes keep the identity as their basis: in the benchmark vocabularies, embedding tables and the 10,240
features of a frame of speech, as with the authors' limit of 10,000; the widest axis with a basis has 3584.
A basis of 4096 and its statistic take 128 MiB, of 10,000 they would take 763 MiB.
"""

EPSILON = 1e-8


def rotated_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes that get a basis; none for tensors that use Adam's rule.

    >>> rotated_axes((512, 2048)), rotated_axes((32_000, 512)), rotated_axes((512,))
    ((0, 1), (1,), ())
    """
    if len(shape) < 2:
        return ()
    return tuple(axis for axis, size in enumerate(shape) if size <= MAX_AXIS_SIZE)
