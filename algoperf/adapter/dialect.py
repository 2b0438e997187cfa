"""How optimizers are written in a framework: one record in `dialect_<suffix>.py` for each, found by its name."""

import importlib
from dataclasses import dataclass

from algoperf import frameworks


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """What the adapter needs to know to write a call."""

    package: str
    """That a source imports where the optimizer itself brings none of the framework's."""
    example: str
    """An optimizer that everybody has, for messages."""
    rate: str
    """An argument of it, for messages."""
    is_functional: bool
    """Whether an optimizer is a pair of functions, which nest as calls do; else an object that holds the parameters."""
    numbers: str
    """What schedules of `reference_algorithms.shared` are told to compute with, as an argument of their call."""


def of(framework: str) -> Dialect:
    """That of a framework."""
    suffix = frameworks.get(framework).suffix
    found = importlib.import_module(f"algoperf.adapter.dialect_{suffix}").DIALECT
    assert isinstance(found, Dialect)
    return found
