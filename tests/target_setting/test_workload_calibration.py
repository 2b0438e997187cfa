"""How targets tell choices apart, worked out by hand."""

import numpy as np
import pytest
import sweep_folders

from algoperf.spec import UsageError
from scoring import archive
from target_setting import analysis
from target_setting.procedures.calibration import calibrate, notes_on, report
from target_setting.sweep import read_sweep
from target_setting.target_rules import set_targets

RERUNS = [0.1, 0.12, 0.09, 0.2, 0.11]
NOISE = np.std(RERUNS, ddof=1)
"""The targets are 0.11 and 0.3: the median, and the worst test metric of those that reach it."""


def calibration(folder, points, weak=(), algorithm="nadamw", reruns=RERUNS):
    sweep_folders.write_sweep(folder, algorithm, {"criteo1tb_mini": points})
    sweep_folders.write_reruns(folder, algorithm, "criteo1tb_mini", reruns, [0.1, 0.1, 0.2, 0.1, 0.3])
    if weak:
        sweep_folders.write_reruns(folder, algorithm, "criteo1tb_mini", weak, weak, part="weak")
    sweep = read_sweep(folder)
    return calibrate(set_targets(sweep.reruns), sweep.trials, sweep.weak)


def test_points_and_weak_choice_against_the_targets(tmp_path):
    found = calibration(tmp_path, [0.3, 0.1, 0.2, 0.5, 0.4, np.nan], weak=[0.4, 0.6])
    assert found.noise == pytest.approx(NOISE)
    (nadamw,) = found.algorithms
    assert (nadamw.num_runs, [hit.global_step for hit in nadamw.hits], nadamw.best) == (6, [200.0], 0.1)
    assert nadamw.gap == pytest.approx(-0.01 / NOISE), "better than the target"
    assert nadamw.median_gap == pytest.approx(0.24 / NOISE), "a run without result is the worst"
    assert (found.weak.num_runs, found.weak.hits, found.weak.best) == (2, (), 0.4)
    assert found.weak.gap == pytest.approx(0.29 / NOISE)
    assert notes_on(found) == []


def test_algorithms_are_kept_apart_and_higher_may_be_better(tmp_path):
    sweep_folders.write_sweep(tmp_path, "adamw", {"wmt_mini": [30.0, 10.0]})
    sweep_folders.write_sweep(tmp_path, "nesterov", {"wmt_mini": [12.0, float("nan"), float("nan")]})
    sweep_folders.write_reruns(tmp_path, "adamw", "wmt_mini", [29.0, 31.0, 30.0], [28.0, 30.0, 29.0])
    sweep = read_sweep(tmp_path)
    found = calibrate(set_targets(sweep.reruns, min_reruns=3), sweep.trials, sweep.weak)
    adamw, nesterov = found.algorithms
    assert (adamw.name, len(adamw.hits), adamw.gap, adamw.median_gap) == ("adamw", 1, 0.0, 10.0)
    assert (nesterov.name, len(nesterov.hits), nesterov.gap) == ("nesterov", 0, 18.0)
    assert nesterov.median_gap == np.inf
    assert found.weak is None


def test_workloads_that_tell_nothing_apart_are_named(tmp_path):
    easy, noisy, weak = notes_on(calibration(tmp_path, [0.1, 0.1, 0.11, 0.12], weak=[0.1, 0.1]))
    assert "3 of 4 points reach the targets" in easy
    assert "noise hides" in noisy
    assert "2 of 2 runs: the learning rate does not matter" in weak


def test_reruns_without_noise_have_infinite_gaps(tmp_path):
    found = calibration(tmp_path, [0.1, 0.3, 0.4], reruns=[0.1] * 5)
    (nadamw,) = found.algorithms
    assert (found.noise, nadamw.gap, nadamw.median_gap) == (pytest.approx(0), 0.0, np.inf)


def test_the_table_says_that_its_updates_are_of_the_reruns_that_hit(tmp_path):
    text = report([calibration(tmp_path, [0.3, 0.1])])
    assert text.startswith("Reruns: median (least - most) to both targets of those that hit both\n")
    assert "3 of 5" in text


def test_an_archive_of_a_sweep_gives_what_the_sweep_gives(tmp_path):
    root, packed = tmp_path / "sweep", tmp_path / "sweep.tar.xz"
    calibration(root, [0.3, 0.1, 0.2, np.nan], weak=[0.4, 0.6])
    assert archive.pack(root, packed) == 4 + 5 + 2
    config = {"procedure": "calibration", "output_dir": tmp_path / "out"}
    folder = analysis.run(analysis.Config(sweep_dir=root, **config))
    packed_too = analysis.run(analysis.Config(sweep_dir=packed, **config))
    assert (packed_too.table, packed_too.content) == (folder.table, folder.content)
    with pytest.raises(UsageError, match="say with --output_dir where results go"):
        analysis.run(analysis.Config(procedure="calibration", sweep_dir=packed))
    packed.write_bytes(b"nothing of the kind")
    with pytest.raises(UsageError, match="as an archive of results"):
        analysis.run(analysis.Config(sweep_dir=packed, **config))
