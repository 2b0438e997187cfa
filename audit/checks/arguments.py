"""What a submission does with the arguments that the harness hands it: attributes beside the listed ones, writing."""

from collections.abc import Iterator

from audit.findings import Check, Finding, Grade
from audit.paths import FACTS, root
from audit.program import Event, Program

LISTED = frozenset(
    {
        *FACTS,
        *(
            "loss_type",
            "param_shapes",
            "model_params_types",
            "is_output_params",
            "metrics_logger",
            "model_fn",
        ),
        *("loss_fn", "output_activation_fn", "init_model_fn", "name"),
    }
)
"""Attributes of the workload that submissions/README.md lists; the name has checks of its own."""
MACHINERY = (
    "evaluator",
    "model",
    "spec",
    "backend",
    "data_module",
    "data_dir",
    "eval_model",
    "attach_metrics_logger",
)
"""Public attributes by which the harness itself works."""

PRIVATE = Check(
    "private-name",
    ("R3.7",),
    Grade.FORBIDDEN,
    "{what} is a private name of the workload or of the harness.",
    "Use what submissions/README.md lists.",
)
HARNESS_ATTRIBUTE = Check(
    "harness-attribute",
    ("R3.7", "R3.5"),
    Grade.FORBIDDEN,
    "{what} is how the harness works inside.",
    "Use what submissions/README.md lists.",
)
EVALUATES = Check(
    "evaluates",
    ("R3.7",),
    Grade.FORBIDDEN,
    "{what} evaluates.",
    "The harness evaluates; its results come in eval_results.",
)
UNLISTED = Check(
    "unlisted-attribute",
    ("R3.5",),
    Grade.REVIEW,
    "{what} is no attribute of the workload that submissions/README.md lists.",
    "Use those that it lists.",
)
ANY_ATTRIBUTE = Check(
    "attribute-by-text",
    ("R3.7", "R3.5"),
    Grade.REVIEW,
    "{what} reads an attribute whose name is made up while it runs.",
    "Write the name down.",
)
QUEUE = Check(
    "inside-the-queue",
    ("R3.7", "R3.9"),
    Grade.FORBIDDEN,
    "{what} looks into the input queue.",
    "Draw batches by next(input_queue).",
)
LOGGER = Check(
    "inside-the-logger",
    ("R3.20",),
    Grade.FORBIDDEN,
    "{what} looks into the logger.",
    "Only append_scalar_metrics is for submissions.",
)
EVAL_ROW = Check(
    "evaluation-row",
    ("R3.17", "R3.20"),
    Grade.FORBIDDEN,
    "{what} writes a row of an evaluation.",
    "Leave is_eval out.",
)
HARNESS_COLUMN = Check(
    "harness-column",
    ("R3.17", "R3.20"),
    Grade.FORBIDDEN,
    "{what} logs under a name that the harness writes.",
    "Log under names of your own.",
)
WRITES_ARGUMENT = Check(
    "writes-argument",
    ("R3.17",),
    Grade.FORBIDDEN,
    "{what} changes what is there to be read.",
    "Copy what you need into the optimizer state.",
)
COLUMNS = (
    "score",
    "accumulated_",
    "validation/",
    "test/",
    "train/",
    "total_duration",
    "is_time_remaining",
    "preemption",
)
READ_ONLY = ("@eval_results", "@train_state", "@hyperparameters")
CHANGING = (
    "append",
    "extend",
    "insert",
    "clear",
    "pop",
    "remove",
    "reverse",
    "sort",
    "update",
    "setdefault",
    "popitem",
)
DYNAMIC_ROOTS = (
    "@workload",
    "@model",
    "@input_queue",
    "@eval_results",
    "@train_state",
    "algoperf",
    "sys",
    "os",
    "time",
)


def find(program: Program) -> Iterator[Finding]:
    """Findings about reading, calling and writing."""
    for event in program.of_kind("read"):
        for path in sorted(event.paths):
            check = _of_read(path)
            if check is not None:
                yield event.finding(check)
                break
    for event in program.of_kind("call"):
        yield from _of_call(event)
    for event in program.of_kind("text"):
        if event.paths == {"'is_eval"}:
            yield event.finding(EVAL_ROW)
    for event in program.of_kind("store"):
        if any(root(path) in READ_ONLY for path in event.paths):
            yield event.finding(WRITES_ARGUMENT)


def _of_read(path: str) -> Check | None:
    base = root(path)
    if path.endswith(".*") or path == "sys.modules[]":
        return ANY_ATTRIBUTE if base in DYNAMIC_ROOTS or base.startswith("algoperf") else None
    if base == "@workload":
        return _of_workload(path[len(base) :])
    if base == "@input_queue" and path != base:
        return (
            None
            if path.startswith(("@input_queue.__next__", "@input_queue.__iter__", "@input_queue["))
            else QUEUE
        )
    if (
        base in READ_ONLY
        and path[len(base) :].startswith("._")
        and not path.endswith(("._asdict", "._replace", "._fields"))
    ):
        return PRIVATE
    return None


def _of_workload(rest: str) -> Check | None:
    name = rest[1:].replace("(", ".").replace("[", ".").split(".")[0] if rest[:1] == "." else ""
    if "()" in rest and name != "metrics_logger":
        return None  # What a call has given; the call itself is reported.
    if name == "metrics_logger":
        inner = rest.removeprefix(".metrics_logger")
        is_fine = inner in ("", "()") or inner.startswith(".append_scalar_metrics")
        return None if is_fine else LOGGER
    if name in ("__class__", "__dict__", "__module__", "__init__", "__eq__", "__hash__"):
        return PRIVATE if name != "__class__" or "__name__" not in rest else None
    if name.startswith("_"):
        return PRIVATE
    if name in ("eval_model", "evaluator"):
        return EVALUATES
    if name in MACHINERY:
        return HARNESS_ATTRIBUTE
    return UNLISTED if name and name not in LISTED else None


def _of_call(event: Event) -> Iterator[Finding]:
    given = {path for values in event.values for path in values}
    if any(path.endswith("append_scalar_metrics") for path in event.paths | given) or (
        event.attr == "append_scalar_metrics"
    ):
        # By its name also where the call is wrapped: `functools.partial(logger.append_scalar_metrics, is_eval=True)`.
        is_named = any(name == "is_eval" and values != {"#False"} for name, values in event.keywords)
        if is_named or (event.attr == "append_scalar_metrics" and len(event.values) > 2):
            yield event.finding(EVAL_ROW)
    if event.attr in CHANGING and any(root(path) in READ_ONLY for path in event.paths):
        yield event.finding(WRITES_ARGUMENT)


def logged_names(program: Program) -> Iterator[tuple[Event, str]]:
    """(call, name) of everything that is logged under a name that the source spells out."""
    for event in program.of_kind("call"):
        is_method = event.attr == "append_scalar_metrics"
        if not is_method and not any(path.endswith(".append_scalar_metrics") for path in event.paths):
            continue
        for values in event.values[:1]:
            for path in values:
                for name in program.contents.get(path, {}):
                    yield event, name
