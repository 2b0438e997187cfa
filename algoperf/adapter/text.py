"""The source of a submission that is written for an optimizer: a few lines on the parts that algorithms share."""

import re

from algoperf import frameworks
from algoperf.adapter import dialect
from algoperf.adapter.call import HYPERPARAMETERS, Call
from algoperf.adapter.plan import Plan, mask_of
from algoperf.adapter.signature import INNER

SHARED = "reference_algorithms.shared"
PARTS = (
    *("adapted_jax", "adapted_torch", "batch_sizes", "groups_torch", "input_queue", "schedules"),
    *("training_jax", "training_torch"),
)
"""Modules of `SHARED` that a source may use."""
WIDTH = 100
SCHEDULE = {
    "warmup_cosine": "schedules.warmup_then_cosine({peak}, warmup_factor={warmup}, step_hint=step_hint{numbers})",
    "warmup_linear": "schedules.warmup_then_linear({peak}, warmup_factor={warmup}, decay_steps_factor=1.0, "
    "end_factor=0.0, step_hint=step_hint{numbers})",
}


def of(plan: Plan) -> str:
    """The whole source."""
    body = (_of_jax if dialect.of(plan.optimizer.framework).is_functional else _of_torch)(plan)
    return "\n".join([*_head(plan, "\n".join(body)), *body, ""])


def _head(plan: Plan, body: str) -> list[str]:
    named = plan.optimizer.named
    point = ", ".join(f"{name}={value!r}" for name, value in plan.point.items())
    imports = [f"import {one}" for one in _packages(plan)]
    if "jnp." in body or "numbers=jnp" in body:
        imports.insert(0, "import jax.numpy as jnp")
    shared = [name for name in PARTS if f"{name}." in body]
    own = [
        f"from .{call.optimizer.named.module} import {call.optimizer.named.name}"
        for call in _of_files(plan.call)
    ]
    return [
        f'"""{named.name} as a submission, written by the adapter: run it as it is, or change it.',
        "",
        "docs/optimizers.md says what the adapter has decided; the parts that it shares with the reference algorithms",
        "are in reference_algorithms/shared.",
        '"""',
        "",
        "from types import SimpleNamespace",
        "",
        *sorted(imports, key=lambda line: line.split()[1].lower()),
        "",
        f"from {SHARED} import {', '.join(shared)}",
        *(["", *own] if own else []),
        "",
        "# Where nothing is tuned; tuning_search_space.json has the same names.",
        *_wrapped(f"POINT = SimpleNamespace({point})"),
        "",
        "",
    ]


def _of_files(call: Call) -> list[Call]:
    return [one for one in (call, *call.inner.values()) if one.optimizer.named.file is not None]


def _packages(plan: Plan) -> list[str]:
    """Modules that the source imports; the first tells for which framework it is."""
    named = [call.optimizer.named for call in (plan.call, *plan.call.inner.values())]
    found = {one.module for one in named if one.file is None}
    own = dialect.of(plan.optimizer.framework)
    if plan.splits and not own.is_functional:  # The rest is trained by an optimizer of its package.
        found.add(own.package)
    if not any(name.split(".")[0] in frameworks.get(plan.optimizer.framework).packages for name in found):
        found.add(own.package)
    # `import torch` brings torch.optim along.
    return sorted({"torch" if name == "torch.optim" else name for name in found})


def _expression(call: Call) -> str:
    named = call.optimizer.named
    return named.name if named.file is not None else f"{named.module}.{named.name}"


def _called(call: Call, first: str = "", **more: str) -> str:
    """The call as source."""
    parts = [first] if first and call.optimizer.first is not None else []
    for name, value in {**call.arguments, **more}.items():
        if not isinstance(value, Call):
            parts.append(f"{name}={value}")
        elif dialect.of(call.optimizer.framework).is_functional:
            parts.append(f"{name}={_called(value, **more)}")
        elif call.optimizer.first is None:
            parts.append(f"{name}={_called(value, first)}")
        else:  # The class, and its arguments among those of the outer one.
            inner = [f"{key}={text}" for key, text in value.arguments.items()]
            parts += [f"{name}={_expression(value)}", *inner]
    return f"{_expression(call)}({', '.join(parts)})"


def _schedule(plan: Plan, peak: str) -> str:
    numbers = dialect.of(plan.optimizer.framework).numbers
    warmup = f"{HYPERPARAMETERS}.warmup_factor"
    return SCHEDULE[plan.schedule].format(peak=peak, warmup=warmup, numbers=numbers)


# ---- PyTorch ---------------------------------------------------------------------------------------------------------


def _of_torch(plan: Plan) -> list[str]:
    traits = plan.traits
    is_plain = not (traits.closure or traits.has_modes or plan.splits or plan.call.inner or not plan.rate)
    if is_plain:
        return _plain_torch(plan)
    describe = ["describe=groups_torch.split_of"] if plan.splits else []
    if plan.decays_some:
        describe = ["describe=groups_torch.groups_of"]
    if traits.closure:
        describe.append(f'closure="{traits.closure}"')
    made = _called(plan.call, "params.matrices" if plan.splits else _params(plan), **_fast(plan))
    optimizers = [made]
    if plan.splits:
        rest = f"lr={HYPERPARAMETERS}.rest_lr, weight_decay={HYPERPARAMETERS}.rest_weight_decay, fused=True"
        optimizers.append(f"torch.optim.AdamW(params.rest, {rest})")
    factor = _schedule(plan, "1.0") if plan.schedule.startswith("warmup") else "lambda step: 1.0"
    return [
        "def make_optimizers(hyperparameters, step_hint, params):",
        '    """The optimizers, and what their learning rates are multiplied with at each step."""',
        *_wrapped(f"    optimizers = [{', '.join(optimizers)}]"),
        *_wrapped(f"    return optimizers, {factor}"),
        "",
        "",
        *_functions(plan, "adapted_torch", "make_optimizers", describe, with_eval=traits.has_modes),
    ]


def _plain_torch(plan: Plan) -> list[str]:
    schedule = (
        _schedule(plan, plan.rate) if plan.schedule.startswith("warmup") else f"lambda step: {plan.rate}"
    )
    describe = ["describe=groups_torch.groups_of"] if plan.decays_some else []
    return [
        "def make_optimizer(hyperparameters, step_hint, params):",
        '    """The optimizer, and its learning rate at each step."""',
        *_wrapped(f"    optimizer = {_called(plan.call, _params(plan), **_fast(plan))}"),
        *_wrapped(f"    return optimizer, {schedule}"),
        "",
        "",
        *_functions(plan, "training_torch", "make_optimizer", describe),
    ]


def _params(plan: Plan) -> str:
    # Some rules go through the parameters twice, which a generator does not allow.
    return "params" if plan.decays_some else "list(params)"


def _fast(plan: Plan) -> dict[str, str]:
    return {plan.traits.fast: "True"} if plan.traits.fast else {}


# ---- JAX -------------------------------------------------------------------------------------------------------------


def _of_jax(plan: Plan) -> list[str]:
    traits, optimizer = plan.traits, plan.optimizer
    lines, more = [], {}
    described = []
    if plan.splits:
        described = ["describe=adapted_jax.matrix_labels"]
    elif plan.decays_some:
        described = ["describe=adapted_jax.matrix_mask"]
        more[str(mask_of(optimizer))] = "decays"
    parameter = "labels" if plan.splits else "decays"
    call, scale = _made_jax(plan)
    made = _called(call, **more)
    if scale:
        made = f"optax.chain({made}, optax.scale_by_schedule({_schedule(plan, '1.0')}))"
    if plan.splits:
        rest = f"optax.adamw({_rest_rate(plan)}, weight_decay={HYPERPARAMETERS}.rest_weight_decay)"
        made = f'optax.partition({{"matrices": {made}, "rest": {rest}}}, labels)'
    special = traits.extra or traits.averages
    if traits.averages:
        described.append(f'averages="{traits.averages}"')
    lines += _wrapped(f"    return {made}")
    arguments = (
        f"hyperparameters, step_hint{f', {parameter}' if described and 'describe' in described[0] else ''}"
    )
    return [
        f"def make_optimizer({arguments}):",
        '    """The transformation, with its learning rate at each step."""',
        *lines,
        "",
        "",
        *_functions(
            plan,
            "adapted_jax" if special else "training_jax",
            "make_optimizer",
            described,
            with_eval=bool(traits.averages),
        ),
    ]


def _made_jax(plan: Plan) -> tuple[Call, bool]:
    """(the call with schedules in the place of rates, whether a factor on the updates is to do that instead)."""
    if not plan.schedule.startswith("warmup"):
        return plan.call, False
    if not plan.traits.scheduled:
        return plan.call, True

    def scheduled(call: Call) -> Call:
        changed: dict[str, str | Call] = {
            name: scheduled(one)
            for name, one in call.inner.items()
            if name in INNER  # The radius of a step uphill is no learning rate.
        }
        rate = call.arguments.get(call.optimizer.rate or "")
        if isinstance(rate, str):
            changed[call.optimizer.rate or ""] = _schedule(plan, rate)
        return Call(call.optimizer, {**call.arguments, **changed}, call.values, call.point)

    return scheduled(plan.call), False


def _rest_rate(plan: Plan) -> str:
    rate = f"{HYPERPARAMETERS}.rest_lr"
    return _schedule(plan, rate) if plan.schedule.startswith("warmup") else rate


# ---- both ------------------------------------------------------------------------------------------------------------


def _functions(
    plan: Plan, module: str, maker: str, arguments: list[str], with_eval: bool = False
) -> list[str]:
    """The functions of the API, by name."""
    head = []
    batch = "get_batch_size = batch_sizes.get_batch_size"
    if plan.batch_size is not None:
        head = ["def get_batch_size(workload_name):", f"    return {plan.batch_size}", "", ""]
        batch = ""
    return [
        *head,
        *([batch] if batch else []),
        *_wrapped(f"init_optimizer_state = {module}.initializer({', '.join([maker, 'POINT', *arguments])})"),
        "data_selection = input_queue.next_batch",
        f"update_params = {module}.update_params",
        *([f"prepare_for_eval = {module}.prepare_for_eval"] if with_eval else []),
    ]


def _wrapped(line: str) -> list[str]:
    """A line of source, broken at the commas of its outermost brackets where it is too long."""
    if len(line) <= WIDTH:
        return [line]
    indent = re.match(r" *", line)[0]  # type: ignore[index]  # It matches whatever there is.
    for start, letter in enumerate(line):
        if letter not in "([{":
            continue
        end = _closing(line, start)
        inner = line[start + 1 : end]
        if len(inner) < 40:
            continue
        parts = _split(inner)
        if len(parts) == 1 and len(line) < 130:
            return [line]
        inside = [broken for part in parts for broken in _wrapped(f"{indent}    {part},")]
        return [line[: start + 1], *inside, f"{indent}{line[end:]}"]
    return [line]


def _closing(line: str, start: int) -> int:
    depth = 0
    for index in range(start, len(line)):
        depth += (line[index] in "([{") - (line[index] in ")]}")
        if not depth:
            return index
    return len(line) - 1


def _split(inner: str) -> list[str]:
    parts, depth = [""], 0
    for letter in inner:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]
