"""A workload in one framework: the object that submissions receive, and what the harness trains and evaluates."""

import math
from pathlib import Path
from typing import Any

from algoperf import logged, records, registry, spec
from algoperf.backends import get_backend
from algoperf.data import queue
from algoperf.evaluation import Evaluator
from algoperf.workload import WorkloadSpec


class Workload(spec.Workload):
    """A `WorkloadSpec` bound to one framework and one data folder; submissions and the harness work with it.

    Args:
      workload_spec: targets, sizes, budgets and configuration.
      framework: 'jax' or 'pytorch'; see `algoperf.frameworks`.
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
        self.spec = workload_spec
        self.name = workload_spec.name
        self.framework = framework
        self.data_dir = data_dir
        self.metrics_logger = None
        self.backend = get_backend(framework)
        self.data_module = registry.data_module(workload_spec)
        self.model = self.backend.bind_model(self, torch_compile, per_device)
        self.default_dropout_rate = workload_spec.default_dropout_rate
        self._evaluator: Evaluator | None = None

    # ---- facts -------------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        """Entries of the model configuration (`pre_ln`) and the image statistics, which AlgoPerf has as attributes."""
        # `copy` and `pickle` ask for dunder names, also before `spec` is set; without this the lookup would
        # recurse.
        if name.startswith("__") or "spec" not in self.__dict__:
            raise AttributeError(name)
        facts = self.__dict__["spec"]
        if isinstance(getattr(type(self), name, None), property):
            # Python asks here for a property that has raised AttributeError itself; once more, its own error is seen.
            return object.__getattribute__(self, name)
        if name in ("train_mean", "train_stddev"):
            if getattr(facts, name) is not None:
                return getattr(facts, name)
            # As AlgoPerf's workloads without image statistics do.
            raise NotImplementedError(f"{facts.name} has no {name}.")
        if name in facts.model:
            return facts.model[name]
        raise AttributeError(f"Workload {facts.name!r} has no attribute {name!r}.")

    def attach_metrics_logger(self, metrics_logger: spec.MetricsLogger | None) -> None:
        """Sets what the submission logs with; the harness keeps the logger itself."""
        if isinstance(metrics_logger, records.MetricsLogger):
            metrics_logger = logged.SubmissionLog(metrics_logger, self.backend.scalar)
        self.metrics_logger = metrics_logger

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

        With `use_running_average_bn=True` (JAX only) batch norm uses its running statistics, gradients flow and dropout
        is off. AlgoPerf's workloads with batch norm have this argument.

        Raises:
          ValueError: if `update_batch_norm` is True outside training or with `use_running_average_bn`.
        """
        if dropout_rate is None:
            dropout_rate = self.default_dropout_rate
        batch = augmented_and_preprocessed_input_batch
        if use_running_average_bn:
            if update_batch_norm:
                raise ValueError("use_running_average_bn=True goes with update_batch_norm=False only.")
            return self.model.running_average_forward(params, batch, model_state), model_state
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
        return get_backend(framework).output_activation(logits_batch, self.spec.loss_type)

    # ---- targets and evaluation --------------------------------------------------------------------------------

    def has_reached_validation_target(self, eval_result: dict[str, float]) -> bool:
        value = eval_result.get(f"validation/{self.spec.target_metric_name}", math.nan)
        return self.spec.meets(value, self.spec.validation_target_value)

    def has_reached_test_target(self, eval_result: dict[str, float]) -> bool:
        if self.spec.test_target_value is None:
            return True
        value = eval_result.get(f"test/{self.spec.target_metric_name}", math.nan)
        return self.spec.meets(value, self.spec.test_target_value)

    @property
    def evaluator(self) -> Evaluator:
        """The evaluator of this workload, made on first use (its batches stay in host memory)."""
        if self._evaluator is None:
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
    ) -> queue.TrainingQueue:
        """AlgoPerf's name for the training queue; `algoperf.data.queue` is what the harness itself uses."""
        del cache, repeat_final_dataset, num_batches
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
    # Properties, so that an attempt to set one of these facts fails.
    setattr(Workload, _name, _spec_property(_name))
