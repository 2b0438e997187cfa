"""Writes messages into every socket that the process has, in the words of the trainee's harness: evaluations, rows,
steps, and numbers that no table holds (R3.20).

Audit: file-system.
"""

import json
import os
import stat
import struct

from .. import common_torch as common
from ..common_torch import data_selection, get_batch_size, init_optimizer_state  # noqa: F401

ROW = {"global_step": 1, "score": 0.01, "validation/accuracy": 1.0, "test/accuracy": 1.0, "odd": 10**400}
WORDS = [
    {"kind": "progress", "step": 10**9, "rows": [ROW, {**ROW, "global_step": None}]},
    {"kind": "done", "step": 2, "why": "evaluate", "seconds": {"update": 1e999}, "peak_memory": [1]},
]


def update_params(**arguments):
    if arguments["global_step"] == 1:
        for number in range(3, 64):
            try:
                is_socket = stat.S_ISSOCK(os.fstat(number).st_mode)
            except OSError:
                continue
            for one in WORDS if is_socket else ():
                text = json.dumps(one).encode()
                os.write(number, struct.pack("!III", len(text), 0, 0) + text)
    return common.update_params(**arguments)
