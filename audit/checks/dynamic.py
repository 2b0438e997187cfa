"""Names that are made up while the submission runs: imports, attributes that are set."""

from collections.abc import Iterator

from audit.calls import IMPORTERS, SETTERS
from audit.findings import Check, Finding, Grade
from audit.paths import is_known, is_own
from audit.program import Program

IMPORT = Check(
    "import-by-text",
    ("R2.7",),
    Grade.REVIEW,
    "{what} imports a module by a name that is made up.",
    "Import what is needed by its name.",
)
IMPORT_FUNCTION = Check(
    "import-by-call",
    ("R2.7",),
    Grade.NOTE,
    "{what} imports a module by a call.",
)
SET = Check(
    "set-by-text",
    ("R3.20", "R3.17"),
    Grade.REVIEW,
    "{what} sets an attribute whose name is made up, of something that is not the submission's.",
    "Write the name down.",
)
NAMESPACE = Check(
    "namespace",
    ("R3.20",),
    Grade.REVIEW,
    "{what} takes a namespace as a dictionary.",
    "Write the names down.",
)


def find(program: Program) -> Iterator[Finding]:
    """Calls with texts that are not known."""
    for event in program.of_kind("call"):
        first = event.values[0] if event.values else frozenset()
        second = event.values[1] if len(event.values) > 1 else frozenset()
        if event.paths & set(IMPORTERS):
            yield event.finding(IMPORT_FUNCTION if any(map(is_known, first)) else IMPORT)
        elif event.paths & set(SETTERS) and not any(map(is_known, second)):
            if not first or not all(is_own(path) for path in first):
                yield event.finding(SET)
        elif "builtins.vars" in event.paths and any(
            (not is_own(path) and path[:1] != "@") or path == "@workload" for path in first
        ):
            yield event.finding(NAMESPACE)
