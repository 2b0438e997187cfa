"""The model: hooks, replaced layers and methods, networks of the submission's own, outputs beside model_fn."""

import ast
from collections.abc import Iterator

from audit.findings import Check, Finding, Grade
from audit.name_checks import INITIALISES
from audit.paths import is_own, root, starts
from audit.program import Event, Program

FORWARD_HOOK = Check(
    "forward-hook",
    ("R3.13", "R3.19"),
    Grade.REVIEW,
    "{what} runs code in every pass of the model, evaluations among them.",
    "Compute from gradients and parameters in update_params; a hook must change nothing and be off in evaluations.",
)
GRADIENT_HOOK = Check(
    "gradient-hook",
    ("R3.19",),
    Grade.NOTE,
    "{what} runs code in backward passes.",
)
REPLACED_METHOD = Check(
    "replaced-method",
    ("R3.13", "R3.19"),
    Grade.FORBIDDEN,
    "{what} replaces what the model does.",
    "Change parameters only.",
)
REPLACED_LAYER = Check(
    "replaced-layer",
    ("R3.13",),
    Grade.FORBIDDEN,
    "{what} puts another layer into the model.",
    "Change parameters only.",
)
MODEL_ATTRIBUTE = Check(
    "model-attribute",
    ("R3.13",),
    Grade.REVIEW,
    "{what} sets an attribute of the model or of a layer.",
    "Keep what belongs to the algorithm in the optimizer state.",
)
OWN_NETWORK = Check(
    "own-network",
    ("R3.13",),
    Grade.REVIEW,
    "{what} is a network of the submission's own.",
    "The model is the workload's; a network that computes updates needs a word on what it was trained on.",
)
TAKES_CLASS = Check(
    "takes-class",
    ("R3.13", "R3.17"),
    Grade.FORBIDDEN,
    "{what} is derived from a class of the model or of the harness.",
    "Use objects that the harness hands over as they are.",
)
ACTING_VALUE = Check(
    "acting-value",
    ("R3.19", "R3.20"),
    Grade.REVIEW,
    "{what} is a number or a text that runs code when somebody uses it.",
    "Return plain numbers and texts.",
)
TENSOR_CLASS = Check(
    "tensor-class",
    ("R3.13", "R3.19"),
    Grade.FORBIDDEN,
    "{what} decides what operations on its objects do, those of the evaluation too.",
    "Use plain tensors.",
)
CALLS_MODEL = Check(
    "calls-model",
    ("R3.14",),
    Grade.REVIEW,
    "{what} calls the model beside workload.model_fn.",
    "Outputs come from workload.model_fn.",
)
NEW_PARAMETERS = Check(
    "new-parameters",
    ("R11.9", "R3.13"),
    Grade.REVIEW,
    "{what} makes initial parameters from a seed that is not the run's.",
    "Restart with the argument rng, and never search for a lucky seed.",
)
NEW_PARAMETERS_BY_RNG = Check(
    "restart",
    ("R5.2",),
    Grade.NOTE,
    "{what} makes new initial parameters.",
)
METHODS = (
    *(
        "forward",
        "train",
        "eval",
        "__class__",
        "__call__",
        "state_dict",
        "load_state_dict",
        "named_parameters",
    ),
    *(
        "parameters",
        "buffers",
        "to",
        "modules",
        "named_modules",
        "requires_grad_",
        "_forward_hooks",
        "training",
    ),
    *(
        "_forward_pre_hooks",
        "_call_impl",
        "_modules",
        "_parameters",
        "_buffers",
        "__dict__",
        "momentum_",
        "apply",
    ),
)
HARMLESS = ("data", "grad", "requires_grad", "training", "momentum", "num_batches_tracked")
HOOKS = (
    *(
        "register_forward_hook",
        "register_forward_pre_hook",
        "register_module_forward_hook",
        "_register_state_dict_hook",
    ),
    *("register_module_forward_pre_hook", "register_state_dict_pre_hook", "register_state_dict_post_hook"),
    *(
        "register_load_state_dict_post_hook",
        "register_load_state_dict_pre_hook",
        "register_full_backward_hook",
    ),
    *("register_full_backward_pre_hook", "register_backward_hook", "register_comm_hook"),
)
GRADIENT_HOOKS = ("register_hook", "register_post_accumulate_grad_hook", "register_multi_grad_hook")
INSERTS = (
    "add_module",
    "register_module",
    "register_parameter",
    "set_submodule",
    "insert",
    "append",
    "extend",
)
NETWORKS = ("torch.nn", "flax.linen", "flax.nnx", "haiku", "equinox")
TENSORS = ("torch.Tensor", "torch.nn.Parameter", "torch.nn.parameter.Parameter", "jax.Array", "numpy.ndarray")
VALUES = ("builtins.int", "builtins.float", "builtins.str", "builtins.bytes", "builtins.complex")
DRAWS = (
    *("normal_", "uniform_", "random_", "cauchy_", "exponential_", "log_normal_", "geometric_", "bernoulli_"),
    *("trunc_normal_", "reset_parameters"),
)
"""Methods that fill a tensor anew."""
REMADE = ("torch.jit", "torch.export", "torch.onnx")
TAKES_OVER = (
    "__torch_function__",
    "__torch_dispatch__",
    "__jax_array__",
    "__array_function__",
    "__array_ufunc__",
)


def find(program: Program) -> Iterator[Finding]:
    """Findings about the model."""
    for event in program.events:
        if event.kind == "call":
            yield from _of_call(event)
        elif event.kind == "store":
            yield from _of_store(program, event)
        elif event.kind == "class":
            yield from _of_class(event)


def _of_call(event: Event) -> Iterator[Finding]:
    if event.attr in HOOKS:
        yield event.finding(FORWARD_HOOK)
    elif event.attr in GRADIENT_HOOKS:
        yield event.finding(GRADIENT_HOOK)
    elif event.attr in INSERTS and event.starts("@model") and not event.starts("@model_state"):
        if not any(".parameters" in path or ".state_dict" in path for path in event.paths):
            yield event.finding(REPLACED_LAYER)
    elif event.attr == "register_buffer" and event.starts("@model"):
        yield event.finding(MODEL_ATTRIBUTE)
    elif (
        (
            any(is_model(path) and path.count("(") == path.count(".modules()") for path in event.paths)
            and not event.attr
        )
        or event.starts(
            "torch.func.functional_call", "torch.nn.utils.stateless", "torch.func.stack_module_state"
        )
        or (event.starts(*REMADE) and any(is_model(path) for values in event.values for path in values))
    ):
        yield event.finding(CALLS_MODEL)
    elif event.attr in DRAWS and any(root(path) == "@model" and ".grad." not in path for path in event.paths):
        yield event.finding(INITIALISES)
    elif "@workload.init_model_fn" in event.paths:
        yield event.finding(NEW_PARAMETERS_BY_RNG if _has_rng(event) else NEW_PARAMETERS)


def _has_rng(event: Event) -> bool:
    return isinstance(event.node, ast.Call) and any(
        isinstance(one, ast.Name) and ("rng" in one.id or "key" in one.id) for one in ast.walk(event.node)
    )


def is_model(path: str) -> bool:
    """Whether it is the model in PyTorch, or a layer of it, and not one of its parameters."""
    if root(path) != "@model":
        return False
    return not any(
        word in path for word in ("parameters(", "state_dict(", "buffers(", ".weight", ".bias", "_leaves")
    )


def _of_store(program: Program, event: Event) -> Iterator[Finding]:
    for path in sorted(event.paths):
        owner, _, name = path.rpartition(".")
        if path.endswith("]") and "[" in path:
            owner, name = path[: path.rindex("[")], "[]"
        if root(path) != "@model" or not owner:
            continue
        values = set().union(*event.values) if event.values else set()
        is_network = any(_is_network(program, value) for value in values)
        if name in METHODS[:6] or (name in METHODS and name not in HARMLESS):
            yield event.finding(REPLACED_METHOD)
        elif is_network and is_model(owner):
            yield event.finding(REPLACED_LAYER)
        elif name not in HARMLESS and name != "[]" and is_model(owner):
            yield event.finding(MODEL_ATTRIBUTE)
        else:
            continue
        return


def _is_network(program: Program, path: str) -> bool:
    if any(starts(path, one) for one in NETWORKS) and not starts(path, "torch.nn.Parameter"):
        return True
    scope = program.scope_of(path.removesuffix("()")) if is_own(path) else None
    return scope is not None and scope.is_class and any(_is_network(program, base) for base in scope.bases)


def _of_class(event: Event) -> Iterator[Finding]:
    node = event.node
    assert isinstance(node, ast.ClassDef)
    what = f"class {node.name}"
    methods = {one.name for one in node.body if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef))}
    if any(path[:1] == "@" for path in event.paths) or event.starts("algoperf.spec.Workload"):
        yield event.finding(TAKES_CLASS, what)
    elif methods & set(TAKES_OVER) or event.paths & set(TENSORS):
        yield event.finding(TENSOR_CLASS, what)
    elif methods and event.paths & set(VALUES):
        yield event.finding(ACTING_VALUE, what)
    elif any(starts(path, one) for path in event.paths for one in NETWORKS):
        yield event.finding(OWN_NETWORK, what)
