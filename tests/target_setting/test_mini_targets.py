"""The targets of the mini workloads, and the tables of their calibration, are those that the sweep in docs/ gives."""

import math
import statistics
import textwrap
from pathlib import Path

import pytest

from algoperf import records, registry, suites
from scoring import archive
from target_setting import analysis
from target_setting.sweep import read_sweep
from target_setting.sweep_tables import on
from target_setting.target_rules import set_targets

DOCS = Path(__file__).parents[2] / "docs"
SWEEP = DOCS / "mini_sweep.tar.xz"
REFERENCE = {
    "jax": DOCS / "mini_jax.tar.xz",
    "pytorch": DOCS.parent / "scoring" / "data" / "mini_self.tar.xz",
}


@pytest.fixture(scope="module")
def reruns():
    with archive.unpacked(SWEEP) as folder:
        return read_sweep(folder).reruns


def easier(value: float | None, metric: str, higher_is_better: bool) -> float | None:
    """Rounded to what is reached with less: at three digits after the point, BLEU and perplexity at one."""
    if value is None:  # There is no test split.
        return None
    scale = 10 if metric in ("bleu", "ppl") else 1_000
    return (math.floor if higher_is_better else math.ceil)(value * scale) / scale


def test_targets_are_those_of_the_reruns(reruns):
    workloads = sorted({trial.workload for trial in reruns})
    assert len(workloads) >= 9
    for name in workloads:
        setting = set_targets(on(name, reruns))
        spec = registry.get(name)
        metric = spec.target_metric_name
        found = [
            easier(value, metric, spec.higher_is_better)
            for value in (setting.validation_target, setting.test_target)
        ]
        assert found == [spec.validation_target_value, spec.test_target_value], name


@pytest.mark.slow
def test_the_document_has_the_tables_of_the_sweep(reruns, tmp_path):
    text = (DOCS / "mini_calibration.md").read_text()
    bases, variants = [], []
    for name in sorted({trial.workload for trial in reruns}):
        (bases if registry.get(name.removesuffix("_mini")).base_name + "_mini" == name else variants).append(
            name
        )
    assert [len(bases), len(variants)] == [9, 9]
    outcomes = [
        analysis.run(
            analysis.Config(
                procedure=procedure,
                sweep_dir=SWEEP,
                output_dir=tmp_path,
                workloads=tuple(workloads),
                algorithms=algorithms,
            )
        )
        for procedure, workloads, algorithms in (
            ("calibration", bases, ()),
            ("calibration", variants, ()),
            ("variants", (), ("nadamw",)),
        )
    ]
    for outcome in outcomes:
        lines = textwrap.indent(outcome.table, "    ").splitlines()
        assert "\n".join(line.rstrip() for line in lines) in text


def summarized(folder: Path, workload: str, framework: str) -> tuple[str, str]:
    """NadamW's studies: how many reached the target, and when; seconds that a whole step hint takes."""
    paths = sorted(folder.glob(f"nadamw/study_*/{workload}_{framework}/trial_1/{records.SUMMARY}"))
    found = [records.read_json(path) for path in paths]
    steps = [reached["global_step"] for one in found if (reached := one["validation_target_reached"])]
    pace = statistics.median(one["submission_time_sec"] / one["global_step"] for one in found)
    times = f"{statistics.median(steps):,.0f} ({min(steps):,.0f} - {max(steps):,.0f})"
    return f"{len(steps)} of {len(found)}: {times}", f"{pace * registry.get(workload).step_hint:.0f} s"


@pytest.mark.slow
def test_the_document_says_what_the_reference_does_in_both_frameworks():
    rows = {name: [] for name in suites.load("mini").scored_names()}
    for framework, path in REFERENCE.items():
        with archive.unpacked(path) as folder:
            for name, cells in rows.items():
                cells += summarized(folder, name, framework)
    text = (DOCS / "mini_calibration.md").read_text()
    for name, cells in rows.items():
        spec = registry.get(name)
        given = [f"{spec.step_hint:,}", f"{spec.max_allowed_runtime_sec:.0f} s"]
        assert f"| {name} | {' | '.join([*given, *cells])} |" in text, [name, *given, *cells]
