"""Writes sweep folders in the format of real runs, through the writers of `algoperf.records`."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from algoperf import records, registry


def write_trial(
    root: Path,
    algorithm: str,
    workload: str,
    trial: int,
    validation: Sequence[float],
    *,
    point: Mapping[str, Any] | None = None,
    test: Sequence[float] | None = None,
    study: int = 0,
    framework: str = "jax",
    status: str | None = "max_steps",
    seconds: Sequence[float] | None = None,
    end: tuple[float, int] | None = None,
    seeds: Mapping[str, int] | None = None,
    **facts: Any,
) -> Path:
    """One run with an evaluation every 100 updates and every 10 s; `status` None leaves it unfinished."""
    folder = records.trial_folder(root, f"{algorithm}/study_{study}", workload, framework, trial)
    folder.mkdir(parents=True)
    point = {"learning_rate": 0.001 * trial} if point is None else dict(point)
    metric = registry.get(workload).target_metric_name
    test = list(validation) if test is None else test
    seconds = seconds or [10.0 * (index + 1) for index in range(len(validation))]
    if point:
        records.write_json(folder / records.HPARAMS, point)
    records.write_json(
        folder / records.meta_data_file(0),
        {
            "rng_seed": 0,
            "seeds": seeds or {"data": 1000 * study + trial, "init": 2000 * study + trial},
            "package_versions": {"algoperf": "0.1.0", "numpy": "2.0"},
            "git_commit_hash": "0123abc",
            "git_dirty": False,
            "device": "cpu (2 cores)",
            "submission_hash": "5ub",
            **facts,
        },
    )
    logger = records.MetricsLogger(folder, float)
    for index, values in enumerate(zip(seconds, validation, test, strict=True)):
        at, on_validation, on_test = values
        row = {
            records.SUBMISSION_TIME: at,
            records.SCORE: at,
            f"validation/{metric}": on_validation,
            f"test/{metric}": on_test,
            f"train/{metric}": on_validation,
        }
        logger.append_scalar_metrics(row, 100 * (index + 1), is_eval=True)
    logger.finish()
    if not validation:
        (folder / records.EVAL_MEASUREMENTS).unlink()
    if status:
        end_sec, end_step = end or (seconds[-1] + 1 if seconds else 0.0, 100 * len(validation))
        records.write_json(
            folder / records.SUMMARY,
            {
                "status": status,
                "hyperparameters": point or None,
                "submission_time_sec": end_sec,
                "global_step": end_step,
                "identity": {"rng_seed": 0, "workload_config": "c0ffee"},
            },
        )
    return folder


def write_sweep(
    root: Path,
    algorithm: str,
    results: Mapping[str, Sequence[float]],
    points: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """A sweep: workload -> best validation metric of each point, at the second of three evaluations (NaN: always)."""
    for workload, best in results.items():
        worse = 1.0 if not registry.get(workload).higher_is_better else 0.0
        for index, value in enumerate(best):
            point = points[index] if points else None
            evaluations = [value] * 3 if math.isnan(value) else [worse, value, worse]
            write_trial(root, algorithm, workload, index + 1, evaluations, point=point)
    return root


def write_reruns(
    root: Path,
    algorithm: str,
    workload: str,
    validation: Sequence[float],
    test: Sequence[float],
    *,
    point: Mapping[str, Any] | None = None,
    part: str = "reruns",
    **options: Any,
) -> None:
    """Reruns 1, 2, … of one point: best validation and test metric of each, at the second of two evaluations."""
    worse = 1.0 if not registry.get(workload).higher_is_better else 0.0
    for study, (on_validation, on_test) in enumerate(zip(validation, test, strict=True), start=1):
        write_trial(
            root / part,
            algorithm,
            workload,
            1,
            [worse, on_validation],
            test=[worse, on_test],
            study=study,
            point=point or {"learning_rate": 0.001},
            seconds=[5.0, 20.0 + study],
            **options,
        )
