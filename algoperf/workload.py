"""What a workload is: `WorkloadSpec` (pure data) and `Workload`, which binds a spec to a framework.

A family (`workloads/<family>/workload.py`) writes one `Family`: its base facts, its variants as overrides
and its mini twin as overrides. `Family.specs()` expands it to every name, for example 'wmt', 'wmt_post_ln',
'wmt_mini' and 'wmt_post_ln_mini'. Nothing here imports a framework.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ml_collections

from algoperf import spec
from algoperf.spec import UsageError

FRAMEWORKS = ("jax", "pytorch")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """The same task with overrides; a variant is data, not a class."""

    model: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Overrides of the model configuration."""
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Overrides of the data configuration."""
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Overrides of other fields of `WorkloadSpec`, targets above all."""
    mini_facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Overrides for `<family>_<variant>_mini`, applied last (its targets, say)."""
    mini_model: Mapping[str, Any] | None = None
    """What takes the place of `model` in the twin, where the variant changes sizes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkloadSpec:
    """Everything that is known about one workload without loading data or a framework."""

    name: str
    """The name on the command line and in result folders, without framework suffix."""
    family: str
    """Its folder under `workloads/`."""
    dataset: str = ""
    """Name of its data folder, shared by families that learn from the same data; the family by default."""
    base_name: str = ""
    """Name that a submission is asked about when it does not know `name`; the family by default."""
    variant: str | None = None
    is_mini: bool = False

    target_metric_name: str
    """Key of the metric without split prefix, as in 'validation/bleu'."""
    higher_is_better: bool
    validation_target_value: float
    test_target_value: float
    loss_type: spec.LossType

    num_train_examples: int
    num_eval_train_examples: int
    """Size of the fixed training subset that is evaluated as 'train/...'."""
    num_validation_examples: int
    num_test_examples: int
    eval_batch_size: int
    """Global evaluation batch size; metrics do not depend on it."""

    max_allowed_runtime_sec: float
    """Budget on the submission clock in the external tuning ruleset, seconds."""
    eval_period_time_sec: float
    """Least wall time between the end of an evaluation and the start of the next, seconds."""
    step_hint: int
    """Updates that a baseline makes within the budget; submissions scale their schedules to it."""
    default_batch_size: int
    """Global batch size for a submission that does not know this workload."""
    default_dropout_rate: float = 0.0
    has_dropout: bool = True
    """Whether the model has dropout layers; without, a dropout rate changes nothing."""

    output_params: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    """Framework -> parameter keys of the output layer (JAX: top-level names, PyTorch: dotted names)."""
    train_mean: float | tuple[float, ...] | None = None
    train_stddev: float | tuple[float, ...] | None = None
    model: ml_collections.ConfigDict = dataclasses.field(default_factory=ml_collections.ConfigDict)
    """Locked model configuration; its entries are also attributes of the bound workload."""
    data: ml_collections.ConfigDict = dataclasses.field(default_factory=ml_collections.ConfigDict)
    """Locked data configuration, read by the family's data.py."""

    def __post_init__(self) -> None:
        for field in ("base_name", "dataset"):
            if not getattr(self, field):
                object.__setattr__(self, field, self.family)
        for field in ("model", "data"):
            value = getattr(self, field)
            config = ml_collections.ConfigDict(dict(value))
            object.__setattr__(self, field, ml_collections.FrozenConfigDict(config))
        counts = (
            "num_train_examples",
            "num_eval_train_examples",
            "num_validation_examples",
            "num_test_examples",
        )
        for field in (*counts, "eval_batch_size", "step_hint", "default_batch_size"):
            value = getattr(self, field)
            if not isinstance(value, int) or value <= 0:
                raise UsageError(f"{self.name}: {field} must be a positive integer, got {value!r}.")
        for field in ("max_allowed_runtime_sec", "eval_period_time_sec"):
            value = getattr(self, field)
            if not (math.isfinite(value) and value > 0):
                raise UsageError(f"{self.name}: {field} must be a positive number of seconds, got {value!r}.")
        for field in ("validation_target_value", "test_target_value"):
            check_target(self.name, field, self.target_metric_name, getattr(self, field))
        if not 0 <= self.default_dropout_rate < 1:
            raise UsageError(
                f"{self.name}: default_dropout_rate must be in [0, 1), got {self.default_dropout_rate!r}."
            )

    def meets(self, value: float, target: float) -> bool:
        """Whether a metric value is at least as good as a target; NaN never is."""
        return value >= target if self.higher_is_better else value <= target

    def to_dict(self) -> dict[str, Any]:
        """The spec as plain JSON types."""
        result = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, ml_collections.FrozenConfigDict):
                value = value.as_configdict().to_dict()
            elif isinstance(value, spec.LossType):
                value = value.name
            elif isinstance(value, Mapping):
                value = {key: list(item) for key, item in value.items()}
            result[field.name] = value
        return result

    def config_hash(self) -> str:
        """Short hash over everything in the spec, for records and caches."""
        text = json.dumps(self.to_dict(), sort_keys=True, default=list)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


# Metric -> closed range of possible values. A typing error such as 229.4 for 29.4 is caught here.
METRIC_RANGES = {
    "accuracy": (0.0, 1.0),
    "error_rate": (0.0, 1.0),
    "ssim": (-1.0, 1.0),
    "mean_average_precision": (0.0, 1.0),
    "bleu": (0.0, 100.0),
}


def check_target(workload: str, field: str, metric: str, value: float) -> None:
    """Raises UsageError if `value` cannot be a value of `metric`."""
    low, high = METRIC_RANGES.get(metric, (0.0, math.inf))
    if not low <= value <= high:
        raise UsageError(
            f"{workload}: {field} is a {metric}, so it must be in [{low}, {high}]; got {value!r}."
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """A base workload with its variants and, by composition, their mini twins."""

    base: WorkloadSpec
    variants: Mapping[str, Variant] = dataclasses.field(default_factory=dict)
    """Suffix ('post_ln') -> overrides."""
    mini: Variant | None = None
    """Overrides that make the mini twin out of the base or of a variant."""

    def specs(self) -> dict[str, WorkloadSpec]:
        """Name -> spec for base, variants, mini twin and mini variants."""
        found = {self.base.name: self.base}
        for suffix, variant in self.variants.items():
            name = f"{self.base.name}_{suffix}"
            found[name] = _override(self.base, variant, name=name, variant=suffix)
        if self.mini is not None:
            for full_name, full in list(found.items()):
                small = _override(full, self.mini, name=f"{full_name}_mini", is_mini=True)
                if full.variant is not None:
                    # The variant comes last: what it changes stays changed in its twin, mini targets included.
                    variant = self.variants[full.variant]
                    model = variant.model if variant.mini_model is None else variant.mini_model
                    again = Variant(model=model, data=variant.data, facts=variant.mini_facts)
                    small = _override(small, again, name=small.name)
                found[small.name] = small
        return found


def _override(base: WorkloadSpec, overrides: Variant, **fields: Any) -> WorkloadSpec:
    changes: dict[str, Any] = dict(overrides.facts)
    for part in ("model", "data"):
        config = ml_collections.ConfigDict(getattr(base, part).to_dict())  # A copy: the base stays as it is.
        wanted = getattr(overrides, part)
        for key in wanted:
            if key not in config:
                raise spec.no_such(f"{part} setting of {base.family}", key, list(config))
        config.update(dict(wanted))
        changes[part] = config
    known = {field.name for field in dataclasses.fields(WorkloadSpec)}
    for key in overrides.facts:
        if key not in known:
            raise spec.no_such("fact of a workload", key, known)
    return dataclasses.replace(base, **changes, **fields)


class Workload(spec.Workload):
    """A spec bound to one framework and one data folder; what submissions and the harness work with.

    Args:
      workload_spec: the facts.
      framework: 'jax' or 'pytorch'.
      data_dir: root folder of prepared data; see `algoperf.data.locate`.
      torch_compile: whether PyTorch models are compiled.
      per_device: whether JAX arrays carry a leading device axis, for submissions that use `jax.pmap`.
    """

    def __init__(
        self,
        workload_spec: WorkloadSpec,
        framework: str,
        data_dir: Path | str | None = None,
        torch_compile: bool = False,
        per_device: bool = False,
    ):
        from algoperf import registry
        from algoperf.backends import get_backend

        self.spec = workload_spec
        self.name = workload_spec.name
        self.framework = framework
        self.data_dir = data_dir
        self.metrics_logger = None
        self.backend = get_backend(framework)
        self.data_module = registry.data_module(workload_spec)
        self.model = self.backend.bind_model(self, torch_compile, per_device)
        self.default_dropout_rate = workload_spec.default_dropout_rate
        self._evaluator: Any = None

    # ---- facts -------------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        """Facts of the spec and entries of its model configuration read as attributes (`step_hint`, `pre_ln`)."""
        if name.startswith("__") or "spec" not in self.__dict__:
            raise AttributeError(name)
        facts = self.__dict__["spec"]
        if name in ("train_mean", "train_stddev"):
            if getattr(facts, name) is not None:
                return getattr(facts, name)
            raise NotImplementedError(f"{facts.name} has no {name}.")
        if name in facts.model:
            return facts.model[name]
        raise AttributeError(f"Workload {facts.name!r} has no attribute {name!r}.")

    @property
    def param_shapes(self) -> spec.ParameterShapeTree:
        return self.model.param_shapes

    @property
    def model_params_types(self) -> spec.ParameterTypeTree:
        return self.model.param_types

    def is_output_params(self, param_key: str) -> bool:
        return param_key in self.spec.output_params.get(self.framework, ())

    # ---- model and loss ----------------------------------------------------------------------------------------

    def init_model_fn(self, rng: spec.RandomState) -> spec.ModelInitState:
        return self.model.init(rng)

    def model_fn(
        self,
        params: spec.ParameterContainer,
        augmented_and_preprocessed_input_batch: spec.Batch,
        model_state: spec.ModelAuxiliaryState,
        mode: spec.ForwardPassMode,
        rng: spec.RandomState,
        update_batch_norm: bool,
        dropout_rate: float | None = None,
        use_running_average_bn: bool | None = None,
    ) -> tuple[spec.Tensor, spec.ModelAuxiliaryState]:
        """See `spec.Workload.model_fn`.

        `use_running_average_bn=True` is for JAX submissions that want training-time gradients through the running
        statistics of batch norm; dropout is off then. AlgoPerf has it in the workloads with batch norm.
        """
        if dropout_rate is None:
            dropout_rate = self.default_dropout_rate
        batch = augmented_and_preprocessed_input_batch
        if use_running_average_bn:
            if self.framework != "jax" or update_batch_norm:
                raise ValueError(
                    "use_running_average_bn=True goes with JAX and update_batch_norm=False only; in PyTorch, call "
                    ".eval() on the batch-norm layers."
                )
            return self.model.eval_forward(params, batch, model_state), model_state
        if mode is spec.ForwardPassMode.TRAIN:
            return self.model.train_forward(params, batch, model_state, rng, update_batch_norm, dropout_rate)
        if update_batch_norm:
            raise ValueError(
                "update_batch_norm=True goes with ForwardPassMode.TRAIN only; pass False in EVAL mode."
            )
        return self.model.eval_forward(params, batch, model_state), model_state

    def loss_fn(
        self,
        label_batch: spec.Tensor,
        logits_batch: spec.Tensor,
        mask_batch: spec.Tensor | None = None,
        label_smoothing: float = 0.0,
    ) -> dict[str, spec.Tensor]:
        return self.model.loss(label_batch, logits_batch, mask_batch, label_smoothing)

    def output_activation_fn(self, logits_batch: spec.Tensor, framework: str) -> spec.Tensor:
        from algoperf.backends import get_backend

        return get_backend(framework).output_activation(logits_batch, self.spec.loss_type)

    # ---- targets and evaluation --------------------------------------------------------------------------------

    def has_reached_validation_target(self, eval_result: dict[str, float]) -> bool:
        value = eval_result.get(f"validation/{self.spec.target_metric_name}", math.nan)
        return self.spec.meets(value, self.spec.validation_target_value)

    def has_reached_test_target(self, eval_result: dict[str, float]) -> bool:
        value = eval_result.get(f"test/{self.spec.target_metric_name}", math.nan)
        return self.spec.meets(value, self.spec.test_target_value)

    @property
    def evaluator(self) -> Any:
        """The evaluator of this workload, made on first use (its batches stay in host memory)."""
        if self._evaluator is None:
            from algoperf.run.evaluation import Evaluator

            self._evaluator = Evaluator(self)
        return self._evaluator

    def eval_model(
        self,
        global_batch_size: int,
        params: spec.ParameterContainer,
        model_state: spec.ModelAuxiliaryState,
        rng: spec.RandomState = None,
        data_dir: str | None = None,
        imagenet_v2_data_dir: str | None = None,
        global_step: int = 0,
    ) -> dict[str, float]:
        """Metrics of all splits; `rng`, the folders and `global_step` are accepted for compatibility."""
        del rng, data_dir, imagenet_v2_data_dir, global_step
        return self.evaluator.evaluate(params, model_state, batch_size=global_batch_size)

    def _build_input_queue(
        self,
        data_rng: spec.RandomState,
        split: str,
        data_dir: str | None,
        global_batch_size: int,
        cache: bool | None = None,
        repeat_final_dataset: bool | None = None,
        num_batches: int | None = None,
    ) -> Iterator[spec.Batch]:
        """AlgoPerf's name for the training queue; `algoperf.data.queue` is what the harness itself uses."""
        del cache, repeat_final_dataset, num_batches
        from algoperf.data import queue

        if split != "train":
            raise ValueError(
                f"Only the 'train' split has an input queue, not {split!r}; use `evaluator` for others."
            )
        seed = self.backend.seed_of(data_rng)
        return queue.TrainingQueue(self, seed=seed, global_batch_size=global_batch_size, data_dir=data_dir)


def _spec_property(name: str) -> property:
    return property(lambda self: getattr(self.spec, name), doc=f"See `WorkloadSpec.{name}`.")


for _name in (
    "target_metric_name",
    "validation_target_value",
    "test_target_value",
    "loss_type",
    "num_train_examples",
    "num_eval_train_examples",
    "num_validation_examples",
    "num_test_examples",
    "eval_batch_size",
    "max_allowed_runtime_sec",
    "eval_period_time_sec",
    "step_hint",
):
    setattr(Workload, _name, _spec_property(_name))
