"""Writes a row of an evaluation through the logger, by way of functools.partial (R3.17, R3.20).

Audit: evaluation-row, harness-column.
"""

import functools

from .. import common_torch as common
from ..common_torch import data_selection, get_batch_size, init_optimizer_state  # noqa: F401


def update_params(*, workload, **arguments):
    if arguments["global_step"] == 1:
        write = functools.partial(workload.metrics_logger.append_scalar_metrics, is_eval=True)
        write({"score": 0.01, "accumulated_submission_time": 0.01, "validation/accuracy": 0.98}, 1)
    return common.update_params(workload=workload, **arguments)
