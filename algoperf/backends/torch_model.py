"""A workload's PyTorch module as the functions of the API."""

import contextlib
from collections.abc import Mapping
from typing import Any, Protocol, cast

import numpy as np
import torch
import torch.distributed as dist

from algoperf import param_utils, registry
from algoperf.backends.base import BoundWorkload, SubmissionError
from algoperf.backends.torch_evaluation import EvaluationTwin, evaluation_mode, undisturbed
from algoperf.backends.torch_process import tampering
from algoperf.backends.torch_processes import MaskGenerator
from algoperf.data.stream import Batch as HostBatch
from algoperf.families import TorchModelFile
from algoperf.losses import torch_losses
from algoperf.metrics import averages
from algoperf.pytorch_utils import FrozenRunningStatistics, batch_norm_layers
from algoperf.spec import Batch, ModelAuxiliaryState, OptimizerState

Logits = torch.Tensor | tuple[torch.Tensor, ...]
"""A tuple where a workload's loss needs more than logits; speech models give (logits, paddings)."""


class Processes(Protocol):
    """What a model needs to know about its process and the other processes."""

    device: torch.device
    rank: int
    process_index: int
    num_processes: int
    masks: MaskGenerator | None
    """Set by `TorchModel.init` in runs of several processes, else None."""

    def to_device(self, batch: HostBatch, is_local: bool = False) -> Batch:
        """Starts the transfer of this process's rows of a batch."""


class TorchModel:
    """See `algoperf.backends.base.BoundModel`.

    Args:
      workload: gives the spec.
      backend: knows the device and the processes.
      torch_compile: whether `init` returns a compiled module.
    """

    def __init__(self, workload: BoundWorkload, backend: Processes, torch_compile: bool):
        self.spec = workload.spec
        self._backend = backend
        self._torch_compile = torch_compile
        family = registry.model_module(self.spec, "pytorch")
        assert isinstance(family, TorchModelFile)
        self._family, self._call_args, self._arrange = family, family.call_args, family.arrange
        self.loss = family.loss or torch_losses.LOSSES[self.spec.loss_type]
        self._shapes: dict[str, Any] | None = None
        self._types: dict[str, Any] | None = None
        self._twin: EvaluationTwin | None = None

    # ---- parameters --------------------------------------------------------------------------------------------

    def init(self, rng: np.ndarray) -> tuple[torch.nn.Module, None]:
        torch.manual_seed(int(rng[0]))
        module = self._family.make_model(self.spec).to(self._backend.device)
        # Before the wrappers, which put prefixes before the parameters' names.
        if (
            self._shapes is None
        ):  # Once: a submission may make new parameters, and the model stays what it was.
            self._shapes = param_utils.pytorch_param_shapes(module)
            self._twin = EvaluationTwin(module, self._torch_compile)
        if self._backend.num_processes > 1:
            on_gpu = self._backend.device.type == "cuda"
            device_ids = [self._backend.rank] if on_gpu else None
            # Wrapped first and compiled then: torch.compile splits its graphs at DDP's gradient buckets, so
            # that communication overlaps the backward pass.
            module = torch.nn.parallel.DistributedDataParallel(module, device_ids=device_ids)
            self._backend.masks = MaskGenerator(self._backend.process_index, self._backend.device)
        if self._torch_compile:
            module = torch.compile(module)
        return module, None

    def place_state(
        self, params: torch.nn.Module, model_state: ModelAuxiliaryState, optimizer_state: OptimizerState
    ) -> tuple[torch.nn.Module, ModelAuxiliaryState, OptimizerState]:
        # Tensors stay where they are from one update to the next.
        return params, model_state, optimizer_state

    @property
    def param_shapes(self) -> dict[str, Any]:
        if self._shapes is None:
            raise ValueError("The model has no parameters yet: call workload.init_model_fn first.")
        return self._shapes

    @property
    def param_types(self) -> dict[str, Any]:
        if self._types is None:
            self._types = param_utils.pytorch_param_types(self.param_shapes)
        return self._types

    def to_device(self, batch: HostBatch, is_local: bool = False) -> Batch:
        return self._arrange(self._backend.to_device(batch, is_local))

    def eval_to_device(self, batch: HostBatch) -> Batch:
        return self.to_device(batch)

    # ---- passes ------------------------------------------------------------------------------------------------

    def train_forward(
        self,
        params: torch.nn.Module,
        batch: Batch,
        model_state: ModelAuxiliaryState,
        rng: np.ndarray,
        update_batch_norm: bool,
        dropout_rate: float,
    ) -> tuple[Logits, None]:
        del model_state, rng
        # Not at every step: `train()` would also switch back batch-norm layers that a submission has set to
        # `.eval()`.
        if not params.training:
            params.train()
        args = self._call_args(batch, train=True)
        masks = self._backend.masks or contextlib.nullcontext()
        if update_batch_norm:
            with masks:
                return params(**args, dropout_rate=dropout_rate), None
        # PyTorch moves running statistics during the pass, so they are frozen beforehand; JAX drops the new
        # ones afterwards.
        with masks, FrozenRunningStatistics(batch_norm_layers(params)):
            return params(**args, dropout_rate=dropout_rate), None

    def eval_forward(self, params: torch.nn.Module, batch: Batch, model_state: ModelAuxiliaryState) -> Logits:
        del model_state
        # Afterwards every layer is in its mode again: a submission may have frozen some.
        with evaluation_mode(params), torch.no_grad():
            return params(**self._call_args(batch, train=False), dropout_rate=0.0)

    def running_average_forward(
        self, params: torch.nn.Module, batch: Batch, model_state: ModelAuxiliaryState
    ) -> Logits:
        raise ValueError(
            "use_running_average_bn=True goes with JAX only; in PyTorch, call .eval() on the batch-norm layers."
        )

    def _eval_outputs(self, params: torch.nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        if self._twin is None:  # A module that somebody else made: evaluated through a copy of itself.
            self._twin = EvaluationTwin(unwrap(params), self._torch_compile)
        called, module = self._twin.around(unwrap(params))
        if self._family.eval_outputs is not None:
            return self._family.eval_outputs(module, batch, self.spec)
        # Tuples go to `eval_outputs` of the family.
        logits: torch.Tensor = called(**self._call_args(batch, train=False), dropout_rate=0.0)
        outputs = {"loss": self.loss(batch["targets"], logits, None, 0.0)["per_example"]}
        if averages.wants_correct(self.spec):
            outputs["correct"] = logits.argmax(dim=-1) == batch["targets"]
        return outputs

    def eval_step(
        self, params: torch.nn.Module, model_state: ModelAuxiliaryState, batch: Batch
    ) -> dict[str, np.ndarray]:
        del model_state
        with undisturbed(self._backend.device):
            outputs = self._eval_outputs(params, batch)
        host = {key: value.cpu().numpy() for key, value in outputs.items()}
        if self._backend.num_processes == 1:
            return host
        shares: list[Any] = [None] * self._backend.num_processes
        # Ranks hold contiguous rows, so joining the shares in rank order restores the order of the batch.
        dist.all_gather_object(shares, host)
        return {key: np.concatenate([share[key] for share in shares]) for key in host}

    # ---- weights for another process ---------------------------------------------------------------------------

    def weights(self, params: torch.nn.Module, model_state: ModelAuxiliaryState) -> dict[str, np.ndarray]:
        del model_state
        return {name: tensor.detach().cpu().numpy() for name, tensor in _tensors(unwrap(params)).items()}

    def with_weights(
        self, params: torch.nn.Module, model_state: ModelAuxiliaryState, arrays: Mapping[str, np.ndarray]
    ) -> tuple[torch.nn.Module, None]:
        del model_state
        with torch.no_grad():
            for name, tensor in _tensors(unwrap(params)).items():
                tensor.copy_(torch.from_numpy(np.array(arrays[name])))
        return params, None

    # ---- checks ------------------------------------------------------------------------------------------------

    def check_update(self, params: object, model_state: object) -> None:
        if not isinstance(params, torch.nn.Module):
            raise SubmissionError(
                f"The submission returned {type(params).__name__} as parameters; return "
                "(optimizer_state, params, model_state) in this order, with the module that was passed in."
            )
        if model_state is not None:
            raise SubmissionError(
                f"The model state of a PyTorch run is None; got {type(model_state).__name__}."
            )
        module = unwrap(params)
        found = param_utils.pytorch_param_shapes(module)
        if found.keys() != self.param_shapes.keys():
            odd = sorted(found.keys() ^ self.param_shapes.keys())
            raise SubmissionError(
                f"The submission returned a module with other parameters than the model's, for example {odd[0]!r}. "
                "A submission must not change the model."
            )
        for (name, parameter), want in zip(module.named_parameters(), self.param_shapes.values()):
            if type(parameter) is not torch.nn.Parameter:
                raise SubmissionError(
                    f"The submission returned parameter {name!r} as a {type(parameter).__name__}; parameters are "
                    "torch.nn.Parameter and no subclass of it (R3.13)."
                )
            if tuple(parameter.shape) != want.shape_tuple or parameter.dtype != torch.float32:
                raise SubmissionError(
                    f"The submission returned parameter {name!r} as {parameter.dtype}{list(parameter.shape)}; "
                    f"the model's is torch.float32{list(want.shape_tuple)}. A submission must not change the model."
                )
        left = tampering()
        if left is not None:
            raise SubmissionError(
                f"The submission acts on all of PyTorch, evaluations included (R3.13, R3.17): {left}. Leave modes "
                "before a function returns, and give operators of your own a namespace of their own."
            )
        different = None if self._twin is None else self._twin.difference(module)
        if different is not None:
            raise SubmissionError(
                f"The submission returned another model than the workload's (R3.13): {different}."
            )

    def has_finite_params(self, params: torch.nn.Module) -> bool:
        with torch.no_grad():
            return all(bool(torch.isfinite(parameter).all()) for parameter in params.parameters())


def _tensors(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and buffers of a module without wrappers, by name."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def unwrap(module: torch.nn.Module) -> torch.nn.Module:
    """The workload's own module inside `DistributedDataParallel`, `DataParallel` and `torch.compile` wrappers."""
    parallel = (torch.nn.parallel.DistributedDataParallel, torch.nn.DataParallel)
    while True:
        if isinstance(module, parallel):
            module = module.module
        elif hasattr(module, "_orig_mod"):
            module = cast(torch.nn.Module, module._orig_mod)
        else:
            return module
