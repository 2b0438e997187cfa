"""Bytes per logit that a loss over GPT-2's vocabulary takes with its gradient, beside the logits.

  python benchmarks/cross_entropy_memory.py --framework=jax
  python benchmarks/cross_entropy_memory.py --framework=pytorch --dtype=bfloat16

The loss of `finewebedu_lm` and that of other workloads, on `--tokens` tokens with 50,257 logits each. JAX: temporary
memory of the compiled gradient, as XLA states it, and its result. PyTorch: what the process holds at most, without what
it held before. The gradient itself takes 4 bytes, 2 in bfloat16, and is included.
"""

import multiprocessing
import resource
from collections.abc import Sequence

from absl import flags

from algoperf import commands, frameworks

FLAGS = flags.FLAGS
flags.DEFINE_string("framework", "jax", f"{frameworks.choices()}.")
flags.DEFINE_enum("dtype", "bfloat16", ["bfloat16", "float32"], "Type of the logits.")
flags.DEFINE_integer("tokens", 2_048, "Tokens.")

VOCABULARY = 50_257


def of_jax(is_ours: bool, dtype: str, num_tokens: int) -> float:
    """Bytes per logit."""
    import jax
    import numpy as np

    from algoperf.losses import jax_losses
    from workloads.finewebedu_lm import cross_entropy_jax

    loss = cross_entropy_jax.loss if is_ours else jax_losses.softmax_cross_entropy
    shapes = [
        jax.ShapeDtypeStruct((num_tokens, VOCABULARY), dtype),
        jax.ShapeDtypeStruct((num_tokens,), np.int32),
    ]
    gradient = jax.jit(jax.value_and_grad(lambda logits, targets: loss(targets, logits)["summed"]))
    found = gradient.lower(*shapes).compile().memory_analysis()
    assert found is not None, "XLA states it on every platform"
    return (found.temp_size_in_bytes + found.output_size_in_bytes) / (num_tokens * VOCABULARY)


def of_pytorch(is_ours: bool, dtype: str, num_tokens: int) -> float:
    """Bytes per logit, in a process that has done nothing before."""
    import torch

    from algoperf.losses import torch_losses
    from workloads.finewebedu_lm import cross_entropy_torch

    loss = cross_entropy_torch.loss if is_ours else torch_losses.softmax_cross_entropy
    targets = torch.zeros(num_tokens, dtype=torch.int32)
    logits = torch.zeros(num_tokens, VOCABULARY, dtype=getattr(torch, dtype), requires_grad=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    loss(targets, logits)["summed"].backward()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / (num_tokens * VOCABULARY)


MEASURES = {"jax": of_jax, "pytorch": of_pytorch}


def main(argv: Sequence[str]) -> None:
    """Prints one line."""
    del argv
    framework = frameworks.get(FLAGS.framework).name
    found = []
    for is_ours in (True, False):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found.append(pool.apply(MEASURES[framework], (is_ours, FLAGS.dtype, FLAGS.tokens)))
    ours, general = found
    print(
        f"{framework}, {FLAGS.dtype}: {ours:.1f} bytes per logit beside the logits, the general loss {general:.1f}"
    )


if __name__ == "__main__":
    commands.run(main)
