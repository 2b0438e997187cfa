"""Time of one training step of a workload's model at given shapes: loss, gradient and AdamW update, float32.

  python benchmarks/step_time.py --workload=imagenet_resnet --framework=jax
  python benchmarks/step_time.py --workload=wmt --framework=pytorch --override=model.num_layers=2 --batch_size=4

Needs no data: batches are random numbers in the workload's shapes. The model, the loss and batch normalisation
are those that a submission gets. Prints the median seconds per step with its quartiles,
the CPU seconds per step, the seconds that the first step takes beyond a later one (compilation), and the ratio to
AlgoPerf's figure where there is one. Run nothing else on the machine meanwhile.
"""

import ast
import dataclasses
import functools
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from absl import flags

from algoperf import commands, frameworks, registry
from algoperf.bound_workload import Workload
from algoperf.spec import ForwardPassMode, UsageError, no_such
from algoperf.workload import WorkloadSpec
from workloads.ogbg.graphs import GraphsTuple

FLAGS = flags.FLAGS
flags.DEFINE_string("workload", "imagenet_resnet", "Workload to step.")
flags.DEFINE_string("framework", "jax", f"{frameworks.choices()}.")
flags.DEFINE_integer("batch_size", None, "Examples per step; by default as in AlgoPerf's measurement.")
flags.DEFINE_multi_string("override", [], "Setting of the model or the data, as model.width=192.")
flags.DEFINE_integer("repeats", 7, "Measurements; the median counts.")
flags.DEFINE_integer("steps", 1, "Steps per measurement.")
flags.DEFINE_integer("warmup", 2, "Steps before the first measurement.")
flags.DEFINE_boolean("compile", False, "PyTorch: torch.compile the model.")

Batch = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Condition:
    """How AlgoPerf 0.6 was measured, and its seconds per step on 2 cores."""

    batch_size: int
    overrides: tuple[str, ...] = ()
    sec_per_step: dict[str, float] = dataclasses.field(default_factory=dict)


# Source: AlgoPerf 0.6 on the same kind of machine (2 cores; jax 0.7.0, torch 2.13.0 without torch.compile), AdamW,
# float32, median of 5 or more. Absolute times move by 10 to 30 % between machines.
ALGOPERF = {
    "imagenet_resnet": Condition(4, (), {"jax": 2.06, "pytorch": 1.06}),
    "imagenet_vit": Condition(4, (), {"jax": 1.62, "pytorch": 1.20}),
    "fastmri": Condition(2, (), {"jax": 6.40, "pytorch": 2.31}),
    "criteo1tb": Condition(512, ("model.vocab_size=524_288",), {"jax": 0.50, "pytorch": 0.93}),
    "librispeech_conformer": Condition(2, (), {"jax": 6.7, "pytorch": 4.9}),
    "librispeech_deepspeech": Condition(2, (), {"jax": 20.1, "pytorch": 4.3}),
    "ogbg": Condition(32, (), {"jax": 0.30, "pytorch": 0.32}),
    "wmt": Condition(2, (), {"jax": 4.9, "pytorch": 4.2}),
}


# ---- batches ----------------------------------------------------------------------------------------------


def _imagenet(spec: WorkloadSpec, size: int, rng: np.random.Generator) -> Batch:
    side, num_classes = spec.data.crop_size, spec.model.num_classes
    labels = rng.integers(0, num_classes, size).astype(np.int32)
    targets = np.eye(num_classes, dtype=np.float32)[labels] if spec.data.mixup_alpha else labels
    return {"inputs": _normal(rng, size, side, side, 3), "targets": targets}


def _fastmri(spec: WorkloadSpec, size: int, rng: np.random.Generator) -> Batch:
    side = spec.data.image_size
    images = {key: _normal(rng, size, side, side) for key in ("inputs", "targets")}
    ones = np.ones(size, np.float32)
    return {**images, "mean": 0 * ones, "std": ones, "volume_max": 5 * ones}


def _criteo(spec: WorkloadSpec, size: int, rng: np.random.Generator) -> Batch:
    num_dense, num_categorical = spec.model.num_dense_features, len(spec.data.bucket_counts)
    dense = rng.random((size, num_dense), np.float32)
    ids = rng.integers(0, spec.model.vocab_size, (size, num_categorical)).astype(np.float32)
    targets = rng.integers(0, 2, (size, 1)).astype(np.float32)
    return {"inputs": np.concatenate([dense, ids], axis=1), "targets": targets}


def _librispeech(spec: WorkloadSpec, size: int, rng: np.random.Generator) -> Batch:
    """Utterances and targets of maximal length."""
    audio = 1_000 * _normal(rng, size, spec.data.max_audio_samples)
    shape = (size, spec.data.max_target_length)
    tokens = rng.integers(1, spec.model.vocab_size, shape).astype(np.float32)
    return {
        "inputs": (audio, np.zeros_like(audio)),
        "targets": (tokens, np.zeros(shape, np.float32)),
    }


def _ogbg(spec: WorkloadSpec, size: int, rng: np.random.Generator) -> Batch:
    """Graphs that use up the budgets of nodes and edges, and one padding graph."""
    nodes, edges = spec.data.max_nodes_per_graph, spec.data.max_edges_per_graph
    first_nodes = np.repeat(np.arange(size) * nodes, edges)
    senders, receivers = (first_nodes + rng.integers(0, nodes, size * edges) for _ in range(2))
    graphs = GraphsTuple(
        nodes=rng.integers(0, 10, (size * nodes + 1, 9)).astype(np.float32),
        edges=rng.integers(0, 3, (size * edges, 3)).astype(np.float32),
        receivers=receivers.astype(np.int32),
        senders=senders.astype(np.int32),
        globals={},
        n_node=np.array([nodes] * size + [1], np.int32),
        n_edge=np.array([edges] * size + [0], np.int32),
    )
    shape = (size + 1, spec.model.num_outputs)
    weights = np.ones(shape, np.float32)
    weights[size] = 0
    return {"inputs": graphs, "targets": rng.integers(0, 2, shape).astype(np.float32), "weights": weights}


def _wmt(spec: WorkloadSpec, size: int, rng: np.random.Generator) -> Batch:
    shape = (size, spec.model.max_len)
    tokens = {
        key: rng.integers(1, spec.model.vocab_size, shape).astype(np.int32) for key in ("inputs", "targets")
    }
    return {**tokens, "weights": np.ones(shape, np.float32)}


def _finewebedu_lm(spec: WorkloadSpec, size: int, rng: np.random.Generator) -> Batch:
    tokens = rng.integers(0, spec.model.vocab_size, (size, spec.model.seq_len + 1)).astype(np.int32)
    return {"inputs": tokens[:, :-1].copy(), "targets": tokens[:, 1:].copy()}


RANDOM_BATCH: dict[str, Callable[[WorkloadSpec, int, np.random.Generator], Batch]] = {
    "imagenet_resnet": _imagenet,
    "imagenet_vit": _imagenet,
    "fastmri": _fastmri,
    "finewebedu_lm": _finewebedu_lm,
    "criteo1tb": _criteo,
    "librispeech_conformer": _librispeech,
    "librispeech_deepspeech": _librispeech,
    "ogbg": _ogbg,
    "wmt": _wmt,
}


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape, np.float32)


def random_batch(spec: WorkloadSpec, batch_size: int, seed: int) -> Batch:
    """A batch of random numbers in the shapes and types of the workload's training batches."""
    if spec.family not in RANDOM_BATCH:
        raise no_such("workload family with random batches", spec.family, RANDOM_BATCH)
    return RANDOM_BATCH[spec.family](spec, batch_size, np.random.default_rng(seed))


def overridden(spec: WorkloadSpec, overrides: tuple[str, ...]) -> WorkloadSpec:
    """The spec with settings such as 'model.width=192' replaced; values are Python literals.

    >>> overridden(registry.get("wmt"), ("model.num_layers=2",)).model.num_layers
    2
    """
    for override in overrides:
        path, _, value = override.partition("=")
        part, _, key = path.partition(".")
        if part not in ("model", "data") or not value:
            raise UsageError(f"--override={override!r} must read model.<key>=<value> or data.<key>=<value>.")
        config = getattr(spec, part).as_configdict().to_dict()
        if key not in config:
            raise no_such(f"{part} setting of {spec.family}", key, config)
        config[key] = ast.literal_eval(value)
        spec = dataclasses.replace(spec, **{part: config})
    return spec


# ---- steps ------------------------------------------------------------------------------------------------


def jax_stepper(workload: Workload, batch: Batch) -> Callable[[], None]:
    """A function that runs one training step and waits until the device has finished it."""
    import jax
    import optax

    optimizer = optax.adamw(1e-4)
    params, model_state = workload.init_model_fn(workload.backend.root_key(0))
    state = (params, model_state, optimizer.init(params))
    on_device = workload.model.to_device(batch)

    @functools.partial(jax.jit, donate_argnums=0)
    def update(state: Any, batch: Any, key: Any) -> Any:
        params, model_state, optimizer_state = state

        def loss_fn(params: Any) -> tuple[Any, Any]:
            logits, new_state = workload.model_fn(
                params, batch, model_state, ForwardPassMode.TRAIN, key, update_batch_norm=True
            )
            loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"))
            return loss["summed"] / loss["n_valid_examples"], new_state

        (loss, model_state), grads = jax.value_and_grad(loss_fn, has_aux=True)(params)
        updates, optimizer_state = optimizer.update(grads, optimizer_state, params)
        return (optax.apply_updates(params, updates), model_state, optimizer_state), loss

    key = jax.random.PRNGKey(0)

    def step() -> None:
        nonlocal state
        state, loss = update(state, on_device, key)
        jax.block_until_ready((state, loss))
        _check_finite(float(loss))

    return step


def torch_stepper(workload: Workload, batch: Batch) -> Callable[[], None]:
    """A function that runs one training step and waits until the device has finished it."""
    import torch

    params, model_state = workload.init_model_fn(workload.backend.root_key(0))
    optimizer = torch.optim.AdamW(params.parameters(), lr=1e-4)
    on_device = workload.model.to_device(batch)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        logits, _ = workload.model_fn(
            params, on_device, model_state, ForwardPassMode.TRAIN, None, update_batch_norm=True
        )
        loss = workload.loss_fn(on_device["targets"], logits, on_device.get("weights"))
        mean = loss["summed"] / loss["n_valid_examples"]
        mean.backward()
        optimizer.step()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        _check_finite(float(mean.detach()))

    return step


def _check_finite(loss: float) -> None:
    if not np.isfinite(loss):
        raise FloatingPointError(f"The loss is {loss}: such steps may take another time than real ones.")


STEPPERS = {"jax": jax_stepper, "pytorch": torch_stepper}


def measure(step: Callable[[], None], repeats: int, steps: int, warmup: int) -> dict[str, Any]:
    """Wall and CPU seconds per step, (repeats,) each, and the seconds of the first step, with compilation."""
    first = _seconds(step)[0]
    for _ in range(warmup):
        step()

    def take_steps() -> None:
        for _ in range(steps):
            step()

    rows = np.array([_seconds(take_steps) for _ in range(repeats)]) / steps
    return {"first_sec": first, "wall_sec": rows[:, 0], "cpu_sec": rows[:, 1]}


def _seconds(call: Callable[[], None]) -> tuple[float, float]:
    start = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - start[0], time.process_time() - start[1]


def main(argv: Sequence[str]) -> None:
    """Measures the workload that the flags select."""
    del argv
    logging.getLogger("jax").setLevel(logging.WARNING)
    framework = frameworks.get(FLAGS.framework).name
    condition = ALGOPERF.get(FLAGS.workload)
    # AlgoPerf's figure holds for its batch size and settings only, so no ratio is printed for others.
    is_compared = condition is not None and FLAGS.batch_size in (None, condition.batch_size)
    is_compared &= not FLAGS.override and not FLAGS.compile
    overrides = tuple(FLAGS.override) or (condition.overrides if condition else ())
    spec = overridden(registry.get(FLAGS.workload), overrides)
    batch_size = FLAGS.batch_size or (condition.batch_size if condition else spec.default_batch_size)
    workload = Workload(spec, framework, torch_compile=FLAGS.compile)
    step = STEPPERS[framework](workload, random_batch(spec, batch_size, seed=0))
    found = measure(step, FLAGS.repeats, FLAGS.steps, FLAGS.warmup)
    low, middle, high = np.quantile(found["wall_sec"], [0.25, 0.5, 0.75])
    line = (
        f"{spec.name} {framework} batch {batch_size}: {middle:.4f} s per step (quartiles {low:.4f} to {high:.4f}), "
        f"CPU {np.median(found['cpu_sec']):.4f} s, compilation {found['first_sec'] - middle:.1f} s"
    )
    if is_compared and condition is not None:
        peer = condition.sec_per_step[framework]
        line += f"; AlgoPerf 0.6 on the same kind of machine {peer} s, ratio {middle / peer:.2f}"
    print(line)


if __name__ == "__main__":
    commands.run(main)
