"""What the adapter costs per step: an adapted optimizer against the hand-written reference algorithm of the same rule.

  python benchmarks/adapter_cost.py
  python benchmarks/adapter_cost.py --framework=jax --pairs=31

AdamW on `digits` in one process: the two submissions take turns of some steps on the same batches, each from a state of
its own, with the same point. Prints the median ratio of a pair of turns with its quartiles. Run nothing else meanwhile.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import numpy as np
from absl import flags

from algoperf import commands, frameworks, submission
from algoperf.adapter import here
from benchmarks.harness_overhead import Stepper

FLAGS = flags.FLAGS
ADAPTED = {
    # Weight decay on all parameters, as the reference algorithm has it.
    "pytorch": ("torch.optim.AdamW", {"lr": 1e-3, "weight_decay": 0.1, "decay": "all", "eps": 1e-8}),
    "jax": ("optax.adamw", {"learning_rate": 1e-3, "weight_decay": 0.1, "decay": "all", "eps": 1e-8}),
}
POINT = {
    **{"learning_rate": 1e-3, "one_minus_beta1": 0.1, "beta2": 0.999, "weight_decay": 0.1},
    "warmup_factor": 0.05,
}
HAND_WRITTEN = Path(__file__).resolve().parents[1] / "reference_algorithms" / "adamw"


def ratios(framework: str, steps: int, pairs: int) -> np.ndarray:
    """Seconds of the adapted optimizer over those of the other, (pairs,), after one turn of each."""
    name, settings = ADAPTED[framework]
    with tempfile.TemporaryDirectory() as root:
        adapted = here.as_submission(name, framework, settings, None, Path(root))
        ours = Stepper(framework, "digits", str(adapted), 16, None)
        with mock.patch.object(submission, "search_space", return_value=([POINT], None)):
            theirs = Stepper(framework, "digits", str(HAND_WRITTEN), 16, None)
    found = []
    for pair in range(pairs + 1):
        order = [ours, theirs] if pair % 2 else [theirs, ours]
        seconds = {id(one): one.bare(steps)[0] for one in order}
        found.append(seconds[id(ours)] / seconds[id(theirs)])
    return np.array(found[1:])


def main(argv: Sequence[str]) -> None:
    """Measures one framework or all."""
    del argv
    chosen = FLAGS.framework if FLAGS["framework"].present else None
    for framework in [frameworks.get(chosen).name] if chosen else frameworks.names():
        low, middle, high = np.quantile(ratios(framework, FLAGS.steps, FLAGS.pairs), [0.25, 0.5, 0.75])
        print(
            f"{framework}: adapted / hand-written {middle:.4f} (quartiles {low:.4f} to {high:.4f})",
            flush=True,
        )


if __name__ == "__main__":
    commands.run(main)
