"""Every optimizer of torch.optim, optax and optax.contrib as a submission: which train, and why the others are refused.

  python benchmarks/adapter_survey.py
  python benchmarks/adapter_survey.py --write              # the table in docs/optimizers.md
  python benchmarks/adapter_survey.py --optimizers=heavyball.SOAP,pytorch_optimizer.Lion

Each is adapted with its own defaults, and trains for 50 steps on `digits`. It *trains* if the loss on fixed batches
falls and stays finite; else it *diverges*. What has no default is given here. No times are measured.
"""

import contextlib
import inspect
import math
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from algoperf import backends, commands, files, random_utils, registry, spec, submission, tuning
from algoperf.adapter import here, named, signature
from algoperf.bound_workload import Workload

FLAGS = flags.FLAGS
flags.DEFINE_list("optimizers", [], "Dotted paths; by default all of torch.optim, optax and optax.contrib.")
flags.DEFINE_integer("steps", 50, "Updates of each.")
flags.DEFINE_bool("write", False, "Put the table into docs/optimizers.md.")

PAGE = Path(__file__).resolve().parents[1] / "docs" / "optimizers.md"
BEGIN, END = "<!-- survey: begin -->", "<!-- survey: end -->"
NUM_BATCHES = 4
"""Of the loss before and after."""
LEARNING_RATE = 1e-2
"""Where it has no default: 50 steps are few."""
INNER = {"learning_rate": LEARNING_RATE}
NEEDED: dict[str, dict[str, Any]] = {
    "optax.lookahead": {
        "fast_optimizer": "optax.adam",
        "fast_optimizer.learning_rate": LEARNING_RATE,
        "sync_period": 5,
        "slow_step_size": 0.5,
    },
    "optax.contrib.mechanize": {
        "base_optimizer": "optax.adam",
        "base_optimizer.learning_rate": LEARNING_RATE,
    },
    "optax.contrib.schedule_free": {
        "base_optimizer": "optax.sgd",
        "base_optimizer.learning_rate": 0.1,
        "learning_rate": 0.1,
    },
    "optax.contrib.sam": {
        "optimizer": "optax.adam",
        "optimizer.learning_rate": LEARNING_RATE,
        "adv_optimizer": "optax.sgd",
        "adv_optimizer.learning_rate": 0.05,
    },
    # Made for one loss: with lr=1, its default, curvature from batch to batch ends in NaN, line search or not.
    "torch.optim.LBFGS": {"lr": 0.1, "max_iter": 4},
    "pytorch_optimizer.SAM": {"base_optimizer": "torch.optim.SGD", "base_optimizer.lr": 0.1},
    "pytorch_optimizer.Lookahead": {"optimizer": "torch.optim.SGD", "optimizer.lr": 0.1},
    "optax.adadelta": {"learning_rate": 1.0},
    "optax.contrib.acprop": {"learning_rate": 1e-3},
    "optax.contrib.galore": {"learning_rate": LEARNING_RATE, "rank": 4},
    "optax.contrib.dpsgd": {"l2_norm_clip": 1.0, "noise_multiplier": 0.1, "seed": 0},
    "optax.contrib.differentially_private_aggregate": {
        "l2_norm_clip": 1.0,
        "noise_multiplier": 0.1,
        "seed": 0,
    },
    "optax.contrib.split_real_and_imaginary": {"inner": "optax.adam", "inner.learning_rate": LEARNING_RATE},
}


def names() -> list[str]:
    """Every class of torch.optim, and every alias of optax and optax.contrib."""
    import optax
    import torch

    found = [
        f"torch.optim.{name}"
        for name, value in vars(torch.optim).items()
        if _is_class(value, torch.optim.Optimizer)
    ]
    for name, value in vars(optax).items():
        if inspect.isfunction(value) and value.__module__ in ("optax._src.alias", "optax._src.lookahead"):
            found.append(f"optax.{name}")
    for name, value in vars(optax.contrib).items():
        returned = str(inspect.signature(value).return_annotation) if inspect.isfunction(value) else ""
        # Parts of optimizers, to be chained, are none.
        if "GradientTransformation" in returned and not name.startswith("scale_by_"):
            found.append(f"optax.contrib.{name}")
    return sorted(name for name in found if not name.rpartition(".")[2].startswith("_"))


def _is_class(value: object, base: type) -> bool:
    return isinstance(value, type) and issubclass(value, base) and value is not base


def settings_of(name: str) -> dict[str, Any]:
    """What an optimizer needs that has no default."""
    needed = NEEDED.get(name, {})
    if needed and "learning_rate" in needed:
        return needed
    optimizer = signature.load(named.parse(name))
    rate = optimizer.parameter(optimizer.rate or "")
    more = {rate.name: LEARNING_RATE} if rate is not None and rate.is_required else {}
    return {**more, **needed}


class Task:
    """`digits` in one framework, from the same start for every optimizer."""

    def __init__(self, framework: str):
        self.backend = backends.get_backend(framework)
        self.workload = Workload(registry.get("digits"), framework)
        self.seeds = random_utils.seeds(0, 0, 1)

    def losses(self, folder: Path, steps: int) -> tuple[float, float]:
        """The loss on fixed batches before the training and after it, of what is evaluated."""
        loaded = submission.load(folder, self.workload.framework)
        module, workload = loaded.module, self.workload
        space, _ = submission.search_space(loaded.path, None)
        point = tuning.make_hyperparameters(tuning.draw_points(space, 1, seed=0)[0])
        params, model_state = workload.init_model_fn(self.backend.root_key(self.seeds["init"]))
        state = module.init_optimizer_state(
            workload, params, model_state, point, self.backend.root_key(self.seeds["submission"])
        )
        with self._batches(64) as queue:
            fixed = [next(queue) for _ in range(NUM_BATCHES)]
            before = self._loss(params, model_state, fixed)
            keys = self.backend.step_keys(self.seeds["submission"])
            common: dict[str, Any] = {
                "workload": workload,
                "current_params_types": workload.model_params_types,
                "hyperparameters": point,
                "loss_type": workload.loss_type,
                "eval_results": [],
            }
            for step in range(steps):
                state, params, model_state = module.update_params(
                    current_param_container=params,
                    model_state=model_state,
                    batch=next(queue),
                    optimizer_state=state,
                    global_step=step,
                    rng=keys(step)[1],
                    **common,
                )
        if hasattr(module, "prepare_for_eval"):
            state, params, model_state = module.prepare_for_eval(
                current_param_container=params,
                model_state=model_state,
                optimizer_state=state,
                global_step=steps,
                rng=keys(steps)[1],
                **common,
            )
        return before, self._loss(params, model_state, fixed)

    @contextlib.contextmanager
    def _batches(self, size: int) -> Iterator[Iterator[spec.Batch]]:
        queue = self.workload._build_input_queue(
            self.backend.root_key(self.seeds["data"]), "train", None, size
        )
        try:
            yield queue
        finally:
            queue.close()

    def _loss(self, params: Any, model_state: Any, batches: list[spec.Batch]) -> float:
        total = count = 0.0
        for batch in batches:
            logits, _ = self.workload.model_fn(
                params, batch, model_state, spec.ForwardPassMode.EVAL, self.backend.root_key(0), False
            )
            loss = self.workload.loss_fn(batch["targets"], logits, batch.get("weights"))
            total, count = total + float(loss["summed"]), count + float(loss["n_valid_examples"])
        return total / count


def tried(name: str, tasks: dict[str, Task], root: Path, steps: int) -> tuple[str, str]:
    """('trains' or 'diverges', its losses), or ('refused' or 'fails', the reason)."""
    try:
        folder = here.as_submission(name, None, settings_of(name), None, root)
    except spec.UsageError as error:
        return "refused", str(error)
    try:
        _, framework = submission.find(folder)
        if framework not in tasks:
            tasks[framework] = Task(framework)
        before, after = tasks[framework].losses(folder, steps)
    except Exception as error:  # Whatever an optimizer raises is the result.
        return "fails", f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    how = "trains" if math.isfinite(after) and after < before else "diverges"
    return how, f"loss {before:.3f} → {after:.3f}"


def main(argv: Sequence[str]) -> int:
    """Tries all, prints the table; the exit code is 1 if one that was not refused ends with an error."""
    del argv
    warnings.simplefilter("ignore")
    tasks: dict[str, Task] = {}
    rows = []
    with tempfile.TemporaryDirectory() as root:
        for name in FLAGS.optimizers or names():
            how, what = tried(name, tasks, Path(root), FLAGS.steps)
            rows.append((name, how, what))
            print(f"{name}: {how}, {what}", flush=True)
    counts = {
        package: sum(how == "trains" for name, how, _ in rows if name.startswith(package))
        for package in ("torch.optim", "optax")
    }
    print(", ".join(f"{count} of {package} train" for package, count in counts.items()))
    if FLAGS.write:
        files.write_text(PAGE, with_table(PAGE.read_text(), rows))
    return int(any(how == "fails" for _, how, _ in rows))


def with_table(page: str, rows: Sequence[tuple[str, str, str]]) -> str:
    """The page with the table between its markers."""
    lines = ["| optimizer | | |", "| --- | --- | --- |"]
    for name, how, what in rows:
        reason = what.partition(": on small parameters it raised ")[2].partition(
            f". {signature.TEMPLATE[:1].upper()}"
        )[0]
        lines.append(f"| `{name}` | {how} | {(reason or what).replace('|', '/')} |")
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    commands.run(main)
