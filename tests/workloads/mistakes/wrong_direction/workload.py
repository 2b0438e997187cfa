"""A loss that counts as better the higher it is, so that untrained weights meet the target."""

import dataclasses

from workloads.diabetes.workload import FAMILY as RIGHT

base = dataclasses.replace(
    RIGHT.base, name="wrong_direction", family="wrong_direction", base_name="", higher_is_better=True
)
FAMILY = dataclasses.replace(RIGHT, base=base)
