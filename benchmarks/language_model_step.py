"""How much of a training step of `finewebedu_lm` its matrix products take: step, products alone, and their ratio.

  python benchmarks/language_model_step.py --framework=jax
  python benchmarks/language_model_step.py --framework=pytorch --num_layers=2

The step is that of `step_time.py` (loss, gradient, AdamW) on 2 x 1,024 random tokens at full width in float32. The
products are those of every matrix, of attention and of the logits, forwards and for both gradients, each alone in a
loop in the same framework, attention's over all pairs of positions. Seconds of the processors count (all threads
together), which other work on the machine disturbs less than wall time; both are printed. Peak memory per token is that
of the process after the steps, without what it had before the first, divided by the tokens.
"""

import dataclasses
import functools
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from algoperf import commands, frameworks, registry
from algoperf.bound_workload import Workload
from algoperf.workload import WorkloadSpec

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import step_time

FLAGS = flags.FLAGS
flags.DEFINE_integer("num_layers", None, "Layers; all 12 by default.")
flags.DEFINE_integer("num_sequences", 2, "Sequences of 1,024 tokens.")
flags.DEFINE_integer("times", 3, "Steps, and rounds of the products; the median counts.")

Shape = tuple[int, int, int, int]
"""Number of products side by side, rows, inner size, columns."""


def products(spec: WorkloadSpec, num_sequences: int) -> dict[str, list[tuple[Shape, int]]]:
    """Part of the model -> shapes of its products in a step, and how often each occurs."""
    model = spec.model
    tokens, width, length = num_sequences * model.seq_len, model.emb_dim, model.seq_len
    heads, head = num_sequences * model.num_heads, model.emb_dim // model.num_heads
    gated = 2 * model.mlp_dim if model.mlp == "glu" else model.mlp_dim

    def with_gradients(rows: int, inner: int, columns: int, times: int, batch: int = 1) -> Any:
        shapes = [(rows, inner, columns), (rows, columns, inner), (inner, rows, columns)]
        return [((batch, *shape), times) for shape in shapes]

    layers = model.num_layers
    return {
        "attention's matrices": with_gradients(tokens, width, width, 4 * layers),
        "MLP": [
            *with_gradients(tokens, width, gated, layers),
            *with_gradients(tokens, model.mlp_dim, width, layers),
        ],
        "attention": [
            *with_gradients(length, head, length, layers, heads),
            *with_gradients(length, length, head, layers, heads),
        ],
        "logits": with_gradients(tokens, width, model.vocab_size, 1),
    }


def jax_product(shape: Shape) -> Callable[[], object]:
    """A function that computes one product."""
    import jax

    batch, rows, inner, columns = shape
    rng = np.random.default_rng(0)
    squeeze = (lambda x: x[0]) if batch == 1 else (lambda x: x)
    left, right = (
        jax.device_put(squeeze(rng.standard_normal(size, np.float32)))
        for size in ((batch, rows, inner), (batch, inner, columns))
    )
    multiply = jax.jit(lambda a, b: a @ b)
    return lambda: multiply(left, right).block_until_ready()


def torch_product(shape: Shape) -> Callable[[], object]:
    """A function that computes one product."""
    import torch

    batch, rows, inner, columns = shape
    left, right = torch.randn(batch, rows, inner), torch.randn(batch, inner, columns)
    if batch == 1:
        left, right = left[0], right[0]
    return lambda: torch.matmul(left, right)


PRODUCTS = {"jax": jax_product, "pytorch": torch_product}


def seconds(call: Callable[[], object]) -> np.ndarray:
    """Wall and processor seconds of a call."""
    start = np.array([time.perf_counter(), time.process_time()])
    call()
    return np.array([time.perf_counter(), time.process_time()]) - start


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(argv: Sequence[str]) -> None:
    """Prints one line for the step, one for each kind of product, and the ratio."""
    del argv
    framework = frameworks.get(FLAGS.framework).name
    spec = registry.get("finewebedu_lm")
    model = {**spec.model, "compute_dtype": "float32"}
    model["num_layers"] = FLAGS.num_layers or spec.model.num_layers
    spec = dataclasses.replace(spec, model=model)
    num_tokens = FLAGS.num_sequences * spec.model.seq_len
    workload = Workload(spec, framework)
    batch = step_time.random_batch(spec, FLAGS.num_sequences, seed=0)
    step = step_time.STEPPERS[framework](workload, batch)
    before = peak_bytes()
    step()
    taken = np.median([seconds(step) for _ in range(FLAGS.times)], axis=0)
    memory = peak_bytes() - before
    print(
        f"{framework}, {spec.model.num_layers} layers, {num_tokens:,} tokens: {taken[0]:.2f} s per step, processors "
        f"{taken[1]:.2f} s; {memory / num_tokens / 1e3:,.0f} kB per token at most",
        flush=True,
    )
    total = np.zeros(2)
    for part, shapes in products(spec, FLAGS.num_sequences).items():
        of_part = np.zeros(2)
        for shape, number in shapes:
            call = functools.partial(PRODUCTS[framework](shape))
            call()
            of_part += number * np.median([seconds(call) for _ in range(FLAGS.times)], axis=0)
        flops = sum(2 * np.prod(np.array(shape, float)) * number for shape, number in shapes)
        print(
            f"  products of {part}: {of_part[0]:.2f} s, processors {of_part[1]:.2f} s, "
            f"{flops / of_part[1] / 1e9:.0f} GFLOP per processor second",
            flush=True,
        )
        total += of_part
    print(f"  step / products: {taken[0] / total[0]:.2f}, of processors {taken[1] / total[1]:.2f}")


if __name__ == "__main__":
    commands.run(main)
