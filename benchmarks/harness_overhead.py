"""Overhead of the timed loop per step: the harness against a bare loop over the same update on the same batches.

  python benchmarks/harness_overhead.py --framework=jax --workload=digits

Both loops run in one process, in turn, on batches that are in memory already. The ratio is computed per pair of
turns, so noise of the machine affects both loops. Prints the median ratio with its quartiles, the same in CPU time
(less sensitive to other processes), the ratios of the sums, and the seconds per step.
"""

import itertools
import logging
import time
import types
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import flags

from algoperf import backends, commands, frameworks, random_utils, registry, submission, tuning
from algoperf.bound_workload import Workload
from algoperf.run import clock
from algoperf.run.state import TrialState
from algoperf.run.training import LoopOptions, TrainingLoop
from algoperf.settings import RunSettings

FLAGS = flags.FLAGS
flags.DEFINE_string("framework", "jax", f"{frameworks.choices()}.")
flags.DEFINE_string("workload", "digits", "Workload to step.")
flags.DEFINE_string("algorithm", "reference_algorithms/nadamw", "Submission whose update is timed.")
flags.DEFINE_integer("steps", 300, "Steps per turn.")
flags.DEFINE_integer("pairs", 15, "Turns of each loop.")
flags.DEFINE_integer("batches", 16, "Different batches, held in memory.")
flags.DEFINE_string("data_dir", None, "Root of prepared data.")


class Stepper:
    """One training state, which both loops advance in turn."""

    def __init__(
        self, framework: str, workload_name: str, algorithm: str, num_batches: int, data_dir: str | None
    ):
        framework = frameworks.get(framework).name
        self.backend = backend = backends.get_backend(framework)
        self.workload = workload = Workload(registry.get(workload_name), framework, data_dir)
        loaded = submission.load(algorithm, framework)
        self.module = module = loaded.module
        space, _ = submission.search_space(loaded.path, None)
        self.hyperparameters = tuning.make_hyperparameters(tuning.draw_points(space, 1, seed=0)[0])
        seeds = random_utils.seeds(0, 0, 1)
        params, model_state = workload.init_model_fn(backend.root_key(seeds["init"]))
        optimizer_state = module.init_optimizer_state(
            workload, params, model_state, self.hyperparameters, backend.root_key(seeds["submission"])
        )
        self.state = TrialState(params=params, model_state=model_state, optimizer_state=optimizer_state)
        size = submission.batch_size(loaded, workload.spec, backend.num_devices())
        queue = workload._build_input_queue(backend.root_key(seeds["data"]), "train", data_dir, size)
        self.batches = [next(queue) for _ in range(num_batches)]
        queue.close()
        self.keys = backend.step_keys(seeds["submission"])
        self.wants_train_state = loaded.wants_train_state

    def bare(self, steps: int) -> np.ndarray:
        """(wall, CPU) seconds of `steps` updates in a plain loop."""
        state, workload, update = self.state, self.workload, self.module.update_params
        params, model_state, optimizer_state = state.params, state.model_state, state.optimizer_state
        # As in the timed loop: no second reference, so that updates may reuse (donate) these buffers.
        state.params = state.model_state = state.optimizer_state = None
        fixed: dict[str, Any] = {
            "workload": workload,
            "current_params_types": workload.model_params_types,
            "hyperparameters": self.hyperparameters,
            "loss_type": workload.loss_type,
            "eval_results": [],
            "rng": self.keys(0)[1],
        }
        batches = itertools.cycle(self.batches)
        self.backend.wait()
        start = np.array([time.perf_counter(), time.process_time()])
        for step in range(state.global_step, state.global_step + steps):
            optimizer_state, params, model_state = update(
                current_param_container=params,
                model_state=model_state,
                batch=next(batches),
                optimizer_state=optimizer_state,
                global_step=step,
                **fixed,
            )
        self.backend.wait()
        elapsed = np.array([time.perf_counter(), time.process_time()]) - start
        state.params, state.model_state, state.optimizer_state = params, model_state, optimizer_state
        state.global_step += steps
        return elapsed

    def harness(self, steps: int) -> np.ndarray:
        """(wall, CPU) seconds of `steps` updates in the timed loop without evaluations."""
        settings = RunSettings(max_global_steps=self.state.global_step + steps, skip_evals=True)
        options = LoopOptions(budget_sec=1e9, eval_period_sec=1e9, settings=settings)
        loop = TrainingLoop(
            self.workload,
            self.module,
            self.hyperparameters,
            self.state,
            itertools.cycle(self.batches),
            clock.Ledger(),
            self.keys,
            options,
            wants_train_state=self.wants_train_state,
        )
        self.backend.wait()
        start = np.array([time.perf_counter(), time.process_time()])
        loop.run()
        return np.array([time.perf_counter(), time.process_time()]) - start


def empty_loop_sec(stepper: Stepper, steps: int = 5000, repeats: int = 7) -> float:
    """Seconds per step that the timed loop adds to updates that do nothing: its overhead without a model's noise."""

    def update_params(
        current_param_container: Any, optimizer_state: Any, model_state: Any, **arguments: Any
    ) -> tuple[Any, Any, Any]:
        del arguments
        return optimizer_state, current_param_container, model_state

    module = stepper.module
    stepper.module = types.ModuleType("empty")
    vars(stepper.module).update(
        data_selection=lambda workload, queue, *arguments: next(queue), update_params=update_params
    )
    added = [(stepper.harness(steps) - stepper.bare(steps))[0] / steps for _ in range(repeats)]
    stepper.module = module
    return float(np.median(added))


def measure(stepper: Stepper, steps: int, pairs: int) -> dict[str, float]:
    """Medians over pairs of turns; the loop that runs first alternates, so a drift of the clock rate cancels."""
    # One unmeasured turn of each first: compilation and caches.
    stepper.bare(steps)
    stepper.harness(steps)
    bare: list[np.ndarray] = []
    harness: list[np.ndarray] = []
    for pair in range(pairs):
        order = [(bare, stepper.bare), (harness, stepper.harness)]
        for times, loop in order if pair % 2 else reversed(order):
            times.append(loop(steps))
    ratios = np.array(harness) / np.array(bare)  # (pairs, 2)
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75], axis=0)
    return {
        "bare_sec_per_step": float(np.median(bare, axis=0)[0]) / steps,
        "harness_sec_per_step": float(np.median(harness, axis=0)[0]) / steps,
        "ratio": middle[0],
        "ratio_low": low[0],
        "ratio_high": high[0],
        "cpu_ratio": middle[1],
        "total_ratio": float(np.sum(harness, axis=0)[0] / np.sum(bare, axis=0)[0]),
        "total_cpu_ratio": float(np.sum(harness, axis=0)[1] / np.sum(bare, axis=0)[1]),
    }


def main(argv: Sequence[str]) -> None:
    del argv
    logging.getLogger("jax").setLevel(logging.WARNING)
    stepper = Stepper(FLAGS.framework, FLAGS.workload, FLAGS.algorithm, FLAGS.batches, FLAGS.data_dir)
    found = measure(stepper, FLAGS.steps, FLAGS.pairs)
    empty = empty_loop_sec(stepper)
    print(
        f"{FLAGS.workload} {FLAGS.framework}: harness / bare = {found['ratio']:.4f} "
        f"(quartiles {found['ratio_low']:.4f} to {found['ratio_high']:.4f}), in CPU time {found['cpu_ratio']:.4f}, "
        f"sums {found['total_ratio']:.4f} and {found['total_cpu_ratio']:.4f}; "
        f"{found['bare_sec_per_step'] * 1e6:.0f} us bare, {found['harness_sec_per_step'] * 1e6:.0f} us harness a step; "
        f"with empty updates the loop adds {empty * 1e6:.1f} us a step, "
        f"{empty / found['bare_sec_per_step']:.2%} of a bare one"
    )


if __name__ == "__main__":
    commands.run(main)
