"""algoperf: a time-to-result benchmark for neural-network training algorithms, for JAX and PyTorch.

In Python and notebooks (docs/python.md):

    import algoperf
    run = algoperf.run(torch.optim.AdamW, workload="digits", hyperparameters={"lr": 1e-3})
    field = algoperf.compare({"mine": MyOptimizer, "adamw": torch.optim.AdamW}, suite="mini_quick")
    sweep = algoperf.sweep(MyOptimizer, workload="digits", lr=[1e-4, 1e-3, 1e-2])
"""

import importlib
from typing import Any

__version__ = "0.1.0"

# Looked up by name on first use: importing this package imports nothing else, and the core never reaches up by import.
_IN = {"run": "algoperf.run", **dict.fromkeys(("compare", "sweep"), "algoperf.api")}


def __getattr__(name: str) -> Any:
    if name not in _IN:
        raise AttributeError(f"module 'algoperf' has no attribute {name!r}")
    module = importlib.import_module(_IN[name])
    # `algoperf.run` is a package that can be called; see there.
    return module if name == "run" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_IN})
