"""The process that evaluates: framework, model and evaluation data, and never the submission.

python -m algoperf.referee.evaluator <descriptor of its channel> <process of the referee>
"""

import dataclasses
import pickle
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from algoperf import backends, random_utils
from algoperf.backends import environment
from algoperf.backends.base import Backend
from algoperf.bound_workload import Workload
from algoperf.confinement import kernel
from algoperf.referee import allowance, channel, freeze, parcel
from algoperf.referee.channel import Channel, Message
from algoperf.run import checkpoint
from algoperf.spec import UsageError
from algoperf.workload import WorkloadSpec

REPEATS = 3
"""Of each measurement of a transfer; the median counts."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What the evaluator needs to know; the referee sends it as a pickle."""

    spec: WorkloadSpec
    framework: str
    data_dir: str | None
    torch_compile: bool | None
    seeds: dict[str, int]
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
    backends.launch(task.framework).prepare()
    backend = backends.get_backend(task.framework)
    workload = Workload(
        task.spec,
        task.framework,
        task.data_dir,
        torch_compile=backend.compiles_models(task.torch_compile),
    )
    random_utils.seed_global_generators(task.seeds["submission"])
    params, model_state = workload.init_model_fn(backend.root_key(task.seeds["init"]))
    arrays = {name: np.array(array) for name, array in workload.model.weights(params, model_state).items()}
    connection.send(
        "initialised",
        layout=parcel.layout_of(arrays),
        digest=parcel.digest(arrays),
        environment=environment.of_identity(backend),
        device=backend.describe_device(),
    )
    workload.evaluator  # noqa: B018 - made now, so that missing data are found before training
    speed = _speed(backend, workload, params, model_state)
    connection.send("speed", **dataclasses.asdict(speed))
    # While the trainee is set up: this compiles evaluation, too.
    found = workload.evaluator.evaluate(params, model_state) if task.wants_initial else {}
    connection.send("ready", metrics=found)
    judge = _Judge(workload, params, model_state)
    while True:
        message = connection.receive()
        assert message is not None
        judge.answer(connection, message)


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

    weights_sec, weights_bytes = _timed(copy)
    checkpoint_sec, checkpoint_bytes = _timed(save)
    return allowance.Speed(
        weights_sec=weights_sec,
        weights_bytes=weights_bytes,
        checkpoint_sec=checkpoint_sec,
        checkpoint_bytes=checkpoint_bytes,
    )


def _timed(work: Any) -> tuple[float, int]:
    """(median seconds, what it returned) of several calls, the first one aside."""
    size, seconds = work(), []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)[REPEATS // 2], size


class _Judge:
    """Answers questions about the parameters in the parcel."""

    def __init__(self, workload: Workload, params: Any, model_state: Any):
        self._workload, self._params, self._model_state = workload, params, model_state
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
        else:
            raise AssertionError(message.kind)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
