"""A target metric that nobody computes: runs would print nan until their budget ends."""

import dataclasses

from workloads.diabetes.workload import FAMILY as RIGHT

base = dataclasses.replace(
    RIGHT.base, name="unknown_metric", family="unknown_metric", base_name="", target_metric_name="r_squared"
)
FAMILY = dataclasses.replace(RIGHT, base=base)
