"""Training where no clock runs: before the first step, in what the harness calls at pauses, in the evaluation."""

import ast
from collections.abc import Iterable, Iterator

from audit.expressions import own_functions
from audit.findings import Check, Finding, Grade
from audit.paths import root, starts
from audit.program import Event, Program, Scope

IN_SETUP = Check(
    "training-in-setup",
    ("R3.18",),
    Grade.FORBIDDEN,
    "{what} trains or asks for data before the first step.",
    "Import, get_batch_size and init_optimizer_state only prepare.",
)
COMPILES_AHEAD = Check(
    "compiles-ahead",
    ("R3.18",),
    Grade.FORBIDDEN,
    "{what} compiles ahead of time, off the clock.",
    "Let the first step compile.",
)
RUNS_COMPILED = Check(
    "compiled-in-setup",
    ("R3.18",),
    Grade.REVIEW,
    "{what} calls a compiled function before the first step.",
    "Let the first step compile.",
)
AT_PAUSES = Check(
    "training-off-the-clock",
    ("R3.19",),
    Grade.FORBIDDEN,
    "{what} is reached from {where}, which the harness calls while the clock stands still.",
    "Train in data_selection, update_params and prepare_for_eval.",
)

PASSIVE = frozenset(
    {
        *(
            "state_dict",
            "load_state_dict",
            "consolidate_state_dict",
            "__getstate__",
            "__setstate__",
            "__reduce__",
        ),
        *("__reduce_ex__", "__getnewargs__", "__deepcopy__", "__copy__", "__float__", "__int__", "__index__"),
        *(
            "__array__",
            "__format__",
            "__repr__",
            "__str__",
            "__del__",
            "__bool__",
            "__len__",
            "__eq__",
            "__hash__",
        ),
        *(
            "item",
            "tolist",
            "numpy",
            "tree_flatten",
            "tree_unflatten",
            "__sizeof__",
            "__round__",
            "__complex__",
        ),
        *("__getattr__", "__getattribute__", "__lt__", "__gt__", "__le__", "__ge__", "__torch_function__"),
        *("__torch_dispatch__", "__jax_array__", "detach", "cpu", "eval", "train", "forward", "__set_name__"),
        *(
            "__array_wrap__",
            "__dlpack__",
            "__trunc__",
            "__dir__",
            "__contains__",
            "to",
            "parameters",
            "buffers",
        ),
        *(
            "named_parameters",
            "named_buffers",
            "requires_grad_",
            "__ne__",
            "emit",
            "write",
            "flush",
            "filter",
        ),
        *("items", "keys", "values", "__iter__", "__getitem__", "get", "copy"),
    }
)
"""Methods that the harness or Python call between the timed functions."""
OF_CONTAINERS = (
    "items",
    "keys",
    "values",
    "__iter__",
    "__getitem__",
    "get",
    "copy",
    "__len__",
    "__contains__",
)
CONTAINERS = ("builtins.dict", "builtins.list", "builtins.tuple", "collections", "typing.NamedTuple")
CLASS_IS_MODULE = ("forward", "eval", "train", "to", "cpu", "parameters", "buffers", "named_parameters")
REGISTERS = (
    *(
        "register_forward_hook",
        "register_forward_pre_hook",
        "register_state_dict_pre_hook",
        "register_state_dict_post_hook",
    ),
    *("register_load_state_dict_pre_hook", "register_load_state_dict_post_hook", "_register_state_dict_hook"),
    *(
        "_register_load_state_dict_pre_hook",
        "register_module_forward_hook",
        "register_module_forward_pre_hook",
    ),
    *(
        "register_pytree_node",
        "register_pytree_with_keys",
        "finalize",
        "register",
        "settrace",
        "setprofile",
        "signal",
    ),
    *(
        "register_callback",
        "Timer",
        "call_later",
        "pickle",
        "register_event_listener",
        "pure_callback",
        "io_callback",
    ),
    *("register_state_dict_hook", "add_done_callback"),
)
"""Methods and functions whose arguments are called later, by somebody else."""
WRITES_FUNCTION = (
    "forward",
    "eval",
    "train",
    "state_dict",
    "__call__",
    "parameters",
    "to",
    "load_state_dict",
)


def find(program: Program) -> Iterator[Finding]:
    """Training in functions that run off the clock."""
    setup = _in_setup(program)
    for event in program.of_kind("call", "iterate"):
        if event.scope.number in setup or event.scope.is_module:
            if trains(event):
                yield event.finding(IN_SETUP)
            elif _compiles(event):
                yield event.finding(COMPILES_AHEAD)
            elif _is_compiled(program, event):
                yield event.finding(RUNS_COMPILED)
    for name, scopes in _passive(program).items():
        reached = program.reached(scopes)
        for event in program.of_kind("call", "iterate"):
            if event.scope.number in reached and trains(event):
                yield event.finding(_about(name))


_ABOUT: dict[str, Check] = {}


def _about(name: str) -> Check:
    """The check, for one place that code is reached from."""
    if name not in _ABOUT:
        says = AT_PAUSES.says.replace("{where}", name)
        _ABOUT[name] = Check(AT_PAUSES.id, AT_PAUSES.rules, AT_PAUSES.grade, says, AT_PAUSES.instead)
    return _ABOUT[name]


def _in_setup(program: Program) -> set[int]:
    """Functions that run at the import, in get_batch_size or in init_optimizer_state."""
    begins = program.functions_of("get_batch_size", "get_eval_batch_size", "init_optimizer_state")
    return program.reached([*begins, *program.modules.values()])


def trains(event: Event) -> bool:
    """Whether it is a gradient, a pass of the model, a step, or a batch."""
    if event.kind == "iterate":
        return event.starts("@input_queue")
    call = event.node
    if event.attr == "backward" or event.starts("torch.autograd.grad", "torch.autograd.backward"):
        return True
    if event.starts("@workload.model_fn", "@workload.loss_fn"):
        return True
    if any(path in ("jax.grad()", "jax.value_and_grad()", "torch.func.grad()") for path in event.paths):
        return True
    if event.attr == "step" and any(starts(path, "torch.optim") for path in event.paths):
        return True
    if "builtins.next" in event.paths or event.attr == "__next__":
        given = set().union(*event.values[:1]) | event.paths
        return any(root(path) == "@input_queue" for path in given)
    return isinstance(call, ast.Call) and any(path in ("@input_queue.__next__",) for path in event.paths)


def _compiles(event: Event) -> bool:
    is_lowered = any(
        path.endswith(".lower") and (path[:1] == ":" or path.startswith("jax.")) for path in event.paths
    )
    return is_lowered or any(
        path.endswith((".lower().compile", ".trace().lower"))
        or path.startswith("torch._inductor.aot_compile")
        for path in event.paths
    )


def _is_compiled(program: Program, event: Event) -> bool:
    if "torch.compile()" in event.paths:
        return True
    for function in own_functions(program, event.paths):
        decorators = [ast.unparse(one) for one in getattr(function.node, "decorator_list", ())]
        if any("torch.compile" in text for text in decorators):
            return True
    return False


def _passive(program: Program) -> dict[str, list[Scope]]:
    """What the harness or Python may call off the clock -> functions of the submission that it runs."""
    found: dict[str, list[Scope]] = {}
    for scope in program.scopes:
        if scope.is_method and scope.name in PASSIVE and scope.parent is not None:
            if scope.name in CLASS_IS_MODULE and not _is_module(program, scope.parent):
                continue
            if scope.name in OF_CONTAINERS and not _is_container(scope.parent):
                continue
            found.setdefault(f"{scope.parent.name}.{scope.name}()", []).append(scope)
    for event in program.events:
        if event.kind == "call" and _registers(event):
            for scope in _functions_in(program, event):
                found.setdefault(f"a function given to {_last_name(event)}()", []).append(scope)
        elif event.kind == "store":
            names = [path.rpartition(".")[2] for path in event.paths if path[:1] not in ":{"]
            for name in names:
                if name in WRITES_FUNCTION:
                    for scope in own_functions(program, set().union(*event.values)):
                        found.setdefault(f"{name}() of an object that is not the submission's", []).append(
                            scope
                        )
    return found


def _is_module(program: Program, scope: Scope) -> bool:
    """Whether a class is a network, or takes the class of one."""
    return any(
        starts(path, "torch.nn")
        or starts(path, "flax")
        or "@model" in path
        or (
            (parent := program.scope_of(path)) is not None
            and parent is not scope
            and _is_module(program, parent)
        )
        for path in scope.bases
    )


def _is_container(scope: Scope) -> bool:
    """Whether a class is a kind of dict or list: an iterator of batches is none."""
    return any(starts(path, one) for path in scope.bases for one in CONTAINERS)


def _registers(event: Event) -> bool:
    name = _last_name(event)
    if name not in REGISTERS:
        return False
    # `register`, `signal`, `pickle` and `finalize` are words of many; these modules are meant.
    if name in ("register", "signal", "pickle", "finalize", "Timer"):
        return event.starts("atexit", "signal", "copyreg", "weakref", "threading")
    return True


def _last_name(event: Event) -> str:
    if event.attr:
        return event.attr
    return next(iter(sorted(event.paths)), "").rpartition(".")[2]


def _functions_in(program: Program, event: Event) -> Iterable[Scope]:
    given = set().union(*event.values, *(values for _, values in event.keywords))
    return own_functions(program, given)
