"""Whether something is chosen by which workload is trained: by its name, by its facts, by sizes of its parameters."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from algoperf import registry
from audit.findings import Check, Finding, Grade
from audit.paths import is_constant, is_fact, is_text, root
from audit.program import Event, Program, Scope

NAME_AS_KEY = Check(
    "workload-name",
    ("R3.2", "R3.1"),
    Grade.FORBIDDEN,
    "{what} uses the name of the workload outside get_batch_size.",
    "Only get_batch_size may depend on which workload is trained.",
)
NAME_IN_SOURCE = Check(
    "workload-in-source",
    ("R3.2", "R3.1"),
    Grade.FORBIDDEN,
    "{what} names a workload outside get_batch_size.",
    "Only get_batch_size may depend on which workload is trained.",
)
KEPT_NAME = Check(
    "batch-size-side-effect",
    ("R3.1", "R3.2"),
    Grade.REVIEW,
    "{what} keeps something in get_batch_size that others can read.",
    "Return the batch size and keep nothing.",
)
FINGERPRINT = Check(
    "fingerprint",
    ("R3.2",),
    Grade.FORBIDDEN,
    "{what} tells workloads apart by a fact.",
    "Use facts in one formula for all workloads (R3.3).",
)
THRESHOLD = Check(
    "threshold",
    ("R3.2",),
    Grade.REVIEW,
    "{what} compares a fact of the workload with a number.",
    "Use facts in one formula for all workloads (R3.3).",
)
SHAPES = Check(
    "shape-table",
    ("R3.2",),
    Grade.FORBIDDEN,
    "{what} is a table of shapes or sizes.",
    "Depend on shapes by one general formula (R3.3).",
)
ONE_SHAPE = Check(
    "one-shape",
    ("R3.2",),
    Grade.REVIEW,
    "{what} waits for one particular shape or count.",
    "Depend on shapes by one general formula (R3.3).",
)
SCRAMBLED = Check(
    "scrambled-fact",
    ("R3.2",),
    Grade.REVIEW,
    "{what} makes a fingerprint of a fact of the workload.",
    "Use facts in formulas that grow or fall with them (R3.3).",
)
SIZE_AS_KEY = Check(
    "size-as-key",
    ("R3.2",),
    Grade.REVIEW,
    "{what} chooses from a table by a number of parameters.",
    "Depend on sizes by one general formula (R3.3).",
)
METRIC_NAME = Check(
    "metric-name",
    ("R3.2",),
    Grade.NOTE,
    "{what} asks whether lower values of the metric are better.",
)
DATA_FINGERPRINT = Check(
    "data-fingerprint",
    ("R3.2",),
    Grade.REVIEW,
    "{what} compares what is in a batch with a number.",
    "Depend on data by one general formula (R3.3).",
)
LOWER_IS_BETTER = ("loss", "wer", "ctc_loss", "error_rate", "perplexity")
OTHERS_NAMES = ("mnist", "cifar", "finewebedu_lm")
"""Of AlgoPerf's workloads beside ours."""
SMALL = 8
"""Sizes up to here are in general formulas: kernels of 3 x 3, one channel."""
FEW = 2
"""Shapes in a table from here on."""


def find(program: Program) -> Iterator[Finding]:
    """Findings about names, facts and shapes."""
    exempt = _only_for_batch_sizes(program)
    names = {*registry.names(), *OTHERS_NAMES}
    quiet = _quiet_nodes(program)
    for event in program.events:
        if event.kind == "text":
            text = next(iter(event.paths))[1:]
            if text in names and event.node not in exempt and event.node not in quiet:
                yield event.finding(NAME_IN_SOURCE)
        elif event.kind == "read" and event.scope.number not in exempt:
            if any(_is_name(path) for path in event.paths) and event.node not in quiet:
                yield event.finding(NAME_AS_KEY)
        elif event.kind == "compare":
            yield from _of_compare(program, event)
        elif event.kind == "arithmetic" and _scrambles(event):
            yield event.finding(SCRAMBLED)
        elif event.kind == "call":
            first = event.values[0] if event.values else ()
            if (
                event.paths & {f"builtins.{name}" for name in ("str", "repr", "hash", "id")}
                and "@workload" in first
            ):
                yield event.finding(NAME_AS_KEY)
        elif event.kind == "key":
            yield from _of_key(program, event)
        elif event.kind == "store" and event.scope.number in exempt and _outlives(event):
            yield event.finding(KEPT_NAME)
    yield from _tables(program)


def _outlives(event: Event) -> bool:
    """Whether something is stored that is there when the function has returned."""
    node = event.scope.node
    if event.scope.is_class or event.scope.is_module:
        return False
    lines = range(getattr(node, "lineno", 0), (getattr(node, "end_lineno", 0) or 0) + 1)
    return any(
        path[:1] == ":" or (path[:1] == "{" and int(path[1:].split(":")[1]) not in lines)
        for path in event.paths
    )


def _is_name(path: str) -> bool:
    return path == "@workload.name" or path.startswith(
        (
            "@workload.name.",
            "@workload.__class__.__name__",
            "@workload.__class__.__qualname__",
            "@workload.spec.name",
        )
    )


def _quiet_nodes(program: Program) -> set[ast.AST]:
    """What is only printed or raised: arguments of logging, print, warnings, exceptions."""
    found: set[ast.AST] = set()
    for source in program.folder.sources.values():
        for node in source.nodes:
            if isinstance(node, ast.Raise) or (isinstance(node, ast.Call) and _prints(node.func)):
                found.update(ast.walk(node))
            elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                found.add(node.value)
    return found


def _prints(function: ast.expr) -> bool:
    text = ast.unparse(function)
    return text == "print" or text.split(".")[0] in ("logging", "logger", "warnings", "absl")


def _only_for_batch_sizes(program: Program) -> set[object]:
    """Numbers of scopes, and nodes of tables, that nothing but get_batch_size uses."""
    asked = program.functions_of("get_batch_size", "get_eval_batch_size")
    mine = program.reached(asked, by_mention=True)
    modules = {scope.number for scope in program.scopes if scope.is_module}
    others = [
        scope
        for scope in program.scopes
        if scope.number not in mine and not scope.is_module and not _is_inside(scope, mine)
    ]
    elsewhere = program.reached(
        [
            *others,
            *program.functions_of(
                "init_optimizer_state", "update_params", "data_selection", "prepare_for_eval"
            ),
        ],
        by_mention=True,
    )
    elsewhere -= {scope.number for scope in asked}
    exempt: set[object] = {number for number in mine if number not in elsewhere and number not in modules}
    exempt |= {scope.number for scope in program.scopes if _is_inside(scope, exempt)}
    for scope in program.scopes:
        if scope.number in exempt:
            exempt |= set(ast.walk(scope.node))
    readers = _Readers(program)
    for scope in program.scopes:
        if scope.is_module:
            exempt |= _tables_of(readers, scope, exempt)
    return exempt


def _is_inside(scope: Scope, numbers: Iterable[object]) -> bool:
    at = scope.parent
    while at is not None:
        if at.number in set(numbers):
            return True
        at = at.parent
    return False


def _tables_of(readers: "_Readers", module: Scope, exempt: set[object]) -> set[object]:
    """Nodes of assignments of a module whose names are read in exempt places alone."""
    assert isinstance(module.node, ast.Module)
    found: set[object] = set()
    for statement in module.node.body:
        targets = (
            statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        )
        names = {target.id for target in targets if isinstance(target, ast.Name)}
        value = getattr(statement, "value", None)
        if not names or value is None:
            continue
        places = readers.of(module, names)
        if places and all(scope.number in exempt or node in found for scope, node in places):
            found |= set(ast.walk(value))
    return found


class _Readers:
    """Where names of modules are read: in their file by themselves, elsewhere by what they stand for."""

    def __init__(self, program: Program):
        self._by_name: dict[tuple[Path, str], list[Event]] = {}
        self._by_value: dict[str, list[Event]] = {}
        for event in program.of_kind("read"):
            if isinstance(event.node, ast.Name):
                self._by_name.setdefault((event.file, event.node.id), []).append(event)
            for path in event.paths:
                if path[:1] == "{":
                    self._by_value.setdefault(path, []).append(event)

    def of(self, module: Scope, names: set[str]) -> list[tuple[Scope, ast.AST]]:
        """(scope, node) of every place that reads one of these names of a module."""
        found = [event for name in names for event in self._by_name.get((module.file.path, name), ())]
        for path in {path for name in names for path in module.names.get(name, ())}:
            found += self._by_value.get(path, ())
        return [(event.scope, event.node) for event in found]


# ---- facts ---------------------------------------------------------------------------------------------------------


def _is_fixed(values: Iterable[str]) -> bool:
    """Whether a side of a comparison is made of facts of the workload alone."""
    return (
        bool(values)
        and any(map(is_fact, values))
        and all(is_fact(path) or is_constant(path) for path in values)
    )


def _of_compare(program: Program, event: Event) -> Iterator[Finding]:
    sides = event.values
    if any(_is_name(path) for side in sides for path in side):
        return  # Said where the name is read.
    operators = event.node.ops if isinstance(event.node, ast.Compare) else [ast.Eq()]
    exact = any(isinstance(one, (ast.Eq, ast.NotEq, ast.In, ast.NotIn)) for one in operators)
    facts = [side for side in sides if _is_fixed(side)]
    rest = [side for side in sides if not _is_fixed(side)]
    has_constants = any(path[:1] in "'#{" for side in rest for path in side)
    if facts and has_constants:
        texts = any(is_text(path) for side in rest for path in side)
        is_metric = all("target_metric_name" in path for side in facts for path in side if is_fact(path))
        numbers = [abs(_number(path)) for side in rest for path in side if path[:1] == "#"]
        if exact and is_metric:
            entries = {text for side in rest for text in _texts(program, side)}
            yield event.finding(METRIC_NAME if entries <= set(LOWER_IS_BETTER) else THRESHOLD)
        elif exact and not (numbers and set(numbers) <= {0.0, 1.0} and not texts):
            yield event.finding(FINGERPRINT)
        elif not exact and numbers and max(numbers) > SMALL:
            yield event.finding(THRESHOLD)
    elif exact and isinstance(event.node, ast.Compare) and _is_size(event.node):
        yield event.finding(ONE_SHAPE)
    elif _is_of_data(event):
        yield event.finding(DATA_FINGERPRINT)


def _texts(program: Program, side: Iterable[str]) -> Iterator[str]:
    """Texts of one side, and those in its lists."""
    for path in side:
        inner = (one for values in program.contents.get(path, {}).values() for one in values)
        yield from (one[1:] for one in (path, *inner) if is_text(one))


def _is_of_data(event: Event) -> bool:
    """Whether a number that sums up a batch is compared with one that the source spells out."""
    has_data = any(
        path.startswith(("@batch[", "@batch.get", "@input_queue["))
        and ("()" in path or path.count("[") > 2)
        and ".shape" not in path
        and not path.endswith(".get()")
        for side in event.values
        for path in side
    )
    numbers = [abs(_number(path)) for side in event.values for path in side if path[:1] == "#"]
    return has_data and any(number not in (0.0, 1.0) for number in numbers)


def _number(path: str) -> float:
    try:
        return float(path[1:])
    except ValueError:
        return 1.0


def _is_size(node: ast.Compare) -> bool:
    """Whether one side is a particular shape or a large count, and the other a shape, a size or a number of things."""
    sides = [node.left, *node.comparators]
    texts = [ast.unparse(side) for side in sides]
    words = (".shape", "shape_tuple", ".size(", ".numel(", ".size", "nelement(")
    has_shape = any(word in text for text in texts for word in words)
    counts_parameters = any(
        text.startswith(("len(", "sum("))
        and any(word in text for word in ("parameters(", "leaves(", "param_shapes", "modules("))
        for text in texts
    )
    for side in sides:
        numbers = [
            one.value for one in ast.walk(side) if isinstance(one, ast.Constant) and type(one.value) is int
        ]
        is_literal = all(
            isinstance(one, (ast.Constant, ast.Tuple, ast.List, ast.Set, ast.Load, ast.UnaryOp, ast.USub))
            for one in ast.walk(side)
        )
        if not is_literal or not numbers:
            continue
        is_tuple = not isinstance(side, ast.Constant)
        if has_shape and max(numbers) > (SMALL if is_tuple else 500):
            return True
        if counts_parameters and max(numbers) > FEW:
            return True
    return False


def _of_key(program: Program, event: Event) -> Iterator[Finding]:
    is_table = any(path[:1] == "{" for values in event.values for path in values)
    if is_table and _is_fixed(event.paths):
        only_metric = all("target_metric_name" in path for path in event.paths if is_fact(path))
        yield event.finding(THRESHOLD if only_metric else FINGERPRINT)
    elif is_table and any(root(path) in ("@workload",) and ".name" in path for path in event.paths):
        yield event.finding(NAME_AS_KEY)
    elif is_table and _chooses_by_size(program, event):
        yield event.finding(SIZE_AS_KEY)


def _scrambles(event: Event) -> bool:
    """Whether what an operation gives says which number it was, and not how large."""
    node = event.node
    scrambling = (ast.Mod, ast.BitXor, ast.BitAnd, ast.BitOr, ast.LShift, ast.RShift)
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, scrambling):
        return False
    return any(map(is_fact, event.paths)) and not any(map(is_text, event.paths))


def _chooses_by_size(program: Program, event: Event) -> bool:
    """Whether a table of numbers has a number of parameters for its key."""
    if not any(
        path == "builtins.sum()" or ".numel()" in path or path.endswith(".size") for path in event.paths
    ):
        return False
    tables = (program.contents.get(path, {}) for values in event.values for path in values if path[:1] == "{")
    return any(
        len(table) >= FEW and all(any(path[:1] == "#" for path in values) for values in table.values())
        for table in tables
    )


def _tables(program: Program) -> Iterator[Finding]:
    """Literals that list shapes, or choose by large counts."""
    for source in program.folder.sources.values():
        for node in source.nodes:
            if isinstance(node, ast.Dict):
                parts: list[ast.AST] = [key for key in node.keys if key is not None]
            elif isinstance(node, (ast.List, ast.Set, ast.Tuple)):
                parts = list(node.elts)
            else:
                continue
            shapes = [part for part in parts if _is_shape(part)]
            counts = [
                part
                for part in parts
                if isinstance(node, ast.Dict)
                and isinstance(part, ast.Constant)
                and type(part.value) is int
                and part.value >= 1000
            ]
            if len(shapes) >= FEW or len(counts) >= FEW:
                text = " ".join(ast.unparse(node).split())[:60]
                yield Finding(source.path, node.lineno, f"{text}…", SHAPES)


def _is_shape(node: ast.AST) -> bool:
    if not isinstance(node, ast.Tuple) or len(node.elts) < 1:
        return False
    sizes = [one.value if isinstance(one, ast.Constant) else None for one in node.elts]
    return (
        all(type(size) is int for size in sizes)
        and max(size for size in sizes if isinstance(size, int)) > SMALL
    )
