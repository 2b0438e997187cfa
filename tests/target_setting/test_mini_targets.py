"""The targets of the mini workloads are those that the sweep in docs/ gives."""

import math
from pathlib import Path

import pytest

from algoperf import registry
from scoring import archive
from target_setting.command import on
from target_setting.sweep import read_sweep
from target_setting.targets import set_targets

SWEEP = Path(__file__).parents[2] / "docs" / "mini_sweep.tar.xz"


@pytest.fixture(scope="module")
def reruns():
    with archive.unpacked(SWEEP) as folder:
        return read_sweep(folder).reruns


def easier(value: float, metric: str, higher_is_better: bool) -> float:
    """Rounded to what is reached with less: at three digits after the point, BLEU at one."""
    scale = 10 if metric == "bleu" else 1_000
    return (math.floor if higher_is_better else math.ceil)(value * scale) / scale


def test_targets_are_those_of_the_reruns(reruns):
    workloads = sorted({trial.workload for trial in reruns})
    assert len(workloads) >= 8
    for name in workloads:
        setting = set_targets(on(name, reruns))
        spec = registry.get(name)
        metric = spec.target_metric_name
        found = [
            easier(value, metric, spec.higher_is_better)
            for value in (setting.validation_target, setting.test_target)
        ]
        assert found == [spec.validation_target_value, spec.test_target_value], name
