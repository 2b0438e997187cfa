"""Sweep folder -> trials: the one place that knows how the runs of a sweep lie on disk.

    <sweep_dir>/<algorithm>/study_0/<workload>_<framework>/trial_<t>/            point t of the sweep
    <sweep_dir>/reruns/<algorithm>/study_<k>/<workload>_<framework>/trial_<t>/   rerun k = 1, 2, … of the best point
    <sweep_dir>/weak/<algorithm>/study_<k>/<workload>_<framework>/trial_<t>/     it at a tenth of its learning rate

Trial folders are those of `algoperf.records`. Only finished trials are read (their summary.json is there);
everything else becomes a note.
"""

import collections
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from algoperf import frameworks, records, registry
from algoperf.run import summary as summaries
from algoperf.run.summary import Summary
from algoperf.spec import UsageError, no_such
from scoring import evaluations, reading
from scoring.results import Finding, Kind

SWEEP, RERUNS, WEAK = "sweep", "reruns", "weak"
"""The three parts of a sweep folder."""
WEAK_FACTOR = 0.1
"""Learning rate of the weak choice over that of the best point."""
ANALYSIS = "target_setting"
"""Subfolder for results of the procedures, unless the user names another."""
LAYOUT = "<algorithm>/study_0/<workload>_<framework>/trial_<t>/"

Point = Mapping[str, Any]


class Coordinates(TypedDict):
    """Which run of a sweep folder one is; as the fields of `SweepTrial`."""

    algorithm: str
    workload: str
    framework: str
    study: int
    trial: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SweepTrial:
    """One finished run; the arrays have one entry per evaluation, in order, NaN where a cell is empty."""

    algorithm: str
    workload: str
    framework: str
    study: int
    """0 in the sweep, 1, 2, … for reruns of the best point and its weak version."""
    trial: int
    """From 1; in the sweep the number of the point, the same on every workload."""
    point: Point
    """Hyperparameters; empty for a self-tuning submission."""
    status: str
    """One of `records.STATUSES`."""
    step: np.ndarray
    submission_time_sec: np.ndarray
    validation: np.ndarray
    """The workload's target metric on the validation split; `test` and `train` alike."""
    test: np.ndarray
    train: np.ndarray
    end_time_sec: float = np.nan
    """Submission clock at the end of the run, which may be after the last evaluation."""
    end_step: float = np.nan
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What its record says about seeds, versions, commit and hardware."""

    def place(self) -> str:
        """Where it lies, relative to the sweep folder (or to `reruns/` or `weak/` in it)."""
        return f"{self.algorithm}/study_{self.study}/{self.workload}_{self.framework}/trial_{self.trial}"


@dataclass(frozen=True)
class Sweep:
    """What a sweep folder holds; trials sorted by workload, algorithm, study, trial."""

    trials: tuple[SweepTrial, ...]
    reruns: tuple[SweepTrial, ...]
    weak: tuple[SweepTrial, ...] = ()
    notes: tuple[str, ...] = ()
    """Oddities, as sentences."""


def part_folder(root: Path, part: str) -> Path:
    """Where a part of the sweep lies: the sweep itself in the folder, the others in one of their own."""
    return root if part == SWEEP else root / part


def read_sweep(
    root: Path,
    *,
    algorithms: Collection[str] = (),
    workloads: Collection[str] = (),
    framework: str | None = None,
    called: str | None = None,
) -> Sweep:
    """All finished trials below `root`.

    Args:
      root: the sweep folder.
      algorithms: those to read; empty means all.
      workloads: those to read; empty means all.
      framework: its name; None takes the only one there is.
      called: what messages call `root`, such as the archive that it was unpacked from; its path by default.

    Raises:
      UsageError: if there is no such folder, it holds no finished trial, a name is not in it or not in the
        registry, it mixes frameworks and none is chosen, or points of an algorithm differ in their keys.
    """
    if not root.is_dir():
        raise UsageError(f"No sweep folder at {str(root)!r}; give the folder that holds {LAYOUT}.")
    if framework is not None and framework not in frameworks.names():
        raise no_such("framework", framework, frameworks.names())
    for name in workloads:
        registry.get(name)
    sources = {part: _algorithm_folders(part_folder(root, part)) for part in (SWEEP, RERUNS, WEAK)}
    known = sorted({name for folders in sources.values() for name in folders})
    if not known:
        raise UsageError(f"No trials below {str(root)!r}: expected {LAYOUT}. Is it the sweep folder?")
    for name in algorithms:
        if name not in known:
            raise no_such(f"algorithm in {called or repr(str(root))}", name, known)
    findings: list[Finding] = []
    unfinished: list[str] = []
    parts: dict[str, tuple[SweepTrial, ...]] = {}
    for part, folders in sources.items():
        found: list[SweepTrial] = []
        for name, folder in folders.items():
            if not algorithms or name in algorithms:
                _read_algorithm(name, folder, part, workloads, framework, found, findings, unfinished)
        parts[part] = tuple(sorted(found, key=lambda t: (t.workload, t.algorithm, t.study, t.trial)))
    everything = tuple(trial for part in parts.values() for trial in part)
    if not everything:
        wanted = f" of {', '.join(workloads)}" if workloads else ""
        hint = f" {len(unfinished)} not finished, such as {unfinished[0]}." if unfinished else ""
        raise UsageError(f"No finished trials{wanted} below {called or repr(str(root))}.{hint}")
    check_frameworks(everything)
    check_keys(everything)
    notes = tuple(_notes(everything, findings, unfinished))
    return Sweep(parts[SWEEP], parts[RERUNS], parts[WEAK], notes)


def _algorithm_folders(root: Path) -> dict[str, str]:
    if not root.is_dir():
        return {}
    return {
        name: path
        for name, path in reading.subfolders(str(root)).items()
        if any(reading.STUDY.fullmatch(study) for study in reading.subfolders(path))
    }


def _read_algorithm(
    algorithm: str,
    folder: str,
    part: str,
    workloads: Collection[str],
    framework: str | None,
    trials: list[SweepTrial],
    findings: list[Finding],
    unfinished: list[str],
) -> None:
    """Appends the trials of one algorithm, findings on them, and the places of unfinished ones."""
    for study, study_folder in reading.numbered(algorithm, "", folder, reading.STUDY, findings):
        # Study 0 is the sweep's; reruns have numbers of their own, or their seeds would be those of the sweep.
        if (part == SWEEP) != (study == 0):
            where = f"study_{study}" + ("" if part == SWEEP else f" of {part}")
            findings.append(Finding(algorithm, "", Kind.STRAY_FOLDER, where))
            continue
        for entry, workload_folder in reading.subfolders(study_folder).items():
            workload, _, suffix = entry.rpartition("_")
            if suffix not in frameworks.names():
                findings.append(Finding(algorithm, "", Kind.STRAY_FOLDER, f"study_{study}/{entry}"))
                continue
            if (workloads and workload not in workloads) or (framework and suffix != framework):
                continue
            spec = registry.get(workload)
            place = f"study_{study}/{entry}"
            for number, path in reading.numbered(
                algorithm, workload, workload_folder, reading.TRIAL, findings, place
            ):
                coordinates: Coordinates = {
                    "algorithm": algorithm,
                    "workload": workload,
                    "framework": suffix,
                    "study": study,
                    "trial": number,
                }
                trial = read_trial(Path(path), coordinates, spec.target_metric_name, findings)
                if trial is None:
                    unfinished.append(f"{algorithm}/{place}/trial_{number}")
                else:
                    trials.append(trial)


def read_trial(
    folder: Path, coordinates: Coordinates, metric_name: str, findings: list[Finding]
) -> SweepTrial | None:
    """The trial in `folder`; None where it is not finished. A trial that failed early has no evaluations."""
    summary = summaries.read(folder)
    if summary is None:
        return None
    point: Point = reading.read_json(str(folder / records.HPARAMS)) or summary.hyperparameters or {}
    try:
        columns = records.read_csv(folder / records.EVAL_MEASUREMENTS)
    except (OSError, UnicodeDecodeError):
        columns = {}
    num_rows = len(columns.get(records.GLOBAL_STEP, ()))
    missing = [np.nan] * num_rows
    step, seconds = (columns.get(name, missing) for name in (records.GLOBAL_STEP, records.SUBMISSION_TIME))
    oddities: list[tuple[Kind, str]] = []
    # Rows that a resumed run wrote anew are dropped. Positions take the place of the metric, so that all columns can be
    # reduced to the same rows.
    kept = np.asarray(evaluations.drop_superseded(seconds, step, list(range(num_rows)), oddities)[2], int)
    where = f"study_{coordinates['study']}/trial_{coordinates['trial']}"
    findings += [
        Finding(coordinates["algorithm"], coordinates["workload"], kind, where, detail)
        for kind, detail in oddities
    ]
    if num_rows and f"validation/{metric_name}" not in columns:
        findings.append(
            Finding(
                coordinates["algorithm"], coordinates["workload"], Kind.UNREADABLE, where, f"no {metric_name}"
            )
        )

    def column(name: str) -> np.ndarray:
        return np.asarray(columns.get(name, missing), float)[kept]

    return SweepTrial(
        **coordinates,
        point=point,
        status=summary.status,
        step=column(records.GLOBAL_STEP),
        submission_time_sec=column(records.SUBMISSION_TIME),
        validation=column(f"validation/{metric_name}"),
        test=column(f"test/{metric_name}"),
        train=column(f"train/{metric_name}"),
        end_time_sec=_number(summary.submission_time_sec),
        end_step=_number(summary.global_step),
        facts=_facts(folder, summary),
    )


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else np.nan


def _facts(folder: Path, summary: Summary) -> dict[str, Any]:
    """What says how to repeat the run; of the last start where there were several."""
    newest = records.newest(folder, records.meta_data_file)
    meta_data = {} if newest is None else reading.read_json(str(newest))
    identity = summary.identity or {}
    names = ("seeds", "package_versions", "git_commit_hash", "git_dirty", "device", "submission_hash")
    return {
        "rng_seed": meta_data.get("rng_seed", identity.get("rng_seed")),
        "workload_config": identity.get("workload_config"),
        "global_batch_size": summary.global_batch_size,
        **{name: meta_data.get(name) for name in names},
    }


def _notes(
    trials: Collection[SweepTrial], findings: Collection[Finding], unfinished: Collection[str]
) -> list[str]:
    """One sentence per kind of oddity."""
    groups: dict[str, list[str]] = collections.defaultdict(list)
    for one in sorted(findings):
        words = (one.submission, one.workload, one.place, one.detail)
        groups[one.kind].append(" ".join(word for word in words if word))
    if unfinished:
        groups["trial not finished, left out"] = list(unfinished)
    notes = [f"{len(places)} x {kind}, as in {places[0]}." for kind, places in groups.items()]
    cut = [trial for trial in trials if trial.status == "target_reached"]
    if cut:
        notes.append(
            f"Warning: {len(cut)} of {len(trials)} runs ended at the targets that the workload has now, as in "
            f"{cut[0].place()}, so their best metrics are cut off. Run sweeps with set_targets.py run, or with "
            "--run_past_targets."
        )
    return notes


def check_frameworks(trials: Collection[SweepTrial]) -> None:
    """Raises UsageError if the trials come from more than one framework."""
    found = sorted({trial.framework for trial in trials})
    if len(found) > 1:
        number = "both" if len(found) == 2 else f"{len(found)}"
        choices = " or ".join(found)
        raise UsageError(f"The sweep has trials in {number} frameworks; choose with --framework={choices}.")


def check_keys(trials: Collection[SweepTrial]) -> None:
    """Raises UsageError if two points of an algorithm differ in their keys."""
    first: dict[str, SweepTrial] = {}
    for trial in trials:
        other = first.setdefault(trial.algorithm, trial)
        odd = sorted(trial.point.keys() ^ other.point.keys())
        if odd:
            raise UsageError(
                f"Points of {trial.algorithm} have different keys: {', '.join(odd)} in one of {other.place()} "
                f"and {trial.place()}. A sweep has one search space; move the others to a folder of their own."
            )
