"""PyTorch behind the neutral interface: keys, transfers, waiting, checkpoints, processes."""

import os
import pickle
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
import torch.distributed as dist

from algoperf import machine, pytorch_utils, random_utils
from algoperf.backends import environment, torch_checkpoint, torch_dynamo
from algoperf.backends.base import BoundWorkload, GeneratorState, Saw, describe_cpus, rows_of_process
from algoperf.backends.torch_checkpoint import OldSaved, Saved
from algoperf.backends.torch_model import Logits, TorchModel
from algoperf.backends.torch_places import Initial
from algoperf.backends.torch_processes import MaskGenerator, TorchExchange
from algoperf.data.batch import map_arrays
from algoperf.data.stream import Batch as HostBatch
from algoperf.spec import Batch, LossType, ModelAuxiliaryState, OptimizerState, UsageError, Workload

if TYPE_CHECKING:  # It takes seconds to import.
    from torch._dynamo.callback import CallbackArgs

torch_dynamo.leave_for_later()  # Before anything makes an optimizer, or looks at the class.


class TorchBackend:
    """See `algoperf.backends.base.Backend`."""

    name = "pytorch"
    unsaved: Sequence[str] = ()

    def __init__(self) -> None:
        self.use_ddp, self.rank, self.device, _ = pytorch_utils.pytorch_setup()
        pytorch_utils.pytorch_init(self.use_ddp, self.rank)
        if self.device.type == "cpu":
            machine.keep_freed_memory()
        self.process_index = dist.get_rank() if self.use_ddp else 0
        self.num_processes = dist.get_world_size() if self.use_ddp else 1
        self.exchange = TorchExchange() if self.num_processes > 1 else None
        self.masks: MaskGenerator | None = None
        self._record_compilation: Callable[[str], None] = lambda name: None
        self._initial: Initial | None = None

    def compiles_models(self, flag: bool | None) -> bool:
        # On a CPU, compiling takes longer than the whole budget of a mini workload.
        return self.platform() == "gpu" if flag is None else flag

    def bind_model(
        self, workload: BoundWorkload, torch_compile: bool = False, per_device: bool = False
    ) -> TorchModel:
        assert not per_device  # Only JAX submissions have this layout.
        return TorchModel(workload, self, torch_compile)

    def check_optimizer_state(self, state: object, function: str = "init_optimizer_state") -> None:
        if not isinstance(state, dict):
            what = "a dict" if function == "init_optimizer_state" else "a dict as its optimizer state"
            raise UsageError(
                f"{function} of a PyTorch submission must return {what}, got {type(state).__name__}."
            )

    def example_state(self, arrays: Mapping[str, np.ndarray]) -> OptimizerState:
        moments = ("exp_avg", "exp_avg_sq")
        return {
            "optimizer": {
                name: {moment: torch.from_numpy(array.copy()) for moment in moments}
                for name, array in arrays.items()
            }
        }

    def count_compilations(self, record: Callable[[str], None]) -> None:
        self._record_compilation = record
        torch_dynamo.when_imported(self._listen)

    def _listen(self) -> None:
        from torch._dynamo.callback import callback_handler

        # Asked anew by every trial, because torch.compiler.reset() drops who listens.
        if self._heard_of_compilation not in callback_handler.start_callbacks:
            callback_handler.register_start_callback(self._heard_of_compilation)

    def _heard_of_compilation(self, event: "CallbackArgs") -> None:
        # A frame's backward pass and its tuning are parts of one compilation.
        if event.callback_trigger.name == "DYNAMO" and threading.current_thread() is threading.main_thread():
            frame, _, _ = str(event.compile_id).partition("/")  # "0/1": frame 0, compiled the second time.
            self._record_compilation(f"frame {frame}")

    def numerics(self) -> dict[str, str | int | float | bool | None]:
        cudnn = torch.backends.cudnn
        return {
            "dtype": str(torch.get_default_dtype()),
            "matmul_precision": torch.get_float32_matmul_precision(),
            "cudnn_tf32": cudnn.allow_tf32,
            "cudnn_benchmark": cudnn.benchmark,
            "deterministic": torch.are_deterministic_algorithms_enabled() or cudnn.deterministic,
            "tf32_override": os.environ.get("NVIDIA_TF32_OVERRIDE"),
            "cublas_workspace": os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
            environment.THREADS: torch.get_num_threads(),
        }

    def platform(self) -> str:
        return "gpu" if self.device.type == "cuda" else self.device.type

    def num_devices(self) -> int:
        return self.num_processes

    def processes_on_host(self) -> int:
        return int(os.environ.get("LOCAL_WORLD_SIZE", 1))  # Set by torchrun, which starts a process per GPU.

    def to_device(self, batch: HostBatch, is_local: bool = False) -> Batch:
        if not is_local:
            batch = rows_of_process(batch, self.process_index, self.num_processes)
        if self.device.type == "cpu":
            return map_arrays(torch.from_numpy, batch)
        # Only copies from pinned memory run beside the device's work.
        pinned = map_arrays(lambda array: torch.from_numpy(array).pin_memory(), batch)
        return map_arrays(lambda tensor: tensor.to(self.device, non_blocking=True), pinned)

    def wait(self) -> None:
        if self.device.type == "cuda":
            # CPU operations are synchronous, so there is nothing to wait for on a CPU.
            torch.cuda.synchronize()

    def maximum(self, value: float) -> float:
        return value if self.exchange is None else self.exchange.maximum(value)

    def root_key(self, seed: int) -> np.ndarray:
        return random_utils.PRNGKey(seed)

    def seed_of(self, key: np.ndarray) -> int:
        return int(key[0])

    def step_keys(self, seed: int) -> random_utils.StepKeys:
        return random_utils.pytorch_step_keys(seed)

    def output_activation(self, logits: Logits, loss_type: LossType) -> Logits:
        if loss_type in (LossType.SOFTMAX_CROSS_ENTROPY, LossType.CTC_LOSS):
            if isinstance(logits, tuple):  # Speech: (logits, paddings).
                return torch.softmax(logits[0], dim=-1), *logits[1:]
            return torch.softmax(logits, dim=-1)
        if loss_type is LossType.SIGMOID_CROSS_ENTROPY:
            return torch.sigmoid(cast(torch.Tensor, logits))
        return logits

    # ---- checkpoints -------------------------------------------------------------------------------------------

    def remember_initial(self, params: torch.nn.Module, optimizer_state: OptimizerState) -> None:
        self._initial = torch_checkpoint.initial(params, optimizer_state)

    def save(
        self, params: torch.nn.Module, model_state: ModelAuxiliaryState, optimizer_state: OptimizerState
    ) -> Saved | None:
        del model_state  # Always None: running statistics are buffers of the module.
        if self._initial is None:
            self.remember_initial(params, optimizer_state)
        assert self._initial is not None
        written, problem = None, None
        try:
            written = torch_checkpoint.write(params, optimizer_state, self._initial)
        except Exception as error:  # Code of the submission has a part in it.
            problem = error
        problems = [problem and str(problem)]
        if self.exchange is not None:  # Where one cannot, the others must not wait for its share.
            problems = self.exchange.gather(problems[0])
        if any(text is not None for text in problems):
            raise pickle.PicklingError(next(text for text in problems if text is not None)) from problem
        assert written is not None
        self.unsaved = written.unsaved
        return torch_checkpoint.gathered(written, self.exchange)

    def saved_weights(self, saved: Saved | OldSaved, per_device: bool = False) -> dict[str, np.ndarray]:
        assert not per_device  # Only JAX submissions have this layout.
        return {name: tensor.detach().numpy() for name, tensor in saved["module"].items()}

    def saved_bytes(self, saved: Saved | None) -> int:
        return 0 if saved is None else torch_checkpoint.num_bytes(saved)

    def restore(
        self,
        saved: Saved | OldSaved,
        params: torch.nn.Module,
        model_state: ModelAuxiliaryState,
        optimizer_state: OptimizerState,
    ) -> tuple[torch.nn.Module, ModelAuxiliaryState, OptimizerState]:
        torch_checkpoint.restore(
            saved,
            params,
            optimizer_state,
            device=self.device,
            process_index=self.process_index,
            num_processes=self.num_processes,
        )
        return params, model_state, optimizer_state

    def random_state(self) -> GeneratorState:
        state: GeneratorState = {
            "numpy": np.random.get_state(),
            "python": random.getstate(),
            "torch": torch.get_rng_state(),
        }
        if self.device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state()
        return state

    def set_random_state(self, state: GeneratorState) -> None:
        np.random.set_state(state["numpy"])
        random.setstate(state["python"])
        torch.set_rng_state(state["torch"])
        if "cuda" in state and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["cuda"])

    # ---- about the machine -------------------------------------------------------------------------------------

    def device_memory(self) -> dict[str, int]:
        if self.device.type != "cuda":
            return {}
        return {str(self.device): int(torch.cuda.max_memory_allocated())}

    def device_total_bytes(self) -> int | None:
        return int(torch.cuda.mem_get_info()[1]) if self.device.type == "cuda" else None

    def take_at_most(self, share: float) -> None:
        if self.device.type == "cuda":
            torch.cuda.set_per_process_memory_fraction(share)

    def operations_of_pass(
        self,
        workload: BoundWorkload,
        params: torch.nn.Module,
        model_state: ModelAuxiliaryState,
        batch: Batch,
    ) -> float:
        from algoperf.backends import torch_operations  # Needed by a referee alone.

        return torch_operations.of_pass(workload, params, model_state, batch, self.root_key(0))

    def peak_operations_per_sec(self) -> float:
        from algoperf.backends import torch_operations

        return torch_operations.peak_per_sec(self.device)

    def describe_device(self) -> str:
        if self.device.type == "cuda":
            return f"{max(1, self.num_processes)} x {self.device_kind()}"
        return describe_cpus(self.num_processes)

    def device_kind(self) -> str:
        return torch.cuda.get_device_name() if self.device.type == "cuda" else self.device.type

    def scalar(self, value: object) -> float | torch.Tensor | None:
        if type(value) not in (torch.Tensor, torch.nn.Parameter):
            return None
        tensor = torch.Tensor.detach(cast(torch.Tensor, value))  # A new object, on which nothing was hung.
        if tensor.numel() != 1 or tensor.is_complex():
            return None
        # A copy, as the submission may go on to change it.
        return tensor.item() if tensor.device.type == "cpu" else tensor.clone()

    def to_float(self, value: float | torch.Tensor) -> float:
        return float(value.detach().reshape(())) if isinstance(value, torch.Tensor) else float(value)

    def is_out_of_memory(self, error: BaseException) -> bool:
        # CUDA libraries such as cuBLAS report it as a plain RuntimeError "CUDA error: out of memory".
        return isinstance(error, torch.cuda.OutOfMemoryError) or "out of memory" in str(error)

    def explain(self, error: BaseException, arguments: Mapping[str, object]) -> str | None:
        del error, arguments
        return None  # PyTorch's own messages name what they are about.

    def watch(self, workload: Workload, saw: Saw) -> Callable[[], None]:
        from algoperf.backends import torch_watch  # Of runs that are looked into alone.

        return torch_watch.watch(workload, saw)


def make() -> TorchBackend:
    """The backend of this process."""
    return TorchBackend()
