"""What the results of a submission hold for the people who decide: its trials, their records, copies of its source."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from algoperf import files, records
from algoperf.run import chain_check
from algoperf.run import summary as summaries
from algoperf.run.chain_check import Checked
from algoperf.run.identity import META_SOURCES, SOURCE
from algoperf.run.summary import Summary
from algoperf.spec import UsageError
from scoring import reading

PROBES = "audit.json"
"""In the folder of a submission's results: what `check_submission.py <folder> --run --json` has printed."""


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """One trial."""

    place: str
    """As 'study_0/digits_jax/trial_1'."""
    summary: Summary | None = None
    meta_data: Mapping[str, Any] = field(default_factory=dict)
    """Of its last start."""
    checked: Checked | None = None
    """What the chain says; None of a trial that was not refereed."""
    problem: str = ""
    """Why there is no summary, where one is damaged."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """What makes it this trial."""
        found = self.meta_data.get("identity") or (self.summary and self.summary.identity)
        return found if isinstance(found, Mapping) else {}

    @property
    def source(self) -> str:
        """Digest of the submission's source; '' where it is not recorded."""
        return str(self.identity.get(SOURCE) or "")

    @property
    def source_files(self) -> dict[str, str]:
        """File of the submission -> its digest, as recorded; empty where that is not."""
        found = self.meta_data.get(META_SOURCES)
        own = found.get(SOURCE) if isinstance(found, Mapping) else None
        return {str(name): str(digest) for name, digest in own.items()} if isinstance(own, Mapping) else {}

    @property
    def is_refereed(self) -> bool:
        """Whether it was, and its records are as they were written."""
        return self.checked is not None and not self.checked.problems

    @property
    def findings(self) -> list[dict[str, Any]]:
        """What its referee noticed."""
        return list((self.summary and self.summary.findings) or ())


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One submission and its results."""

    name: str
    folder: Path
    trials: tuple[TrialRecord, ...]
    copies: Mapping[str, Path]
    """Digest of a source -> the folder with a copy of it."""
    info: str = ""
    """What it says of itself."""
    probes: Any = None
    """See `PROBES`; None where there is none."""


def entry_of(root: Path, name: str) -> Entry:
    """The records of one submission below a folder of results."""
    folder = root / name
    trials: list[TrialRecord] = []
    copies: dict[str, Path] = {}
    for study in _matching(folder, reading.STUDY.fullmatch):
        for kept in _matching(study / records.SOURCE, lambda name: True):
            copies.setdefault(kept.name, kept)
        for workload in _matching(study, lambda name: name != records.SOURCE):
            for trial in _matching(workload, reading.TRIAL.fullmatch):
                trials.append(_trial(trial, trial.relative_to(folder).as_posix()))
    try:
        info, note = reading.info_of(root, name)
    except UsageError as error:
        info, note = None, str(error)
    return Entry(
        name=name,
        folder=folder,
        trials=tuple(trials),
        copies=copies,
        info=info.text() if info else note,
        probes=files.read_json_or_none(folder / PROBES),
    )


def _matching(folder: Path, wanted: Any) -> list[Path]:
    """Folders in a folder, by name: numbers in their order, nothing hidden, no links."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
    names = [path for path in found if not path.name.startswith(".") and wanted(path.name)]
    return sorted(names, key=lambda path: (len(path.name), path.name))


def _trial(folder: Path, place: str) -> TrialRecord:
    problem = ""
    try:
        summary = summaries.read(folder)
    except UsageError as error:
        summary, problem = None, str(error)
    newest = records.newest(folder, records.meta_data_file)
    meta_data = None if newest is None else files.read_json_or_none(newest)
    meta_data = meta_data if isinstance(meta_data, dict) else {}
    refereed = meta_data.get("refereed") is True or bool(summary and summary.refereed)
    checked = None
    if refereed or os.path.exists(folder / records.CHAIN):
        checked = chain_check.check(str(folder))
    return TrialRecord(place=place, summary=summary, meta_data=meta_data, checked=checked, problem=problem)
