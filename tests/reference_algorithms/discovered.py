"""The algorithms that are tested without being listed anywhere: a new folder is enough."""

import importlib

from harness import ROOT

ALGORITHMS = sorted({path.parent.name for path in (ROOT / "reference_algorithms").glob("*/submission_*.py")})
FILE_ENDINGS = {"jax": "jax", "pytorch": "torch"}


def module_of(name, framework):
    """The submission module; `framework` as the harness spells it."""
    return importlib.import_module(f"reference_algorithms.{name}.submission_{FILE_ENDINGS[framework]}")
