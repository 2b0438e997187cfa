"""A results folder in one file: what scoring reads of every trial, compressed, equal bytes for equal results.

    python -m scoring.archive <folder of submissions> scoring/data/mini_self.tar.xz [<submission>,...]
    python -m scoring.archive <folder of a sweep> docs/mini_sweep.tar.xz

The archive has the folder's own layout (`scoring.reading`; reruns of a sweep lie deeper), so it can be unpacked and
scored as any other. Of each trial it keeps evaluations, hyperparameters, the summary, and of the newest records of its
settings and its machine what says how to repeat it (`submission_runner.py --reproduce=<archive>:<trial>`): seeds,
settings, threads, versions, code, commit, device, what it was and when. Checkpoints, training logs, paths and the rest
stay out.
"""

import contextlib
import csv
import io
import itertools
import json
import lzma
import tarfile
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from algoperf import commands, records, settings, submission_info
from algoperf.run import chain
from algoperf.run.identity import ENVIRONMENT, META_SOURCES
from algoperf.spec import UsageError, no_such
from scoring import facts
from scoring.evaluations import TIME_COLUMNS
from scoring.reading import STUDY, TRIAL, read_json

KEPT = (records.EVAL_MEASUREMENTS, records.HPARAMS, records.SUMMARY)
KEPT_META_DATA = (
    *("rng_seed", "seeds", "package_versions", "git_commit_hash", "git_dirty", "device", "submission_hash"),
    *facts.META_DATA_KEYS,
)
"""Keys that provenance of a sweep is made of (`target_setting.sweep`), and those that scoring compares."""
KEPT_TO_REPEAT = (
    *("identity", META_SOURCES, "workload_spec", "num_devices", "global_batch_size", "data_manifest"),
    *("cpu_model_name", "gpu_model_name", "python_version"),
)
"""Keys that `algoperf.run.reproduce` reads besides."""
KEPT_TO_DESCRIBE = ("submission_info", "started")
"""Keys that say what it was, and when; pages show them."""
KEPT_KEYS = (*KEPT_META_DATA, *KEPT_TO_REPEAT, *KEPT_TO_DESCRIBE)
PATHS = ("submission", "submission_path", "tuning_search_space", "experiment_name")
"""Settings that say where something was on a machine."""


def pack(
    root: Path, path: Path, submissions: Collection[str] = (), metrics: Mapping[str, str] | None = None
) -> int:
    """Writes the archive.

    Args:
      root: folder that holds one folder per submission, or folders of such folders.
      path: where to; an .xz compressed tar file.
      submissions: names to keep; empty means all.
      metrics: workload -> its target metric; then of these workloads alone, and of their evaluations the columns that
        scoring reads, digit for digit. None keeps all.

    Returns:
      The number of trials.

    Raises:
      UsageError: if there are none, a name in `submissions` is not among them, or the archive cannot be written.
    """
    found = sorted(
        trial
        for trial in root.glob("**/study_*/*/trial_*")
        if STUDY.fullmatch(trial.parts[-3])
        and TRIAL.fullmatch(trial.name)
        and not _is_in_source(trial)
        and any((trial / name).is_file() for name in KEPT)
    )
    if not found:
        raise UsageError(f"No trials of any submission below {str(root)!r}.")
    known = sorted({trial.parts[-4] for trial in found})
    for name in submissions:
        if name not in known:
            raise no_such(f"submission with trials below {str(root)!r}", name, known)
    folders = [trial for trial in found if not submissions or trial.parts[-4] in submissions]
    if metrics is not None:
        folders = [trial for trial in folders if _workload(trial) in metrics]
    try:
        with tarfile.open(path, "w:xz", preset=9) as archive:
            for folder in folders:
                kept = _kept(folder)
                if metrics is not None and records.EVAL_MEASUREMENTS in kept:
                    metric = metrics[_workload(folder)]
                    kept[records.EVAL_MEASUREMENTS] = _cut(kept[records.EVAL_MEASUREMENTS], metric)
                for name, content in kept.items():
                    member = tarfile.TarInfo(str((folder / name).relative_to(root)))  # No owner, time 0.
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
            for path in (*_infos(folders), *_sources(folders)):
                archive.add(path, str(path.relative_to(root)), filter=_anonymous)
    except OSError as error:
        raise UsageError(
            f"Cannot write {str(path)!r}: {error.strerror}; give a file in a folder that is there."
        ) from error
    return len(folders)


def _workload(trial: Path) -> str:
    """Of the folder of a trial, whose parent's name ends with the framework."""
    return trial.parts[-2].rpartition("_")[0]


def _cut(content: bytes, metric: str) -> bytes:
    """Evaluations with the columns that scoring reads."""
    rows = csv.DictReader(io.StringIO(content.decode(), newline=""))
    names = rows.fieldnames or ()
    time = [name for name in TIME_COLUMNS if name in names][:1]
    wanted = (*time, records.GLOBAL_STEP, records.EVAL_TIME, f"validation/{metric}")
    kept = io.StringIO()
    writer = csv.DictWriter(
        kept, [name for name in names if name in wanted], extrasaction="ignore", lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(rows)
    return kept.getvalue().encode()


def _kept(folder: Path) -> dict[str, bytes]:
    """File name -> content, of what an archive holds of a trial."""
    content = {name: (folder / name).read_bytes() for name in KEPT if (folder / name).is_file()}
    if (folder / records.CHAIN).is_file():
        content[records.CHAIN] = chain.packed((folder / records.CHAIN).read_bytes())
    newest = records.newest(folder, records.meta_data_file)
    if newest is not None:
        facts = read_json(str(newest))
        slim: dict[str, Any] = {key: facts[key] for key in KEPT_KEYS if key in facts}
        environment: Any = facts.get(ENVIRONMENT)
        if isinstance(environment, dict):
            # Without the variables themselves, which are of one machine, and may be anybody's.
            slim[ENVIRONMENT] = {key: value for key, value in environment.items() if key != "variables"}
        content[newest.name] = _json(slim)
    flags = records.newest(folder, records.flags_file)
    if flags is not None and newest is not None:
        content[flags.name] = _json(_slim_flags(read_json(str(flags))))
    return content


def _is_in_source(path: Path) -> bool:
    """Whether it is of the copy of a submission, which may be called as it likes."""
    return any(STUDY.fullmatch(a) and b == records.SOURCE for a, b in itertools.pairwise(path.parts))


def _infos(trials: Sequence[Path]) -> Iterator[Path]:
    """What the submissions of some trials say of themselves."""
    for folder in sorted({trial.parents[2] for trial in trials}):
        path = folder / submission_info.FILE
        if path.is_file() and not path.is_symlink():
            yield path


def _sources(trials: Sequence[Path]) -> Iterator[Path]:
    """Files of the copies of source beside some trials."""
    for study in sorted({trial.parents[1] for trial in trials}):
        for path in sorted((study / records.SOURCE).glob("**/*")):
            if path.is_file() and not path.is_symlink():
                yield path


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """As those of the other members: no owner, time 0."""
    own = tarfile.TarInfo(member.name)
    own.size = member.size
    return own


def _json(content: object) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()


def _slim_flags(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that decide a run; of the submission's file the last two parts of its path."""
    decide = (name for name, mark in settings.marks().items() if mark.is_reproduced and name not in PATHS)
    file = "/".join(PurePath(str(flags.get("submission_file", ""))).parts[-2:])
    return {**{name: flags[name] for name in decide if name in flags}, "submission_file": file}


@contextlib.contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The folder of submissions that the archive holds, for as long as the context lasts.

    Raises:
      UsageError: if the file is no archive.
    """
    with tempfile.TemporaryDirectory(prefix="algoperf-results-") as folder:
        try:
            with tarfile.open(path) as archive:
                # An archive may come from anybody: the filter refuses members that would leave the folder.
                archive.extractall(folder, filter="data")
        except (tarfile.TarError, lzma.LZMAError, EOFError) as error:
            # tarfile says of each compression that it knows why it is not that one.
            why = "it is none" if str(error).startswith("file could not be opened") else str(error)
            raise UsageError(
                f"Cannot read {str(path)!r} as an archive of results: {why}. Make one with python -m scoring.archive."
            ) from None
        yield Path(folder)


def main(argv: Sequence[str]) -> None:
    """Packs a folder."""
    if len(argv) not in (3, 4):
        raise UsageError(
            "Give what to pack and where: python -m scoring.archive <folder of submissions> <output.tar.xz> "
            "[<submission>,...]"
        )
    path = Path(argv[2])
    count = pack(Path(argv[1]), path, argv[3].split(",") if len(argv) == 4 else ())
    print(f"{count} trials written to {path} ({path.stat().st_size / 1024:.0f} KiB)")


if __name__ == "__main__":
    commands.run(main, max_arguments=3)
