"""The process that evaluates: framework, model and evaluation data, and never the submission.

python -m algoperf.referee.evaluator <descriptor of its channel> <process of the referee>
"""

import contextlib
import dataclasses
import functools
import importlib
import os
import pickle
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from algoperf import backends, machine, random_utils
from algoperf.backends import environment, visible_gpus
from algoperf.backends.base import Backend, Launch
from algoperf.bound_workload import Workload
from algoperf.confinement import kernel
from algoperf.data.queue import TrainingQueue
from algoperf.referee import allowance, channel, cpu_time, freeze, parcel, room
from algoperf.referee.allowance import Effort
from algoperf.referee.channel import Channel, Message
from algoperf.run import checkpoint
from algoperf.spec import UsageError
from algoperf.workload import WorkloadSpec

T = TypeVar("T")
REPEATS = 3
"""Of each measurement of a transfer; the median counts."""
LARGEST_DOUBLINGS = 10
"""Of the batch with which both read their data first, from one example for each device on."""
COUNTED_EXAMPLES = 32
"""In the batch whose operations are counted, at most."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What the evaluator needs to know; the referee sends it as a pickle."""

    spec: WorkloadSpec
    framework: str
    data_dir: str | None
    torch_compile: bool | None
    seeds: dict[str, int]
    evaluator_device: str
    """As `--evaluator_device` says."""
    wants_initial: bool
    """Whether the initial parameters are to be evaluated, before anybody has trained them."""


def main(arguments: list[str]) -> int:
    """Answers the referee until it ends; returns the exit code."""
    own, parent = map(int, arguments)
    freeze.die_with_parent(parent)
    kernel.hide()
    connection = channel.from_descriptor(own)
    try:
        _serve(connection)
    except channel.Closed:
        return 0
    except UsageError as error:
        connection.send("refused", error=str(error))
        return 2
    return 0


def _serve(connection: Channel) -> None:
    start = connection.receive()
    assert start is not None
    task: Task = pickle.loads(start.blob)  # From the referee, which is the parent of this process.
    launch = backends.launch(task.framework)
    launch.prepare()
    backend = backends.get_backend(task.framework)
    if task.evaluator_device.isdecimal() and backend.platform() == "cpu":
        raise UsageError(
            f"--evaluator_device={task.evaluator_device} names a GPU, and {task.framework} finds only the CPU: say cpu "
            "or same, or install its CUDA build."
        )
    if task.evaluator_device == "same":
        backend.take_at_most(visible_gpus.EVALUATOR_SHARE)
    try:
        _prepare_and_answer(connection, task, launch, backend)
    except Exception as error:
        if backend.is_out_of_memory(error):
            raise room.too_small(backend.describe_device()) from error
        raise


def _prepare_and_answer(connection: Channel, task: Task, launch: Launch, backend: Backend) -> None:
    workload = Workload(
        task.spec,
        task.framework,
        task.data_dir,
        torch_compile=backend.compiles_models(task.torch_compile),
    )
    random_utils.seed_global_generators(task.seeds["submission"])
    params, model_state = workload.init_model_fn(backend.root_key(task.seeds["init"]))
    arrays = {name: np.array(array) for name, array in workload.model.weights(params, model_state).items()}
    base_bytes = machine.peak_host_memory_bytes()
    connection.send(
        "initialised",
        layout=parcel.layout_of(arrays),
        digest=parcel.digest(arrays),
        environment=environment.of_identity(backend),
        device=backend.describe_device(),
    )
    # While the trainee is set up, which does the same.
    libraries = {name: _effort_of(functools.partial(_import, name))[0] for name in launch.LIBRARIES}
    # Before the evaluation data, as what both need is read once: a batch of the submission's own size comes later.
    make_batches = functools.partial(_make_few, workload, task.seeds["data"], backend.num_devices())
    connection.send("usual", libraries=libraries, data=_effort_of(make_batches)[0])
    workload.evaluator  # noqa: B018 - made now, so that missing data are found before training
    speed = _speed(backend, workload, params, model_state)
    connection.send("speed", **dataclasses.asdict(speed))
    # This compiles evaluation, too.
    found = workload.evaluator.evaluate(params, model_state) if task.wants_initial else {}
    connection.send("ready", metrics=found, memory=_memory(backend, base_bytes))
    judge = _Judge(workload, params, model_state, task.seeds)
    while True:
        message = connection.receive()
        assert message is not None
        judge.answer(connection, message)


def _import(name: str) -> None:
    with contextlib.suppress(ImportError):
        importlib.import_module(name)


def _effort_of(work: Callable[[], T]) -> tuple[tuple[float, float, float], T]:
    """((wall seconds, processor time, waiting for a processor), what it returned) of some work."""
    before = time.perf_counter(), time.process_time(), cpu_time.waited_sec(os.getpid())
    done = work()
    after = time.perf_counter(), time.process_time(), cpu_time.waited_sec(os.getpid())
    wall_sec, cpu_sec, waited_sec = (now - then for now, then in zip(after, before, strict=True))
    return (wall_sec, cpu_sec, waited_sec), done


def _memory(backend: Backend, base_bytes: int) -> dict[str, Any]:
    """See `room.check`."""
    total = backend.device_total_bytes()
    on_device = sum(backend.device_memory().values())
    return {
        "place": "this host" if total is None else backend.describe_device(),
        "peak_bytes": machine.peak_host_memory_bytes() if total is None else on_device,
        "base_bytes": base_bytes,
        "total_bytes": total,
    }


def _speed(backend: Backend, workload: Workload, params: Any, model_state: Any) -> allowance.Speed:
    """How long it takes to copy the parameters, and to write them as a checkpoint."""
    arrays = workload.model.weights(params, model_state)
    state = backend.example_state(arrays)
    scratch = parcel.Parcel(parcel.anonymous_file("scratch"), parcel.layout_of(arrays))

    def copy() -> int:
        scratch.write(workload.model.weights(params, model_state))
        return scratch.num_bytes

    def save() -> int:
        content = {
            "training": backend.save(params, model_state, state),
            "random_state": backend.random_state(),
        }
        with open(parcel.anonymous_file("scratch"), "wb") as file:
            checkpoint.pickled(content, file)
            return file.tell()

    weights, weights_bytes = _timed(copy)
    content, checkpoint_bytes = _timed(save)
    return allowance.Speed(
        weights_sec=weights.wall_sec,
        weights_cpu_sec=weights.cpu_sec,
        weights_bytes=weights_bytes,
        checkpoint_sec=content.wall_sec,
        checkpoint_cpu_sec=content.cpu_sec,
        checkpoint_bytes=checkpoint_bytes,
    )


def _timed(work: Callable[[], int]) -> tuple[Effort, int]:
    """(effort of the median of several calls, what it returned), the first one aside; on a machine of its own."""
    size, found = work(), []
    for _ in range(REPEATS):
        effort = Effort(*_effort_of(work)[0])
        found.append(Effort(effort.undisturbed_sec(machine.num_cores()), effort.cpu_sec))
    return sorted(found, key=lambda effort: effort.wall_sec)[REPEATS // 2], size


def _make_batches(workload: Workload, seed: int, batch_size: int) -> None:
    """What a trainee does with training data in set-up, with the batches that it makes ahead."""
    queue = TrainingQueue(workload, seed, batch_size)
    queue.wait_until_full()
    queue.close()


def _make_few(workload: Workload, seed: int, num_devices: int) -> None:
    """The same with about the smallest batch of a workload: one of graphs must have room for the largest of them."""
    for size in (num_devices << doublings for doublings in range(LARGEST_DOUBLINGS)):
        try:
            return _make_batches(workload, seed, size)
        except UsageError:  # From the constructor, before a batch is made.
            continue
    _make_batches(workload, seed, num_devices << LARGEST_DOUBLINGS)


class _Judge:
    """Answers questions about the parameters in the parcel."""

    def __init__(self, workload: Workload, params: Any, model_state: Any, seeds: Mapping[str, int]):
        self._workload, self._params, self._model_state = workload, params, model_state
        self._seeds = seeds
        self._parcel: parcel.Parcel | None = None

    def answer(self, connection: Channel, message: Message) -> None:
        """Answers one message."""
        model = self._workload.model
        if message.kind == "parcel":
            self._parcel = parcel.Parcel(message.files[0], message.fields["layout"])
        elif message.kind == "load":
            assert self._parcel is not None
            arrays = self._parcel.read()
            self._params, self._model_state = model.with_weights(self._params, self._model_state, arrays)
            connection.send("loaded", digest=parcel.digest(arrays))
        elif message.kind == "evaluate":
            split = message.text("split")
            found = self._workload.evaluator.evaluate_split(split, self._params, self._model_state)
            connection.send("metrics", split=split, metrics=found)
        elif message.kind == "are_finite":
            connection.send("finite", finite=model.has_finite_params(self._params))
        elif message.kind == "first_batch":
            size = message.whole("batch_size")
            make_batches = functools.partial(_make_batches, self._workload, self._seeds["data"], size)
            connection.send("first_batch", effort=_effort_of(make_batches)[0])
        elif message.kind == "hardware":
            hardware: dict[str, Any]
            try:
                hardware = self._hardware(message.whole("batch_size"))
            except Exception as error:  # The trial is over, and its records are worth more than a bound.
                hardware = {"problem": f"{type(error).__name__}: {error}"}
            connection.send("hardware", **hardware)
        else:
            raise AssertionError(message.kind)

    def _hardware(self, batch_size: int) -> dict[str, Any]:
        """Operations of one example in training, counted on a small batch, and how many this machine does at best."""
        backend, workload = self._workload.backend, self._workload
        devices = backend.num_devices()
        size = min(batch_size, max(COUNTED_EXAMPLES // devices, 1) * devices)
        queue = TrainingQueue(workload, self._seeds["data"], size)
        operations = backend.operations_of_pass(workload, self._params, self._model_state, next(queue))
        queue.close()
        return {
            "operations_per_example": operations / size,
            "peak_per_sec": backend.peak_operations_per_sec(),
        }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
