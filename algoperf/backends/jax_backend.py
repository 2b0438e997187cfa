"""JAX behind the neutral interface: keys, transfers, waiting, checkpoints."""

import collections
import functools
import os
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import jax
import numpy as np

from algoperf import jax_sharding_utils, machine, random_utils
from algoperf.backends import environment, jax_checkpoint, jax_launch
from algoperf.backends.base import (
    BoundWorkload,
    GeneratorState,
    HostCopy,
    Saw,
    describe_cpus,
    rows_of_process,
)
from algoperf.backends.jax_checkpoint import FunctionLeaf, SavedArray  # noqa: F401 - older checkpoints find them here
from algoperf.backends.jax_model import JaxModel, Logits, kind_of_arrays
from algoperf.data.batch import map_arrays
from algoperf.data.stream import Batch as HostBatch
from algoperf.spec import (
    Batch,
    LossType,
    ModelAuxiliaryState,
    OptimizerState,
    ParameterContainer,
    UsageError,
    Workload,
)

COMPILATION_EVENT = "/jax/core/compile/backend_compile_duration"
"""What JAX reports for each program that it compiles or finds in a cache on disk."""


@jax.jit
def _increment(marker: jax.Array) -> jax.Array:
    return marker + 1


def _transferred_batch(batch: Batch) -> Batch:
    """Under this name it is among the compilations of `data_selection` where a queue does not work ahead."""
    return batch


class JaxBackend:
    """See `algoperf.backends.base.Backend`."""

    name = "jax"
    unsaved: Sequence[str] = ()

    def __init__(self) -> None:
        if self.platform() == "cpu":
            machine.keep_freed_memory()
        self.process_index = jax.process_index()
        self.num_processes = jax.process_count()
        self.exchange = None
        if self.num_processes > 1:
            from algoperf.backends.jax_processes import JaxExchange

            # A global batch is cut into equal shares per process, and each share into equal parts per device.
            counts = collections.Counter(device.process_index for device in jax.devices())
            if len(set(counts.values())) > 1:
                raise UsageError(
                    f"Hosts must have equally many devices; they have {sorted(counts.values())}."
                )
            self.exchange = JaxExchange()
        self._initial_functions: set[str] | None = None
        self._record_compilation: Callable[[str], None] = lambda name: None
        jax.monitoring.register_event_duration_secs_listener(self._heard_of_event)
        self._batch_sharding = jax_sharding_utils.get_batch_dim_sharding()
        self._replicated = jax_sharding_utils.get_replicate_sharding()
        # A scalar per local device; see `wait`.
        self._markers = [jax.device_put(np.zeros((), np.float32), device) for device in jax.local_devices()]
        self.wait()  # Compiles what `wait` needs, off the clock.
        # It does the same as device_put, in 30 instead of 250 us for a batch of digits.
        # A jitted identity with shardings places a batch on all devices in one dispatch.
        self._place = jax.jit(
            _transferred_batch, in_shardings=self._batch_sharding, out_shardings=self._batch_sharding
        )

    def compiles_models(self, flag: bool | None) -> bool:
        del flag  # JAX submissions jit their own steps, which compiles the model as a part of them.
        return False

    def bind_model(
        self, workload: BoundWorkload, torch_compile: bool = False, per_device: bool = False
    ) -> JaxModel:
        del torch_compile
        if per_device:
            from algoperf.backends import jax_per_device

            if self.num_processes > 1:
                raise UsageError(
                    "Submissions for jax.pmap run in one process: start them on one host, without --coordinator."
                )
            return jax_per_device.PerDeviceModel(workload)
        return JaxModel(workload)

    def check_optimizer_state(self, state: object, function: str = "init_optimizer_state") -> None:
        if not (isinstance(state, tuple) and len(state) == 2):
            where = "" if function == "init_optimizer_state" else " as its optimizer state"
            raise UsageError(
                f"{function} of a JAX submission must return a pair (state, update function or None){where}, got "
                f"{type(state).__name__}."
            )

    def example_state(self, arrays: Mapping[str, np.ndarray]) -> OptimizerState:
        return [{name: array.copy() for name, array in arrays.items()} for _ in range(2)], None

    def count_compilations(self, record: Callable[[str], None]) -> None:
        self._record_compilation = record

    def _heard_of_event(self, event: str, duration_secs: float, **kwargs: str | int) -> None:
        del duration_secs
        # Other threads are the harness's own: its queue compiles the transfer of a batch.
        if event == COMPILATION_EVENT and threading.current_thread() is threading.main_thread():
            name = str(kwargs.get("fun_name", "unknown"))
            self._record_compilation(name.removeprefix("jit(").removesuffix(")"))

    def numerics(self) -> dict[str, str | int | float | bool | None]:
        options = jax.config.values
        return {
            "x64": options["jax_enable_x64"],
            "matmul_precision": options["jax_default_matmul_precision"],
            "prng": options["jax_default_prng_impl"],
            "threefry_partitionable": options["jax_threefry_partitionable"],
            "most_optimizations": not options["jax_disable_most_optimizations"],
            "xla_flags": environment.that_change_numbers(os.environ.get("XLA_FLAGS", "")),
            "tf32_override": os.environ.get("NVIDIA_TF32_OVERRIDE"),
            environment.THREADS: jax_launch.num_threads(),
        }

    def platform(self) -> str:
        return jax.default_backend()

    def num_devices(self) -> int:
        return jax.device_count()

    def processes_on_host(self) -> int:
        # One JAX process drives all devices of a host.
        return 1

    def to_device(self, batch: HostBatch, is_local: bool = False) -> Batch:
        if self.num_processes > 1:
            local = batch if is_local else rows_of_process(batch, self.process_index, self.num_processes)
            make = functools.partial(jax.make_array_from_process_local_data, self._batch_sharding)
            return map_arrays(make, local)
        return self._place(batch)

    def wait(self) -> None:
        # All live arrays, not only the returned ones: whatever is still being computed was queued by the submission.
        for array in jax.live_arrays():
            if not array.is_deleted():
                array.block_until_ready()
        jax.effects_barrier()
        # A result that nobody keeps is no live array, but the device still computes it. A device works in the order of
        # the queue, so a small addition that is queued now finishes after everything before it.
        jax.block_until_ready([_increment(marker) for marker in self._markers])

    def maximum(self, value: float) -> float:
        return value if self.exchange is None else self.exchange.maximum(value)

    def root_key(self, seed: int) -> jax.Array:
        return jax.random.PRNGKey(seed)

    def seed_of(self, key: jax.Array) -> int:
        # `PRNGKey(seed)` is the pair (upper 32 bits, lower 32 bits) of the seed.
        return int(np.asarray(key)[-1])

    def step_keys(self, seed: int) -> random_utils.StepKeys:
        return random_utils.jax_step_keys(seed)

    def output_activation(self, logits: Logits, loss_type: LossType) -> Logits:
        if loss_type in (LossType.SOFTMAX_CROSS_ENTROPY, LossType.CTC_LOSS):
            if isinstance(logits, tuple):  # Speech: (logits, paddings).
                return jax.nn.softmax(logits[0], axis=-1), *logits[1:]
            return jax.nn.softmax(logits, axis=-1)
        if loss_type is LossType.SIGMOID_CROSS_ENTROPY:
            return jax.nn.sigmoid(cast(jax.Array, logits))
        return logits

    # ---- checkpoints -------------------------------------------------------------------------------------------

    def remember_initial(self, params: ParameterContainer, optimizer_state: OptimizerState) -> None:
        del params
        self._initial_functions = set(jax_checkpoint.functions_in((None, None, optimizer_state[0])))

    def save(
        self, params: ParameterContainer, model_state: ModelAuxiliaryState, optimizer_state: OptimizerState
    ) -> HostCopy:
        saved, functions = jax_checkpoint.to_host(params, model_state, *optimizer_state)
        initial = self._initial_functions
        late = [] if initial is None else [path for path in functions if path not in initial]
        self.unsaved = [f"optimizer_state{path[3:]} (a function that came during training)" for path in late]
        return saved

    def saved_weights(self, saved: HostCopy, per_device: bool = False) -> dict[str, np.ndarray]:
        return jax_checkpoint.weights_in(saved, per_device)

    def saved_bytes(self, saved: HostCopy) -> int:
        return jax_checkpoint.num_bytes(saved)

    def restore(
        self,
        saved: HostCopy,
        params: ParameterContainer,
        model_state: ModelAuxiliaryState,
        optimizer_state: OptimizerState,
    ) -> tuple[ParameterContainer, ModelAuxiliaryState, OptimizerState]:
        params, model_state, state = jax_checkpoint.to_device(saved, params, model_state, optimizer_state[0])
        extra = jax_checkpoint.extra_to_device(saved, optimizer_state[1])
        # Of the submission's own kind, where that is a pair with names.
        make = getattr(optimizer_state, "_make", tuple)
        return params, model_state, make((state, extra))

    def random_state(self) -> GeneratorState:
        return {"numpy": np.random.get_state(), "python": random.getstate()}

    def set_random_state(self, state: GeneratorState) -> None:
        np.random.set_state(state["numpy"])
        random.setstate(state["python"])

    # ---- about the machine -------------------------------------------------------------------------------------

    def device_memory(self) -> dict[str, int]:
        peaks = {}
        for device in jax.local_devices():
            stats = device.memory_stats() or {}
            if "peak_bytes_in_use" in stats:
                peaks[str(device)] = int(stats["peak_bytes_in_use"])
        return peaks

    def device_total_bytes(self) -> int | None:
        stats = jax.local_devices()[0].memory_stats() or {}
        if self.platform() == "cpu" or "bytes_limit" not in stats:
            return None
        # JAX tells what it may take, which is a share of what there is.
        return round(stats["bytes_limit"] / float(os.environ.get(jax_launch.SHARE, jax_launch.USUAL_SHARE)))

    def take_at_most(self, share: float) -> None:
        del share  # Said in the environment, which JAX reads when it makes its devices.

    def operations_of_pass(
        self,
        workload: BoundWorkload,
        params: ParameterContainer,
        model_state: ModelAuxiliaryState,
        batch: Batch,
    ) -> float:
        from algoperf.backends import jax_operations  # Needed by a referee alone.

        return jax_operations.of_pass(workload, params, model_state, batch, self.root_key(0))

    def peak_operations_per_sec(self) -> float:
        from algoperf.backends import jax_operations

        return jax_operations.peak_per_sec()

    def describe_device(self) -> str:
        if self.platform() == "cpu":
            return describe_cpus(self.num_processes)
        return f"{jax.device_count()} x {self.device_kind()}"

    def device_kind(self) -> str:
        return "cpu" if self.platform() == "cpu" else jax.devices()[0].device_kind

    def scalar(self, value: object) -> jax.Array | None:
        if type(value) is not kind_of_arrays():
            return None
        array = cast(jax.Array, value)
        is_real = any(
            jax.dtypes.issubdtype(array.dtype, kind) for kind in (np.bool_, np.integer, np.floating)
        )
        return array if array.size == 1 and is_real else None

    def to_float(self, value: float | jax.Array) -> float:
        return float(np.asarray(value).reshape(()))

    def is_out_of_memory(self, error: BaseException) -> bool:
        # XLA raises one class for all errors; only the status code in the text tells them apart.
        return "RESOURCE_EXHAUSTED" in str(error)

    def explain(self, error: BaseException, arguments: Mapping[str, object]) -> str | None:
        from algoperf.backends import jax_hints  # Needed by a run that fails alone.

        return jax_hints.explain(error, arguments)

    def watch(self, workload: Workload, saw: Saw) -> Callable[[], None]:
        from algoperf.backends import jax_watch  # Of runs that are looked into alone.

        return jax_watch.watch(workload, saw)


def make() -> JaxBackend:
    """The backend of this process."""
    return JaxBackend()
