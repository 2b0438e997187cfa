"""A run: from the objects of a trial and its timed loop to its checkpoints and its summary.

The package can be called, as `algoperf.run(torch.optim.AdamW, workload="digits")`: that is `algoperf.api.run`, whose
docstring says what it takes.
"""

import importlib
import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """A package has the name by which people call; so the package itself takes the call."""

    def __call__(self, what: object, *, workload: str, **options: Any) -> Any:
        """Trains one workload with an optimizer or a submission: see `algoperf.api.run`."""
        # By name: what happens in a run imports nothing of what starts runs.
        return importlib.import_module("algoperf.api").run(what, workload=workload, **options)


sys.modules[__name__].__class__ = _Callable
