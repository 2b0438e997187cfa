"""Names under which a submission logs."""

from collections.abc import Iterator

from audit.checks.arguments import COLUMNS, HARNESS_COLUMN, logged_names
from audit.findings import Finding
from audit.program import Program


def find(program: Program) -> Iterator[Finding]:
    """Columns that the harness writes itself."""
    for event, name in logged_names(program):
        if name.startswith(COLUMNS):
            yield event.finding(HARNESS_COLUMN, f"append_scalar_metrics({{{name!r}: ...}})")
