"""One file per kind of check, found by this folder: each defines `find(program)`, which yields findings."""

import importlib
import pkgutil
from collections.abc import Iterator

from audit.findings import Finding
from audit.program import Program


def all_findings(program: Program) -> Iterator[Finding]:
    """What all checks find."""
    for found in pkgutil.iter_modules(__path__):
        yield from importlib.import_module(f"{__name__}.{found.name}").find(program)
