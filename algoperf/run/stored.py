"""A stored trial, read to be repeated: from its folder, or from an archive of results.

An archive is a tar file of folders of trials, as `python -m scoring.archive` makes it; one of its trials is named by
`<archive>:<submission>/study_0/<workload>_<framework>/trial_1`. Older archives hold less, and so do the records of
older versions: what is missing has its default, and is named.
"""

import lzma
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from algoperf import files, records, typed_json
from algoperf import settings as settings_module
from algoperf.run import summary as summaries
from algoperf.run.identity import ENVIRONMENT, META_SOURCES, SOURCE, VERSIONS, Identity
from algoperf.run.summary import Summary
from algoperf.settings import RunSettings
from algoperf.spec import UsageError, no_such

INNER_FORM = "<submission>/study_0/<workload>_<framework>/trial_1"
FORM = f"<experiment_dir>/{INNER_FORM}"


@dataclass(frozen=True, kw_only=True)
class StoredTrial:
    """What the records of a trial say."""

    place: str
    """As it was given."""
    settings: dict[str, Any]
    """Name -> value of the settings that are recorded."""
    submission: str
    """Name of the submission, which may be that of its folder."""
    submission_file: Path | None
    """Where it was on the machine of that time; None where that was left out."""
    point: dict[str, Any] | None
    """Hyperparameters; None in the self-tuning ruleset."""
    identity: Identity
    meta_data: dict[str, Any]
    """Empty where it was left out."""
    summary: Summary | None
    """None for a run that never ended."""
    evaluations: dict[int, dict[str, float]]
    """Update -> metrics, in ascending order."""

    @property
    def threads(self) -> int | None:
        """That computed one operation on a CPU; None where it is not recorded, or of no effect."""
        for facts in (self.identity.get(ENVIRONMENT), self.meta_data.get(ENVIRONMENT)):
            if isinstance(facts, Mapping) and isinstance(facts.get("threads"), int):
                return int(facts["threads"])
        return None

    @property
    def source_files(self) -> dict[str, dict[str, str]]:
        """Part of the identity -> file -> digest; empty where that is not recorded."""
        return self.meta_data.get(META_SOURCES) or {}

    def not_recorded(self) -> list[str]:
        """What would matter and is not known."""
        known = {
            "threads": self.threads is not None or "device" in self.identity,
            "versions of packages": bool(
                self.identity.get(VERSIONS) or self.meta_data.get("package_versions")
            ),
            "code of the harness and the workload": "harness" in self.identity,
            "machine": "cpu_model_name" in self.meta_data,
        }
        return [name for name, is_known in known.items() if not is_known]


def read(given: str) -> StoredTrial:
    """The stored trial that --reproduce names.

    Raises:
      UsageError: if there is none; names the choices in an archive.
    """
    archive, inner = _split(given)
    if archive is None:
        return _read_folder(files.expanded(given), given)
    with tempfile.TemporaryDirectory(prefix="algoperf-reproduce-") as folder:
        return _read_folder(_taken_out(archive, inner, Path(folder)), given)


# ---- archives --------------------------------------------------------------------------------------------------------


def _split(given: str) -> tuple[Path | None, str]:
    """(archive, what is named in it); (None, '') for a folder."""
    ends = [index for index, character in enumerate(given) if character == ":"]
    for end in (*ends, len(given)):
        path = files.expanded(given[:end]) if given[:end] else None
        if path is not None and path.is_file():
            return path, given[end + 1 :]
    return None, ""


def _taken_out(path: Path, inner: str, folder: Path) -> Path:
    """The folder of one trial of an archive, below `folder`."""
    try:
        with tarfile.open(path) as archive:
            members = [member for member in archive.getmembers() if member.isfile()]
            trials = {PurePosixPath(member.name).parent.parts for member in members}
            trial = _chosen(path, sorted(trials), PurePosixPath(inner).parts)
            target = folder.joinpath(*trial)
            for member in members:
                if PurePosixPath(member.name).parent.parts == trial:
                    archive.extract(member, folder, filter="data")
    except (tarfile.TarError, lzma.LZMAError, EOFError) as error:
        raise UsageError(
            f"Cannot read {path} as an archive of results: {error}. Give one that python -m scoring.archive has made, "
            "or the folder of a trial."
        ) from None
    return target


def _chosen(path: Path, trials: Sequence[tuple[str, ...]], wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The trial of that path in an archive."""
    left = list(trials)
    for depth in range(max(map(len, trials), default=0)):
        choices = sorted({trial[depth] for trial in left if len(trial) > depth})
        if not choices:
            break
        if depth >= len(wanted):
            begun = "".join(f"{part}/" for part in wanted[:depth])
            raise UsageError(
                f"--reproduce={path}:{begun} names no trial yet: add one of {', '.join(choices)}, up to "
                f"{path}:{'/'.join(left[0])}."
            )
        if wanted[depth] not in choices:
            raise no_such(f"part of {path}:{'/'.join(wanted[:depth])}", wanted[depth], choices)
        left = [trial for trial in left if trial[depth : depth + 1] == wanted[depth : depth + 1]]
    if not left or left[0] != wanted:
        raise UsageError(
            f"--reproduce={path}:{'/'.join(wanted)} is no trial: its form is {path}:{INNER_FORM}."
        )
    return wanted


# ---- records ---------------------------------------------------------------------------------------------------------


def _read_folder(folder: Path, given: str) -> StoredTrial:
    try:
        flags, meta_data = _json_of(folder, records.flags_file), _json_of(folder, records.meta_data_file)
        summary = summaries.read(folder)
        identity = (meta_data or {}).get("identity") or (summary.identity if summary else None) or {}
        settings = _settings(flags, summary, identity)
        file = typed_json.value_of(str, flags["submission_file"], "submission_file") if flags else ""
        name = summary.submission if summary and summary.submission else Path(file).parent.name
        evaluations = _evaluations(folder)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"--reproduce={given} is not the folder of a trial that this version wrote: {str(error).rstrip('.')}. "
            f"Pass a folder such as {FORM}, or <archive.tar.xz>:{INNER_FORM}."
        ) from None
    if not evaluations:
        raise UsageError(
            f"--reproduce={given} holds no evaluations, so nothing could be compared: give another trial."
        )
    return StoredTrial(
        place=given,
        settings=settings,
        submission=name,
        submission_file=Path(file) if Path(file).is_absolute() else None,
        point=_point(folder, identity, summary),
        identity=identity,
        meta_data=meta_data or {},
        summary=summary,
        evaluations=evaluations,
    )


def _json_of(folder: Path, name: Any) -> dict[str, Any] | None:
    """The newest record of this name; a command that went on with a trial may have raised its limit."""
    path = records.newest(folder, name)
    return None if path is None else typed_json.value_of(dict[str, Any], records.read_json(path))


def _settings(
    flags: dict[str, Any] | None, summary: Summary | None, identity: Mapping[str, Any]
) -> dict[str, Any]:
    """The settings of the trial.

    Raises:
      ValueError: if they are not of their types, or too few.
    """
    if flags is not None:
        for name, value in (
            ("submission_file", flags.get("submission_file")),
            (SOURCE, identity.get(SOURCE)),
        ):
            typed_json.value_of(str, value, name)
        found = {name: flags[name] for name in settings_module.marks() if flags.get(name) not in (None, "")}
    elif summary is not None and summary.workload and summary.framework and summary.submission:
        found = {
            "workload": summary.workload,
            "framework": summary.framework,
            "tuning_ruleset": summary.ruleset,
            "suite": summary.suite,
            "study": summary.study,
            "trial": summary.trial,
            **{name: identity.get(name) for name in settings_module.IDENTITY},
        }
    else:
        raise ValueError(f"it has neither {records.flags_file(0)} nor a {records.SUMMARY} that says what ran")
    # As it was resolved then: its default depends on the device.
    found["torch_compile"] = identity.get("torch_compile", found.get("torch_compile"))
    found = {name: value for name, value in found.items() if value is not None}
    typed_json.typed(RunSettings, found)
    return found


def _point(folder: Path, identity: Mapping[str, Any], summary: Summary | None) -> dict[str, Any] | None:
    stored = files.read_json_or_none(str(folder / records.HPARAMS))
    point = stored or identity.get("hyperparameters") or (summary and summary.hyperparameters)
    return dict(point) if isinstance(point, Mapping) else None


def _evaluations(folder: Path) -> dict[int, dict[str, float]]:
    columns = records.read_csv(folder / records.EVAL_MEASUREMENTS)
    if records.GLOBAL_STEP not in columns:
        return {}
    names = [name for name in columns if "/" in name]
    rows = {
        int(step): {name: columns[name][index] for name in names}
        for index, step in enumerate(columns[records.GLOBAL_STEP])
        if step == step
    }
    return dict(sorted(rows.items()))


def evaluations_of(folder: Path) -> dict[int, dict[str, float]]:
    """Update -> metrics of the evaluations in a trial's folder; empty where there are none."""
    try:
        return _evaluations(folder)
    except OSError:
        return {}
