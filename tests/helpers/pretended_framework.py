"""A third framework for tests: PyTorch under another name, with its own record, backend and launch."""

import dataclasses
import sys
import types

from algoperf import frameworks

MANGO = frameworks.Framework(
    name="mango",
    aliases=("mangifera",),
    suffix="torch",  # So that every workload has a model.
    backend="pretended_framework",
    launch="pretended_framework",
    packages=("mangolib",),
    recorded=("pytest",),
    extra="fruit",
    submission_files=("submission_mango.py",),
    per_device_names=frozenset({"mango_map"}),
)


def install(monkeypatch, **changes):
    """Adds it to the frameworks for one test, with some fields of its record changed, and its package."""
    package = types.ModuleType("mangolib")
    package.__spec__ = types.SimpleNamespace(name="mangolib", origin="installed", loader=None)
    monkeypatch.setitem(sys.modules, "mangolib", package)
    mango = dataclasses.replace(MANGO, **changes)
    monkeypatch.setattr(frameworks, "FRAMEWORKS", (*frameworks.FRAMEWORKS, mango))


# ---- its launch ------------------------------------------------------------------------------------------------------


def prepare():
    pass


def is_launched():
    return False


# ---- its backend -----------------------------------------------------------------------------------------------------


def make():
    from algoperf.backends.torch_backend import TorchBackend

    class MangoBackend(TorchBackend):
        name = "mango"

    return MangoBackend()
