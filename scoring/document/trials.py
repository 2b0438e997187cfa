"""A row per trial: what it reached, how it ended, where its time and memory went, how it was run, where it lies."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from algoperf import files, frameworks, records
from algoperf.run import clock
from scoring import sources
from scoring.results import Trial

Point = Mapping[str, Any] | None
"""The hyperparameters of a trial, where they are known."""


def content(
    trials: Sequence[Trial],
    points: Sequence[Point],
    places: Sequence[sources.Source],
    output_dir: Path | None,
) -> dict[str, list[Any]]:
    """Column -> a value for each trial, None where it is not recorded.

    Args:
      trials: of the field.
      points: of each of them; see `hyperparameters`.
      places: that own trials come from.
      output_dir: of the document; links to records are relative to it.
    """
    found: dict[str, list[Any]] = {name: [get(trial) for trial in trials] for name, get in COLUMNS.items()}
    roots = _Roots(places, output_dir)
    found["hyperparameters"] = list(points)
    found["record"] = [roots.record_of(trial) for trial in trials]
    return found


def hyperparameters(trials: Sequence[Trial], places: Sequence[sources.Source]) -> list[Point]:
    """The point of each trial, by its summary, or by hparams.json in logs that have no summary."""
    roots = _Roots(places, None)
    found: list[Point] = []
    for trial in trials:
        point: object = trial.summary.hyperparameters if trial.summary else None
        if trial.summary is None and (folder := roots.folder_of(trial)):
            point = files.read_json_or_none(f"{folder}/{records.HPARAMS}")
        found.append(point if isinstance(point, dict) and point else None)
    return found


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _of_hit(name: str) -> Callable[[Trial], float | None]:
    return lambda trial: None if trial.hit is None else _finite(getattr(trial.hit, name))


def _of_end(name: str) -> Callable[[Trial], float | None]:
    return lambda trial: None if trial.end is None else _finite(getattr(trial.end, name))


def _of_summary(name: str) -> Callable[[Trial], Any]:
    return lambda trial: None if trial.summary is None else getattr(trial.summary, name)


def ledger(trial: Trial) -> dict[str, float] | None:
    """Bucket of `clock.BUCKETS` -> seconds; None where there is no ledger."""
    found = trial.summary.ledger if trial.summary else None
    if not found:
        return None
    return {name: float(found[name]) for name in clock.BUCKETS if isinstance(found.get(name), (int, float))}


def seconds_per_update(trial: Trial) -> float:
    """Submission time over updates at the last evaluation, on the scored clock; NaN where they are not known."""
    if trial.end is None or not trial.end.last_step > 0:
        return math.nan
    return trial.clock_factor * trial.last_time_sec / trial.end.last_step


def peak_bytes(trial: Trial, where: str) -> float | None:
    """Peak memory of the process: 'host', or 'device' as the sum over all of them."""
    memory = trial.summary.peak_memory if trial.summary else None
    if not memory:
        return None
    if where == "host":
        return memory.get("host_bytes")
    return sum(memory["device_bytes"].values()) if memory.get("device_bytes") else None


def _versions(trial: Trial) -> dict[str, str] | None:
    """Of Python, driver and the packages of the trial's framework."""
    if not trial.facts:
        return None
    names = {"python", "driver", *(frameworks.get(trial.framework).recorded), "algoperf"}
    return {name: version for name, version in trial.facts[-1].versions if name in names} or None


def _of_facts(name: str) -> Callable[[Trial], Any]:
    return lambda trial: getattr(trial.facts[-1], name) if trial.facts else None


COLUMNS: dict[str, Callable[[Trial], Any]] = {
    "submission": lambda trial: trial.submission,
    "workload": lambda trial: trial.workload,
    "framework": lambda trial: trial.framework,
    "study": lambda trial: trial.study,
    "trial": lambda trial: trial.trial,
    "status": lambda trial: trial.status or None,
    "hit_time_sec": _of_hit("submission_time_sec"),
    "hit_step": _of_hit("global_step"),
    "best": lambda trial: _finite(trial.best),
    "last_time_sec": lambda trial: _finite(trial.clock_factor * trial.last_time_sec),
    "last_step": _of_end("last_step"),
    "num_evaluations": _of_end("num_evaluations"),
    "first_update_sec": _of_end("first_update_sec"),
    "evaluation_share": _of_end("evaluation_share"),
    "seconds_per_update": lambda trial: _finite(seconds_per_update(trial)),
    "batch_size": _of_summary("global_batch_size"),
    "ledger": ledger,
    "host_bytes": lambda trial: peak_bytes(trial, "host"),
    "device_bytes": lambda trial: peak_bytes(trial, "device"),
    "device": lambda trial: (trial.end.device if trial.end else "") or _of_facts("device")(trial) or None,
    "host": _of_facts("host"),
    "versions": _versions,
    "commit": _of_facts("commit"),
    "source": _of_facts("source"),
    "seed": _of_facts("seed"),
    "was_loaded": _of_facts("was_loaded"),
    "refereed": _of_facts("refereed"),
    "error": lambda trial: _first_line(trial.summary.error) if trial.summary else None,
}
"""Name -> what it is of a trial; `schema.json` says what each means."""


def _first_line(text: str | None) -> str | None:
    lines = (text or "").strip().splitlines()
    return lines[-1][:300] if lines else None


class _Roots:
    """Finds which place a trial lies in, once for each study."""

    def __init__(self, places: Sequence[sources.Source], output_dir: Path | None):
        self._places = [(place, _relative(place.given, output_dir)) for place in places]
        self._found: dict[tuple[str, int], tuple[sources.Source, str] | None] = {}

    def folder_of(self, trial: Trial) -> str | None:
        """The folder of a trial as it can be opened now; None of a published one."""
        found = self._of(trial)
        return None if found is None else f"{found[0].folder}/{_folder(trial)}"

    def record_of(self, trial: Trial) -> dict[str, str] | None:
        """`path` of the folder of a trial from the document, or within an `archive`; None of a published one."""
        found = self._of(trial)
        if found is None:
            return None
        place, root = found
        if place.given.is_file():
            return {"archive": root, "path": _folder(trial)}
        return {"path": f"{root}/{_folder(trial)}"}

    def _of(self, trial: Trial) -> tuple[sources.Source, str] | None:
        key = (trial.submission, trial.study)
        if key not in self._found:
            study = f"{trial.submission}/study_{trial.study}"
            self._found[key] = next(
                (
                    (place, root)
                    for place, root in self._places
                    if trial.submission in place.submissions and os.path.isdir(f"{place.folder}/{study}")
                ),
                None,
            )
        return self._found[key]


def _folder(trial: Trial) -> str:
    """Of a trial, within the folder of submissions; `records.trial_folder`, several times faster."""
    return f"{trial.submission}/study_{trial.study}/{trial.workload}_{trial.framework}/trial_{trial.trial}"


def _relative(path: Path, output_dir: Path | None) -> str:
    """From the folder of the document; as given where they share nothing, as on two drives."""
    try:
        return Path(os.path.relpath(path, output_dir or Path.cwd())).as_posix()
    except ValueError:
        return path.as_posix()
