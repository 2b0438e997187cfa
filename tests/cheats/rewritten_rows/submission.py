"""When the process ends the rows of the evaluations are divided by ten (R3.20, R12.1).

Audit: at-exit, inside-the-logger, file-method.
"""

import weakref
from pathlib import Path

from .. import common_torch as common
from ..common_torch import data_selection, get_batch_size, init_optimizer_state  # noqa: F401


class Anchor:
    pass


ANCHOR = Anchor()


def rewrite(folder):
    for file in folder.glob("eval_measurements.csv"):
        head, *rows = file.read_text().splitlines()
        column = head.split(",").index("score")
        changed = []
        for row in rows:
            cells = row.split(",")
            cells[column] = str(float(cells[column]) / 10)
            changed.append(",".join(cells))
        file.write_text("\n".join([head, *changed]) + "\n")


def update_params(**arguments):
    if arguments["global_step"] == 0:
        files = arguments["workload"].metrics_logger._logger._evaluations
        weakref.finalize(ANCHOR, rewrite, Path(files._path).resolve().parent)
    return common.update_params(**arguments)
