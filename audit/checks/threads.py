"""Threads: allowed within a timed function, if the function waits for their end."""

import ast
from collections.abc import Iterator

from audit.findings import Check, Finding, Grade
from audit.program import Event, Program, Scope

WAITED_FOR = Check(
    "joined-thread",
    ("R3.19",),
    Grade.NOTE,
    "{what} is waited for in the same function.",
)
KEPT = Check(
    "kept-thread",
    ("R3.19",),
    Grade.REVIEW,
    "{what} is not waited for where it is started.",
    "Join it before the function returns: nothing runs between the timed functions.",
)
RUNS_ON = Check(
    "running-thread",
    ("R3.19",),
    Grade.FORBIDDEN,
    "{what} starts a thread that works on when the function has returned.",
    "Join it before the function returns: nothing runs between the timed functions.",
)
STARTS = (
    *(
        "threading.Thread",
        "threading.Timer",
        "_thread.start_new_thread",
        "_thread.start_new",
        "threading._start_joinable_thread",
    ),
    *(
        "concurrent.futures.ThreadPoolExecutor",
        "concurrent.futures.ProcessPoolExecutor",
        "multiprocessing.pool.ThreadPool",
    ),
    *("multiprocessing.dummy.Pool", "multiprocessing.dummy.Process", "torch.utils.data.DataLoader"),
)


def find(program: Program) -> Iterator[Finding]:
    """Every start of a thread."""
    joins_anywhere = any(
        event.attr == "join" and not _is_text_join(event) for event in program.of_kind("call")
    )
    for event in program.of_kind("call"):
        if not event.paths & set(STARTS):
            continue
        if _is_in_with(event) or _joins(event.scope):
            yield event.finding(WAITED_FOR)
        elif joins_anywhere or event.starts("concurrent.futures", "multiprocessing", "torch.utils.data"):
            yield event.finding(KEPT)
        else:
            yield event.finding(RUNS_ON)
    for event in program.of_kind("class"):
        if event.starts("threading.Thread"):
            check = KEPT if joins_anywhere else RUNS_ON
            yield event.finding(check, f"class {getattr(event.node, 'name', '')}")


def _is_text_join(event: Event) -> bool:
    node = event.node
    assert isinstance(node, ast.Call)
    # `thread.join()` has no argument, or a number of seconds; `", ".join(parts)` and `os.path.join` have others.
    return bool(node.args) and not (
        isinstance(node.args[0], ast.Constant) and not isinstance(node.args[0].value, str)
    )


def _is_in_with(event: Event) -> bool:
    return any(
        item.context_expr is event.node
        for node in ast.walk(event.scope.node)
        if isinstance(node, ast.With)
        for item in node.items
    )


def _joins(scope: Scope) -> bool:
    """Whether the function itself waits without a limit, on every way out that is not an error."""
    if scope.is_module:
        return False
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "join"
        and not node.args
        and not node.keywords
        for node in ast.walk(scope.node)
    )
