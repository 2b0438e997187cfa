"""Finds the harness's ledger among all objects in memory and takes time out of it (R3.20).

Audit: memory.
"""

import gc

from .. import common_torch as common
from ..common_torch import data_selection, get_batch_size, init_optimizer_state  # noqa: F401

LEDGERS = []


def update_params(**arguments):
    done = common.update_params(**arguments)
    if not LEDGERS:
        LEDGERS.extend(one for one in gc.get_objects() if type(one).__name__ == "Ledger")
    for ledger in LEDGERS:
        spent = ledger._spent_ns
        spent["other"] += spent["data_selection"]
        spent["data_selection"] = 0
    return done
