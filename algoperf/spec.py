"""The API that submissions see: enums, type names, the workload interface, and the errors of the benchmark.

Names and values are those of AlgoPerf 0.6, so that public submissions import and run unmodified.
This module imports no framework.
"""

import abc
import difflib
import enum
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Protocol


class UsageError(ValueError):
    """A mistake of the user. The message names the value, the choices and the next step."""


MAX_CHOICES = 12
"""An error lists up to this many names; if there are more, it shows the `NUM_NEAREST` most similar ones."""
NUM_NEAREST = 5


def no_such(kind: str, name: object, choices: Collection[str], how_to_list: str | None = None) -> UsageError:
    """The error for an unknown name.

    Args:
      kind: what the name stands for, such as 'workload'.
      name: the unknown name.
      choices: the existing names; only the most similar are shown if there are many.
      how_to_list: how to list all names, shown if there are many; without a full stop.

    >>> print(no_such("workload", "wtm", ["ogbg", "wmt"]))
    No workload is called 'wtm'; the nearest is 'wmt'. Choose from ogbg, wmt.
    """
    nearest = difflib.get_close_matches(str(name), choices, n=1)
    advice = f"; the nearest is {nearest[0]!r}" if nearest else ""
    shown = sorted(choices)
    if len(shown) <= MAX_CHOICES:
        return UsageError(f"No {kind} is called {str(name)!r}{advice}. Choose from {', '.join(shown)}.")
    near = difflib.get_close_matches(str(name), choices, n=NUM_NEAREST, cutoff=0.0)
    rest = f"{len(shown) - len(near)} more" + (f"; {how_to_list}" if how_to_list else "")
    return UsageError(f"No {kind} is called {str(name)!r}{advice}. Choose from {', '.join(near)} and {rest}.")


class Interrupted(Exception):  # noqa: N818 - no error
    """A signal asked a run or a campaign to stop; its state was saved, if it can be.

    Args:
      signal_number: of the signal.
      goes_on: what the same command will do, for people.
    """

    def __init__(self, signal_number: int, goes_on: str = "continues from here"):
        super().__init__(f"interrupted by signal {signal_number}")
        self.signal_number = signal_number
        self.goes_on = goes_on


class TrainingCompleteError(Exception):
    """Raised by a submission in `update_params` to end its training; one last evaluation follows."""


# Values of the enums are AlgoPerf's: stored results and submissions may contain them.
class LossType(enum.Enum):
    SOFTMAX_CROSS_ENTROPY = 0
    SIGMOID_CROSS_ENTROPY = 1
    MEAN_SQUARED_ERROR = 2
    CTC_LOSS = 3
    MEAN_ABSOLUTE_ERROR = 4


class ForwardPassMode(enum.Enum):
    TRAIN = 0
    EVAL = 1


class ParameterType(enum.Enum):
    WEIGHT = 0
    BIAS = 1
    CONV_WEIGHT = 2
    BATCH_NORM_SCALE = 3
    BATCH_NORM_BIAS = 4
    LAYER_NORM_SCALE = 5
    LAYER_NORM_BIAS = 6
    EMBEDDING = 7
    ATTENTION_Q = 8
    ATTENTION_K = 9
    ATTENTION_V = 10
    ATTENTION_OUT = 11
    ATTENTION_QKV = 12
    ATTENTION_KV = 13
    ATTENTION_BIAS = 14


class ShapeTuple:
    """The shape of one parameter. It is no pytree node, so that JAX's tree functions treat it as a leaf."""

    def __init__(self, shape_tuple: tuple[int, ...]):
        self.shape_tuple = tuple(int(size) for size in shape_tuple)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ShapeTuple) and self.shape_tuple == other.shape_tuple

    def __hash__(self) -> int:
        return hash(self.shape_tuple)

    def __repr__(self) -> str:
        return f"ShapeTuple({self.shape_tuple})"


# Type names of the API, used as annotations by submissions. They are opaque to neutral code.
Tensor = Any
Batch = dict[str, Any]
Shape = tuple[int, ...]
ParameterKey = str
ParameterContainer = Any
ParameterShapeTree = dict[str, Any]
ParameterTypeTree = dict[str, Any]
RandomState = Any
OptimizerState = Any
Hyperparameters = Any
ModelAuxiliaryState = Any
ModelInitState = tuple[ParameterContainer, ModelAuxiliaryState]
Timing = int
Steps = int
UpdateReturn = tuple[OptimizerState, ParameterContainer, ModelAuxiliaryState]
InitOptimizerFn = Callable[..., OptimizerState]
UpdateParamsFn = Callable[..., UpdateReturn]
PrepareForEvalFn = Callable[..., UpdateReturn]
DataSelectionFn = Callable[..., Any]


class MetricsLogger(Protocol):
    """Where a submission writes numbers of its own while it trains."""

    def append_scalar_metrics(self, metrics: Mapping[str, float | Tensor], global_step: int) -> None:
        """Writes numbers, or tensors of one element, under their names."""


class Workload(abc.ABC):
    """The object that every function of a submission receives.

    One Python object serves a whole trial; it is hashable by identity, so JAX submissions may pass it
    as a static argument. Facts (targets, sizes, budgets) are read-only properties; see
    `algoperf.workload.WorkloadSpec` for their units and sources.
    """

    metrics_logger: MetricsLogger | None = None
    """None where nothing is logged."""

    target_metric_name: str
    validation_target_value: float
    test_target_value: float | None
    loss_type: LossType
    num_train_examples: int
    num_eval_train_examples: int
    num_validation_examples: int
    num_test_examples: int | None
    eval_batch_size: int
    max_allowed_runtime_sec: int
    eval_period_time_sec: int
    step_hint: int

    @property
    @abc.abstractmethod
    def param_shapes(self) -> ParameterShapeTree:
        """Tree (JAX) or flat dict (PyTorch) of `ShapeTuple`; ValueError before `init_model_fn`."""

    @property
    @abc.abstractmethod
    def model_params_types(self) -> ParameterTypeTree:
        """`ParameterType` for every parameter, in the layout of `param_shapes`."""

    @abc.abstractmethod
    def is_output_params(self, param_key: ParameterKey) -> bool:
        """Whether `param_key` (JAX: top-level name, PyTorch: dotted name) is in the output layer."""

    @abc.abstractmethod
    def init_model_fn(self, rng: RandomState) -> ModelInitState:
        """New parameters (JAX: replicated tree, PyTorch: module on its device) and model state."""

    @abc.abstractmethod
    def model_fn(
        self,
        params: ParameterContainer,
        augmented_and_preprocessed_input_batch: Batch,
        model_state: ModelAuxiliaryState,
        mode: ForwardPassMode,
        rng: RandomState,
        update_batch_norm: bool,
        dropout_rate: float | None = None,
    ) -> tuple[Tensor, ModelAuxiliaryState]:
        """Logits (before the output activation) and the new model state.

        `mode` switches dropout and normalisation; in TRAIN mode a batch is always normalised by its own
        statistics and `update_batch_norm` decides only whether the running ones move. `dropout_rate` None
        is the workload's default; in JAX it may be a traced scalar.
        """

    @abc.abstractmethod
    def loss_fn(
        self,
        label_batch: Tensor,
        logits_batch: Tensor,
        mask_batch: Tensor | None = None,
        label_smoothing: float = 0.0,
    ) -> dict[str, Tensor]:
        """`summed` (scalar over valid items), `n_valid_examples` (scalar), `per_example`; no regularisation."""

    @abc.abstractmethod
    def output_activation_fn(self, logits_batch: Tensor, framework: str) -> Tensor:
        """Softmax, sigmoid or identity by `loss_type`; `framework` is 'jax' or 'pytorch'."""

    @abc.abstractmethod
    def has_reached_validation_target(self, eval_result: dict[str, float]) -> bool:
        """Whether `validation/<target metric>` is at least as good as the target."""

    @abc.abstractmethod
    def has_reached_test_target(self, eval_result: dict[str, float]) -> bool:
        """Whether `test/<target metric>` is at least as good as the target; True without a test split."""

    @abc.abstractmethod
    def eval_model(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Metrics of the splits eval_train (as `train/`), validation and test."""

    @abc.abstractmethod
    def _build_input_queue(self, *args: Any, **kwargs: Any) -> Iterator[Batch]:
        """The endless training batches. Submissions must not call it."""

    def attach_metrics_logger(self, metrics_logger: MetricsLogger | None) -> None:
        """Sets `metrics_logger`."""
        self.metrics_logger = metrics_logger
