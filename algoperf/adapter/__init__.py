"""Turns an optimizer that somebody names into a submission folder: `as_submission`.

An optimizer is a `torch.optim.Optimizer` class, a function that returns an optax transformation, or a function that
makes one of these. Wherever a submission can be named, it can be: by its dotted path (`torch.optim.AdamW`), by a file
(`./mine.py:MyOptimizer`), or in Python by itself. What is written is a submission like any other, so the rest of the
benchmark knows nothing of adapters. Importing this package imports no framework.
"""

from algoperf.adapter.adapt import as_submission
from algoperf.adapter.named import is_optimizer

__all__ = ["as_submission", "is_optimizer"]
