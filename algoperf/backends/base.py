"""The interface between neutral code and a framework. Callers never look inside trees, keys or device batches."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from algoperf import machine
from algoperf.data.batch import map_arrays
from algoperf.data.stream import Batch as HostBatch
from algoperf.families import DataFile
from algoperf.hosts import Hosts, Launched
from algoperf.random_utils import StepKeys
from algoperf.spec import (
    Batch,
    LossType,
    ModelAuxiliaryState,
    ModelInitState,
    OptimizerState,
    ParameterContainer,
    ParameterShapeTree,
    ParameterTypeTree,
    RandomState,
    Tensor,
    UsageError,
    Workload,
)
from algoperf.workload import WorkloadSpec

HostCopy = Any
"""What `Backend.save` makes: opaque, but for `pickle`."""
GeneratorState = Any
"""What `Backend.random_state` gives, as opaque."""
LossFn = Callable[..., dict[str, Tensor]]
Saw = Callable[[str, np.ndarray], None]
"""Told what a value is ('loss', 'gradient of dense/kernel'), and the value."""
T = TypeVar("T")


class SubmissionError(UsageError):
    """The submission returned or did something that its contract does not allow."""


class Launch(Protocol):
    """How processes of a framework start. A module implements it; it can be imported before the framework itself."""

    LIBRARIES: tuple[str, ...]
    """Modules that cost time to import, which submissions import and the harness does not."""

    def prepare(self) -> None:
        """Sets what has to be set before the framework is imported and makes its devices; does not import it.

        That is, in the environment of this process: caches of compiled code that are new (`compile_caches`), and how
        threads wait. May be called again.
        """

    def use_threads(self, count: int) -> None:
        """Lets one operation on a CPU be computed by so many threads; before the framework makes its devices."""

    def join_hosts(self, hosts: Hosts) -> None:
        """Connects to the other hosts of a run; must come before anything that uses a device.

        Raises:
          UsageError: if the hosts do not connect in time, or the framework has a launcher of its own.
        """

    def is_launched(self) -> bool:
        """Whether the framework's own launcher started this process, so that there may be others."""

    def launched(self) -> Launched | None:
        """What the framework's own launcher has started with this process; None if it was not that."""

    def in_group(self, index: int, count: int, port: int) -> dict[str, str | None]:
        """The environment in which a child is one of a group on this host; None takes a variable away.

        Args:
          index: its number, from 0.
          count: how many train together; of one, the child is alone, whoever started this process.
          port: of this host, on which the first of them is found.

        Raises:
          UsageError: if the framework has one process per host.
        """

    def evaluator_environment(self, device: str) -> dict[str, str | None]:
        """The environment of a child that evaluates, beside one that trains.

        Args:
          device: of `settings.EVALUATOR_DEVICES`, or the number of a GPU.

        Raises:
          UsageError: if there is no such device.
        """

    def trainee_environment(self, evaluator_device: str) -> dict[str, str | None]:
        """The environment of a child that trains beside one that evaluates on that device."""

    def cuda_of_build(self) -> str | None:
        """Version of CUDA that the installed build is for, as '13.0'; None for one without. It may import it."""


class BoundModel(Protocol):
    """A workload's model in one framework."""

    @property
    def param_shapes(self) -> ParameterShapeTree:
        """Tree of `ShapeTuple`; ValueError before `init`."""

    @property
    def param_types(self) -> ParameterTypeTree:
        """Tree of `ParameterType`; ValueError before `init`."""

    def init(self, rng: RandomState) -> ModelInitState:
        """Newly initialised (parameters, model state)."""

    def to_device(self, batch: HostBatch, is_local: bool = False) -> Batch:
        """Starts the transfer of a batch: `Backend.to_device`, and the layout that model and submissions expect."""

    def eval_to_device(self, batch: HostBatch) -> Batch:
        """The transfer for `eval_step`; differs from `to_device` only where submissions need a layout of their own."""

    def place_state(
        self,
        params: ParameterContainer,
        model_state: ModelAuxiliaryState,
        optimizer_state: OptimizerState,
    ) -> tuple[ParameterContainer, ModelAuxiliaryState, OptimizerState]:
        """The same where an update would return it, so that the second update is compiled like the first.

        Values, types and whatever is no device array stay as they are, and so does what the submission has spread over
        devices in its own way.
        """

    def train_forward(
        self,
        params: ParameterContainer,
        batch: Batch,
        model_state: ModelAuxiliaryState,
        rng: RandomState,
        update_batch_norm: bool,
        dropout_rate: float,
    ) -> tuple[Tensor, ModelAuxiliaryState]:
        """(logits, new model state)."""

    def eval_forward(
        self, params: ParameterContainer, batch: Batch, model_state: ModelAuxiliaryState
    ) -> Tensor:
        """Logits, without gradients, dropout, or changes of running statistics."""

    def running_average_forward(
        self, params: ParameterContainer, batch: Batch, model_state: ModelAuxiliaryState
    ) -> Tensor:
        """Logits as in `eval_forward`, with gradients.

        Raises:
          ValueError: where the framework has another way to train through running statistics.
        """

    @property
    def loss(self) -> LossFn:
        """(labels, logits, mask or None, label smoothing) -> `summed`, `n_valid_examples`, `per_example`."""

    def eval_step(
        self, params: ParameterContainer, model_state: ModelAuxiliaryState, batch: Batch
    ) -> dict[str, np.ndarray]:
        """Outputs for one batch of `eval_to_device`, as NumPy, batch axis in front, rows of all processes."""

    def weights(self, params: ParameterContainer, model_state: ModelAuxiliaryState) -> dict[str, np.ndarray]:
        """Name -> array on the host, of all parameters and all model state: what another process evaluates.

        The names and their order are those of the model; arrays may share memory with the parameters.
        """

    def with_weights(
        self,
        params: ParameterContainer,
        model_state: ModelAuxiliaryState,
        arrays: Mapping[str, np.ndarray],
    ) -> ModelInitState:
        """(parameters, model state) with the values of `weights`, which are copied.

        Args:
          params: of this process; they may be changed in place.
          model_state: of this process.
          arrays: of the names, shapes and types that `weights` gives here.
        """

    def check_update(self, params: ParameterContainer, model_state: ModelAuxiliaryState) -> None:
        """Raises SubmissionError if the returned parameters do not fit the model."""

    def has_finite_params(self, params: ParameterContainer) -> bool:
        """Whether every parameter is finite."""


class Exchange(Protocol):
    """Messages between the processes of a distributed run. The first three methods must be called by all processes."""

    def maximum(self, value: float) -> float:
        """The largest value over all processes."""

    def broadcast(self, value: T) -> T:
        """The value of process 0, on every process; it must be picklable."""

    def gather(self, value: T) -> list[T]:
        """The values of all processes, in their order, on every process."""

    def announce_failure(self, reason: str) -> str:
        """Tells the other processes, even busy ones, that this one ends; returns the first announced reason."""

    def failure(self) -> str | None:
        """The reason that was announced first; None if no process has failed."""

    def count_departed(self, more: int = 1) -> int:
        """Adds `more` to the number of processes that have ended after a failure; returns the new number."""


class Backend(Protocol):
    """What the harness asks of a framework."""

    name: str
    """The name of its `algoperf.frameworks.Framework`."""
    process_index: int
    num_processes: int
    exchange: Exchange | None
    """None in a run of one process."""
    unsaved: Sequence[str]
    """Parts of the optimizer state that the last `save` had to leave out, with the reasons."""

    def compiles_models(self, flag: bool | None) -> bool:
        """Whether the harness compiles models: `flag`; if it is None, whether compiling saves time on this device."""

    def bind_model(
        self, workload: "BoundWorkload", torch_compile: bool = False, per_device: bool = False
    ) -> BoundModel:
        """The model of a workload.

        Args:
          workload: gives the spec and the backend.
          torch_compile: the result of `compiles_models`.
          per_device: whether arrays have a leading device axis, the older JAX layout.
        """

    def check_optimizer_state(self, state: object, function: str = "init_optimizer_state") -> None:
        """Raises UsageError if the function of the submission returned another kind of state than it has to."""

    def example_state(self, arrays: Mapping[str, np.ndarray]) -> OptimizerState:
        """An optimizer state with two copies of arrays, such as Adam's moments, in host memory."""

    def count_compilations(self, record: Callable[[str], None]) -> None:
        """Calls `record` with a name whenever this thread compiles something from now on; replaces an earlier one."""

    def numerics(self) -> dict[str, str | int | float | bool | None]:
        """What changes the numbers that this framework computes, as it is set now: precision, flags, 'threads'.

        'threads' are those that compute one operation on a CPU.
        """

    def remember_initial(self, params: ParameterContainer, optimizer_state: OptimizerState) -> None:
        """Looks at what `init_optimizer_state` has made, which a new process will have, too, when it restores."""

    def platform(self) -> str:
        """'cpu', 'gpu' or what the framework calls it."""

    def num_devices(self) -> int:
        """Devices over which a batch is split, all processes together."""

    def processes_on_host(self) -> int:
        """Processes of this run that share the memory of this host."""

    def to_device(self, batch: HostBatch, is_local: bool = False) -> Batch:
        """Starts the transfer of this process's rows of a batch; returns without waiting for it.

        `is_local` says that the batch already holds only these rows. The layout that a model expects is made by
        `BoundModel.to_device`, not here.
        """

    def wait(self) -> None:
        """Returns when all queued device work of this process is done."""

    def maximum(self, value: float) -> float:
        """The largest value over all processes; a single process does not communicate."""

    def root_key(self, seed: int) -> RandomState:
        """The key of an integer seed."""

    def seed_of(self, key: RandomState) -> int:
        """A non-negative integer that depends on nothing but the key."""

    def step_keys(self, seed: int) -> StepKeys:
        """global_step -> keys for data selection, update and prepare_for_eval; independent of history."""

    def output_activation(self, logits: Tensor, loss_type: LossType) -> Tensor: ...

    def save(
        self, params: ParameterContainer, model_state: ModelAuxiliaryState, optimizer_state: OptimizerState
    ) -> HostCopy:
        """A picklable copy in host memory. All processes must call it; the copy of process 0 is stored."""

    def saved_weights(self, saved: HostCopy, per_device: bool = False) -> dict[str, np.ndarray]:
        """What `BoundModel.weights` gives, from what `save` has made, or an older version's.

        Args:
          saved: read with `run.inert`, so that only parameters and model state are what they were.
          per_device: whether arrays have a leading device axis, which is taken away as in evaluation.
        """

    def saved_bytes(self, saved: HostCopy) -> int:
        """The size of what `save` has made, which is None on some processes."""

    def restore(
        self,
        saved: HostCopy,
        params: ParameterContainer,
        model_state: ModelAuxiliaryState,
        optimizer_state: OptimizerState,
    ) -> tuple[ParameterContainer, ModelAuxiliaryState, OptimizerState]:
        """(params, model_state, optimizer_state) as saved; the arguments are freshly initialised ones."""

    def random_state(self) -> GeneratorState:
        """State of this process's global generators, for `pickle`."""

    def set_random_state(self, state: GeneratorState) -> None:
        """Sets a stored `random_state`: this process's own or, if the number of processes has changed, process 0's."""

    def device_memory(self) -> dict[str, int]:
        """Peak memory in bytes per device; empty if the framework does not report it."""

    def device_total_bytes(self) -> int | None:
        """Memory of the first device, whatever part of it this process may use; None where it is the host's."""

    def take_at_most(self, share: float) -> None:
        """Lets this process use so much of its device's memory; of no effect where its environment has said it."""

    def operations_of_pass(
        self,
        workload: "BoundWorkload",
        params: ParameterContainer,
        model_state: ModelAuxiliaryState,
        batch: Batch,
    ) -> float:
        """Operations in the loss of a batch and its gradient; gradients that are there are dropped."""

    def peak_operations_per_sec(self) -> float:
        """Of a product of matrices on one device, or on all processors of this host; takes half a second."""

    def describe_device(self) -> str:
        """For example '1 x NVIDIA H100' or 'cpu (2 cores)'."""

    def device_kind(self) -> str:
        """What a device is, however many there are: the model of a GPU, 'cpu' for any processor."""

    def scalar(self, value: object) -> float | Tensor | None:
        """A number that a submission logs: as a float, or as an array of the framework for `to_float` where reading it
        now would wait for the device. None for what is no array of exactly the framework's class with one element.
        """

    def to_float(self, value: Tensor) -> float:
        """A one-element device array or number as Python float."""

    def is_out_of_memory(self, error: BaseException) -> bool: ...

    def watch(self, workload: Workload, saw: Saw) -> Callable[[], None]:
        """From now on `saw` is told each mean loss, and each gradient of a parameter, that come of `workload`.

        Returns: waits until it has been told all of them.
        """

    def explain(self, error: BaseException, arguments: Mapping[str, object]) -> str | None:
        """What stands behind an error of a submission that names no argument; None where there is nothing to add.

        Args:
          error: that left the submission.
          arguments: name -> tree, of what `update_params` was given.
        """


class BoundWorkload(Protocol):
    """What the harness reads of a workload in one framework; `algoperf.bound_workload.Workload` is one."""

    spec: WorkloadSpec
    data_dir: str | Path | None
    data_module: DataFile
    """`workloads/<family>/data.py`."""
    backend: Backend
    model: BoundModel


def exchange_of(backend: Backend) -> Exchange:
    """The exchange of a backend; the run must have several processes."""
    assert backend.exchange is not None
    return backend.exchange


PEAK_SEC = 0.3
"""How long one product is timed."""
MIN_REPEATS = 3


def peak_of(work: Callable[[], object], num_operations: float, on_processors: bool) -> float:
    """Operations per second of the fastest of several calls; the first is aside.

    Args:
      work: returns when it has been computed.
      num_operations: of a call.
      on_processors: whether this process's own threads compute it: then their processor time counts where it is less,
        shared over all processors, as others may have a part of these. On two of them beside ten busy processes wall
        time gave a fifth of the speed of a free machine.
    """

    def seconds() -> float:
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        return min(wall, cpu / machine.num_cores()) if on_processors else wall

    work()
    end, found = time.perf_counter() + PEAK_SEC, [seconds()]
    while len(found) < MIN_REPEATS or time.perf_counter() < end:
        found.append(seconds())
    return num_operations / max(min(found), 1e-9)


def describe_cpus(num_processes: int) -> str:
    """'cpu (2 cores)', the cores of this host; with several processes their number is added."""
    return f"cpu ({os.cpu_count()} cores)" + (f", {num_processes} processes" if num_processes > 1 else "")


def rows_of_process(batch: HostBatch, index: int, count: int) -> HostBatch:
    """The contiguous share of each array's rows that belongs to one of `count` processes."""
    if count == 1:
        return dict(batch)

    # Contiguous equal shares in the order of the processes: JAX's batch sharding deals rows out in the same
    # way, so both frameworks train each device on the same rows.
    def rows(array: np.ndarray) -> np.ndarray:
        size = len(array) // count
        return array[index * size : (index + 1) * size]

    return map_arrays(rows, dict(batch))
