"""The clocks of the harness run at a tenth of their speed; the module's name is put together from parts (R3.20).

Audit: harness-module, patches-harness.
"""

import importlib

from ..common_torch import data_selection, get_batch_size, init_optimizer_state, update_params  # noqa: F401

WORDS = ("algoperf", "run", "clo" + "kc"[::-1])
target = importlib.import_module(".".join(WORDS))


def slower(read):
    first = read()
    return lambda: first + (read() - first) // 10


for hand in ("now", "wall"):
    setattr(target, f"_{hand}_ns", slower(getattr(target, f"_{hand}_ns")))
