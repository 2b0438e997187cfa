"""The algorithms that are tested without being listed anywhere: a new folder is enough."""

import importlib

from harness import ROOT

from algoperf import frameworks

ALGORITHMS = sorted({path.parent.name for path in (ROOT / "reference_algorithms").glob("*/submission_*.py")})


def module_of(name, framework):
    """The submission module; `framework` as the harness spells it."""
    return importlib.import_module(
        f"reference_algorithms.{name}.submission_{frameworks.get(framework).suffix}"
    )
