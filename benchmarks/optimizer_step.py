"""Time of the optimizer's part of a training step: from gradients to new parameters, without forward and backward.

  python benchmarks/optimizer_step.py
  python benchmarks/optimizer_step.py --algorithms=lamb,muon --frameworks=pytorch --workload=wmt
  python benchmarks/optimizer_step.py --algorithms=submissions/my_method,torch.optim.NAdam --frameworks=pytorch

Every algorithm in reference_algorithms/ on the parameters of a full-size model with random gradients, against the same
rule (or a similar one) of `optax` or `torch.optim`, otherwise against AdamW of the same framework. Both take turns in
one process; of a PyTorch optimizer's variants the fastest counts. Prints the median seconds per step and the median
ratio with its quartiles; below 1 ours is faster. JAX runs the transformation that the algorithm builds, compiled with
donated buffers; work around the optimizer (SAM's second gradient, averages of weights) is not measured.
A submission of somebody else is given by its path or, as to `algoperf run`, by the name of an optimizer, with `--set`.
Where it builds its optimizer with the shared training step, or keeps an optax transformation or optimizers of
`torch.optim` in its optimizer state, that is what is timed. Run nothing else on the machine meanwhile.
"""

import functools
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from absl import flags

from algoperf import commands, frameworks, registry, submission, tuning
from algoperf.adapter import flags as adapter
from algoperf.adapter.named import is_optimizer
from algoperf.bound_workload import Workload
from algoperf.spec import UsageError, no_such

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "algorithms",
    None,
    "Folders of reference_algorithms/, paths of submissions, names of optimizers; all ours by default.",
)
adapter.define(ejects=False)
flags.DEFINE_list("frameworks", list(frameworks.names()), f"Of {frameworks.choices(', ')}.")
flags.DEFINE_string("workload", "imagenet_vit", "Workload whose model has the parameters.")
flags.DEFINE_integer("repeats", 15, "Turns of each optimizer; the median counts.")
flags.DEFINE_integer("steps", 1, "Steps per turn.")
flags.DEFINE_integer("warmup", 3, "Steps before the first turn.")
flags.DEFINE_float(
    "max_sec",
    30.0,
    "Time limit of an algorithm's warm-up, and again of its turns; the current turn is finished.",
)

ALGORITHMS = Path(__file__).resolve().parent.parent / "reference_algorithms"
RATE, BETA1, BETA2, DECAY = 1e-3, 0.9, 0.99, 0.1
WARMUP_STEPS, TOTAL_STEPS = 100, 10_000
GRADIENT_SIZE = 1e-3  # Standard deviation; small enough that no rule leaves the range of float32.
FALLBACK = "adamw"  # Compared with algorithms that have no counterpart.

Step = Callable[[], None]
Steps = dict[str, Step]


def algorithm_names() -> list[str]:
    """Every folder that holds a submission."""
    return sorted({path.parent.name for path in ALGORITHMS.glob("*/submission_*.py")})


def point_of(name: str, path: Path, framework: str) -> Any:
    """None for ours, which have a point of their own; else the first of the search space, where there is one."""
    if name in algorithm_names():
        return None
    file, _ = submission.find(path, framework)
    if not (file.parent / submission.SEARCH_SPACE).exists():
        return None
    space, _ = submission.search_space(file, None)
    return tuning.make_hyperparameters(tuning.draw_points(space, 1, 0)[0])


# ---- JAX --------------------------------------------------------------------------------------------------


def jax_steps(name: str, workload: Workload, path: Path) -> tuple[Steps, Steps]:
    """(our step, its counterparts' steps), each a mapping from label to step."""
    import jax

    params = _jax_params(workload)
    rng = np.random.default_rng(0)
    grads = jax.tree.map(
        lambda leaf: jax.device_put(GRADIENT_SIZE * rng.standard_normal(leaf.shape, np.float32)), params
    )
    transformation = _jax_transformation(name, workload, params, path)
    label, peer = _optax_peer(name, workload, params)
    return (
        {name: _jax_step(transformation, params, grads)},
        {label: _jax_step(peer, params, grads)},
    )


@functools.cache
def _jax_params(workload: Workload) -> Any:
    return workload.init_model_fn(workload.backend.root_key(0))[0]


def _jax_transformation(name: str, workload: Workload, params: Any, path: Path) -> Any:
    """The optax transformation that the algorithm passes to the shared training step."""
    from reference_algorithms.shared import training_jax

    module = submission.load(path, "jax").module
    # The transformation is not part of a submission's interface, so it is taken from the call that receives
    # it.
    with mock.patch.object(training_jax, "init_state", wraps=training_jax.init_state) as init_state:
        state = module.init_optimizer_state(
            workload, params, {}, point_of(name, path, "jax"), workload.backend.root_key(0)
        )
    if init_state.call_args is not None:
        return init_state.call_args.args[0]
    return _kept_transformation(name, state, workload.backend)


def _kept_transformation(name: str, state: Any, backend: Any) -> Any:
    """The optax transformation, or what has its `init` and `update`, in the second part of an optimizer state."""
    backend.check_optimizer_state(state)
    extra = state[1]
    for one in (
        extra,
        *(extra if isinstance(extra, (tuple, list)) else ()),
        *getattr(extra, "values", tuple)(),
    ):
        if callable(getattr(one, "init", None)) and callable(getattr(one, "update", None)):
            return one
    raise UsageError(
        f"{name} keeps no optax transformation in the second part of its optimizer state, so its step cannot be taken "
        "out of its update: put one there, as submissions/template does."
    )


def _jax_step(transformation: Any, params: Any, grads: Any) -> Step:
    import jax
    import jax.numpy as jnp
    import optax

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def update(params: Any, state: Any, grads: Any) -> Any:
        updates, state = transformation.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    params = jax.tree.map(jnp.copy, params)
    state = jax.tree.map(jnp.copy, jax.jit(transformation.init)(params))

    def step() -> None:
        nonlocal params, state
        params, state = update(params, state, grads)
        jax.block_until_ready((params, state))

    step()  # One step here: if the first state has weak types, the second call compiles again.
    return step


def _optax_peer(name: str, workload: Workload, params: Any) -> tuple[str, Any]:
    """optax's counterpart, with as much state, the same weight decay and the same kind of schedule as ours."""
    import optax

    rate = optax.warmup_cosine_decay_schedule(0.0, RATE, WARMUP_STEPS, TOTAL_STEPS)
    adam = {"b1": BETA1, "b2": BETA2, "weight_decay": DECAY}

    def momentum(**options: Any) -> Any:
        decay = optax.add_decayed_weights(DECAY)
        return optax.chain(decay, optax.sgd(rate, momentum=BETA1, **options))

    def muon() -> Any:
        return optax.contrib.muon(
            rate,
            weight_decay=DECAY,
            adam_b1=BETA1,
            adam_b2=BETA2,
            adam_weight_decay=DECAY,
            # Ours scales updates to the root mean square of Adam's, 0.2: https://arxiv.org/abs/2502.16982.
            consistent_rms=0.2,
            muon_weight_dimension_numbers=_muon_axes(workload, params),
        )

    peers: dict[str, Callable[[], Any]] = {
        "adamw": lambda: optax.adamw(rate, **adam),
        "nadamw": lambda: optax.nadamw(rate, **adam),
        "heavy_ball": momentum,
        "nesterov": lambda: momentum(nesterov=True),
        "lamb": lambda: optax.lamb(rate, **adam),
        "adafactor": lambda: optax.adafactor(
            rate,
            # Ours factors every matrix; optax by default only those from 128 on.
            min_dim_size_to_factor=1,
            multiply_by_parameter_scale=False,
            momentum=BETA1,
            weight_decay_rate=DECAY,
        ),
        "lion": lambda: optax.lion(rate, **adam),
        "ademamix": lambda: optax.contrib.ademamix(rate, **adam),
        "schedule_free": lambda: optax.contrib.schedule_free_adamw(RATE, WARMUP_STEPS, **adam),
        "muon": muon,
        "prodigy": lambda: optax.contrib.prodigy(
            rate, betas=(BETA1, BETA2), weight_decay=DECAY, safeguard_warmup=True
        ),
    }
    rule = RULE.get(name, name)
    rule = rule if rule in peers else FALLBACK
    return f"optax {rule}", peers[rule]()


def _muon_axes(workload: Workload, params: Any) -> Any:
    """For `optax.contrib.muon`: the parameters that ours orthogonalises, reshaped to the same matrices."""
    import jax
    from optax.contrib import MuonDimensionNumbers

    from reference_algorithms.muon.submission_jax import label

    def axes(param: Any, param_type: Any) -> Any:
        rule = label(param, param_type)
        if rule == "adam":
            return None
        begin = 1 if rule == "from first axis" else param.ndim - 1
        return MuonDimensionNumbers(tuple(range(begin)), tuple(range(begin, param.ndim)))

    return {
        key: jax.tree.map(lambda leaf: None, tree)
        if workload.is_output_params(key)
        else jax.tree.map(axes, tree, workload.model_params_types[key])
        for key, tree in params.items()
    }


# ---- PyTorch ----------------------------------------------------------------------------------------------


def torch_steps(name: str, workload: Workload, path: Path) -> tuple[Steps, Steps]:
    """(our step, its counterparts' steps), each a mapping from label to step."""
    import torch

    module = submission.load(path, "pytorch").module
    model = _torch_model(workload)
    key = workload.backend.root_key(0)
    state = module.init_optimizer_state(workload, model, None, point_of(name, path, "pytorch"), key)
    ours = {name: _torch_step(_kept_optimizers(name, state))}
    rule = RULE.get(name, name)
    if rule not in TORCH_PEERS:
        rule = FALLBACK
    theirs = {}
    for label, make in TORCH_PEERS[rule](torch.optim).items():
        theirs[f"torch.optim {label}"] = _torch_step(make(workload, _torch_model(workload)))
    return ours, theirs


def _kept_optimizers(name: str, state: Any) -> list[Any]:
    """The optimizers in an optimizer state: its values, and the items of those that are lists."""
    import torch

    values = state.values() if isinstance(state, dict) else ()
    items = [item for one in values for item in (one if isinstance(one, (list, tuple)) else [one])]
    found = [one for one in items if isinstance(one, torch.optim.Optimizer)]
    if not found:
        raise UsageError(
            f"{name} keeps no torch.optim.Optimizer in its optimizer state, so its step cannot be taken out of its "
            "update: put one there, as submissions/template does."
        )
    return found


def _torch_model(workload: Workload) -> Any:
    """The model with random gradients."""
    import torch

    model = workload.init_model_fn(workload.backend.root_key(0))[0]
    for param in model.parameters():
        param.grad = GRADIENT_SIZE * torch.randn_like(param)
    return model


def _torch_step(optimizers: list[Any]) -> Step:
    import torch

    def step() -> None:
        for optimizer in optimizers:
            optimizer.step()
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return step


def _torch_variants(optimizer: Any, **settings: Any) -> dict[str, Callable[[Workload, Any], list[Any]]]:
    """The optimizer on all parameters, once with each of `foreach` and `fused` that it supports."""

    def make(option: dict[str, bool], workload: Workload, model: Any) -> list[Any]:
        del workload
        return [optimizer(model.parameters(), lr=RATE, weight_decay=DECAY, **settings, **option)]

    ways = [way for way in ("foreach", "fused") if way in optimizer.__init__.__annotations__]
    return {f"{optimizer.__name__} {way}": functools.partial(make, {way: True}) for way in ways}


def _torch_muon(workload: Workload, model: Any) -> list[Any]:
    """`torch.optim.Muon` for parameters with two axes that ours orthogonalises, and AdamW for all others."""
    import torch

    from reference_algorithms.muon.submission_torch import groups_of

    matrices: list[torch.nn.Parameter] = []
    others: list[torch.nn.Parameter] = []
    for group in groups_of(workload, model):
        for param in group["params"]:
            (matrices if group["num_matrices"] and param.ndim == 2 else others).append(param)
    muon = torch.optim.Muon(matrices, lr=RATE, weight_decay=DECAY, adjust_lr_fn="match_rms_adamw")
    return [muon, torch.optim.AdamW(others, lr=RATE, weight_decay=DECAY, fused=True)]


# `torch.optim.Adafactor` keeps no momentum, so it does less work than ours. `torch.optim.Muon` orthogonalises
# in bfloat16.
TORCH_PEERS: dict[str, Callable[[Any], dict[str, Callable[[Workload, Any], list[Any]]]]] = {
    "adamw": lambda optim: _torch_variants(optim.AdamW, betas=(BETA1, BETA2)),
    "nadamw": lambda optim: _torch_variants(optim.NAdam, betas=(BETA1, BETA2), decoupled_weight_decay=True),
    "heavy_ball": lambda optim: _torch_variants(optim.SGD, momentum=BETA1),
    "nesterov": lambda optim: _torch_variants(optim.SGD, momentum=BETA1, nesterov=True),
    "adafactor": lambda optim: _torch_variants(optim.Adafactor),
    "muon": lambda optim: {"Muon": _torch_muon},
}


# ---- both -------------------------------------------------------------------------------------------------

# Algorithms that use the optimizer of another one.
RULE = {
    "sam": "adamw",
    "ema_nadamw": "nadamw",
    "data_echoing": "nadamw",
    "biased_sampling": "nadamw",
}
STEPS_IN = {"jax": jax_steps, "pytorch": torch_steps}


def measure(
    steps: Steps, repeats: int, steps_per_turn: int, warmup: int, max_sec: float
) -> dict[str, np.ndarray]:
    """Seconds per step (repeats,) of each label; fewer, but at least 1, if that takes more than `max_sec`."""
    start = time.perf_counter()
    for _ in range(max(warmup, 1)):
        for step in steps.values():
            step()
        if time.perf_counter() - start > max_sec:
            break
    seconds: dict[str, list[float]] = {label: [] for label in steps}
    start = time.perf_counter()
    for repeat in range(repeats):
        order = list(steps.items())
        # Alternating order, so that neither side always runs on caches that the other one left.
        for label, step in order if repeat % 2 else order[::-1]:
            begin = time.perf_counter()
            for _ in range(steps_per_turn):
                step()
            seconds[label].append((time.perf_counter() - begin) / steps_per_turn)
        if time.perf_counter() - start > max_sec:
            break
    return {label: np.array(values) for label, values in seconds.items()}


def compare(name: str, workload: Workload, path: Path, **settings: Any) -> tuple[str, np.ndarray, np.ndarray]:
    """Label of the fastest counterpart, and seconds per step of ours and of it; `settings` are those of `measure`."""
    ours, theirs = STEPS_IN[workload.framework](name, workload, path)
    seconds = measure({**ours, **theirs}, **settings)
    fastest = min(theirs, key=lambda label: np.median(seconds[label]))
    return fastest, seconds[name], seconds[fastest]


def main(argv: Sequence[str]) -> None:
    """Measures the algorithms and frameworks that the flags select."""
    del argv
    logging.getLogger("jax").setLevel(logging.WARNING)
    known = algorithm_names()
    names = FLAGS.algorithms or known
    for name in names:
        if name not in known and not is_optimizer(name) and not Path(name).exists():
            raise no_such("algorithm", name, known)
    settings = {
        "repeats": FLAGS.repeats,
        "steps_per_turn": FLAGS.steps,
        "warmup": FLAGS.warmup,
        "max_sec": FLAGS.max_sec,
    }
    for framework in (frameworks.get(name).name for name in FLAGS.frameworks):
        workload = Workload(registry.get(FLAGS.workload), framework)
        for name in names:
            given = str(ALGORITHMS / name) if name in known else name
            with adapter.for_a_while(given, framework) as path:
                peer, ours, theirs = compare(name, workload, Path(path), **settings)
            low, middle, high = np.quantile(ours / theirs, [0.25, 0.5, 0.75])
            print(
                f"{name} {framework}: {np.median(ours):.4f} s per step, {peer} {np.median(theirs):.4f} s, "
                f"ratio {middle:.2f} (quartiles {low:.2f} to {high:.2f})",
                flush=True,
            )


if __name__ == "__main__":
    commands.run(main)
