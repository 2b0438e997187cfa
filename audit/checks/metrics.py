"""Which metrics a submission reads."""

import ast
from collections.abc import Iterator

from audit.findings import Check, Finding, Grade
from audit.paths import UNKNOWN, starts
from audit.program import Event, Program

TEST_METRIC = Check(
    "test-metric",
    ("R3.5",),
    Grade.FORBIDDEN,
    "{what} asks for a metric of the test split.",
    "Only train/... and validation/... may influence a run.",
)
TEST_GOAL = Check(
    "test-goal",
    ("R3.5",),
    Grade.REVIEW,
    "{what} asks whether the test target is reached.",
    "Only train/... and validation/... may influence a run.",
)
ALL_METRICS = Check(
    "all-metrics",
    ("R3.5",),
    Grade.REVIEW,
    "{what} goes through all metrics, those of the test split among them.",
    "Name the metrics: validation/....",
)


def find(program: Program) -> Iterator[Finding]:
    """Texts that begin with test/, and loops over all metrics."""
    for event in program.events:
        if event.kind == "text":
            text = next(iter(event.paths))[1:]
            has_space = " " in text.strip(UNKNOWN)
            if (text.startswith("test/") and not has_space) or (
                text == "test" and _is_prefix(program, event.node)
            ):
                yield event.finding(TEST_METRIC)
            elif text == "test_goal_reached":
                yield event.finding(TEST_GOAL)
        elif event.kind == "key":
            if any(path.startswith("'test/") for path in event.paths):
                yield event.finding(TEST_METRIC)
        elif event.kind == "arithmetic" and any(path.startswith("'test/") for path in event.paths):
            yield event.finding(TEST_METRIC)
        elif event.kind == "read" and event.starts("@workload.has_reached_test_target"):
            yield event.finding(TEST_GOAL)
        elif event.kind in ("call", "iterate") and _goes_through(event):
            yield event.finding(ALL_METRICS)


def _goes_through(event: Event) -> bool:
    """Whether it takes every metric of an evaluation, by a loop, by `items()`, by `max` and the like."""
    if any(map(_is_metrics, event.paths)):
        return True
    is_taken = event.paths & {f"builtins.{name}" for name in ("max", "min", "sum", "list", "sorted")}
    return bool(is_taken) and any(_is_metrics(path) for values in event.values for path in values)


def _is_metrics(path: str) -> bool:
    """Whether it is every metric of one evaluation."""
    ends = (".items", ".values", ".keys", ".items()", ".values()", ".keys()")
    return starts(path, "@eval_results") and path.endswith(ends)


def _is_prefix(program: Program, node: ast.AST) -> bool:
    """Whether the text `test` is what others begin with."""
    return any(
        isinstance(outer, ast.Call)
        and node in outer.args
        and isinstance(outer.func, ast.Attribute)
        and outer.func.attr in ("startswith", "count", "find", "join")
        for source in program.folder.sources.values()
        for outer in source.nodes
    )
