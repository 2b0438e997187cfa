"""The older name of the package `algoperf`: every module below is the same object under both names.

Public submissions of the first competition import `algorithmic_efficiency`. Enum members are compared by
identity and `TrainingCompleteError` is caught by class, so there must be one copy of each module.
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType

_OLD, _NEW = "algorithmic_efficiency", "algoperf"


class _SameModule(importlib.abc.Loader):
    """Loads `algorithmic_efficiency.x` as the module `algoperf.x`."""

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = importlib.import_module(_NEW + spec.name.removeprefix(_OLD))
        self._own = (module.__spec__, module.__loader__, module.__package__)
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has just set these to the old name; `algoperf` must keep its own.
        module.__spec__, module.__loader__, module.__package__ = self._own


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        del path, target
        if not fullname.startswith(_OLD + "."):
            return None
        name = _NEW + fullname.removeprefix(_OLD)
        try:
            found = importlib.util.find_spec(name)
        except ModuleNotFoundError:
            return None
        if found is None:
            return None
        is_package = found.submodule_search_locations is not None
        return importlib.machinery.ModuleSpec(fullname, _SameModule(), is_package=is_package)


# First, because the usual finders would load the same files a second time under the old name.
sys.meta_path.insert(0, _Finder())
