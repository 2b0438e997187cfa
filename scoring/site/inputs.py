"""A digest of all that decides the scores of a field: results, suite, code. Fields whose digest is as before stay."""

import functools
from collections.abc import Iterator
from pathlib import Path

import algoperf
import scoring
from algoperf import records, source_digest, submission_info, suites
from scoring import published, sources
from scoring.site.fields import Field

PATTERNS = (
    *(records.EVAL_MEASUREMENTS, records.SUMMARY, records.HPARAMS, records.CHAIN),
    *("meta_data_*.json", "flags_*.json"),
)
"""Files of a trial that are read."""


def digest(field: Field, places: dict[Path, sources.Source]) -> str:
    """Of everything that a field's files are made of.

    Args:
      field: to be scored.
      places: given path -> the place that holds its members.
    """
    parts = {"field": f"{field.suite} {field.ruleset} {field.hardware}", "code": code()}
    if field.leaderboard:
        ending = f"{field.leaderboard}_{field.ruleset}"
        files = {path.name: path for path in published.DATA_DIR.iterdir() if path.name.startswith(ending)}
        parts.update(source_digest.of_files(files))
    if suites.is_file(field.suite):
        parts["suite"] = source_digest.of_file(Path(field.suite))
    for number, (given, names) in enumerate(field.members):
        root = places[given].folder
        files = {
            f"{number}/{path.relative_to(root).as_posix()}": path
            for name in names
            for path in _files(root / name)
        }
        parts.update(source_digest.of_files(files))
        parts[f"{number}"] = " ".join(names)
    return source_digest.combined(parts)


def _files(folder: Path) -> Iterator[Path]:
    info = folder / submission_info.FILE
    if info.is_file():
        yield info
    for pattern in PATTERNS:
        yield from (path for path in folder.glob(f"study_*/*/trial_*/{pattern}") if path.is_file())


@functools.cache
def code() -> str:
    """Of all that scores and draws, suites included."""
    found = {}
    for package in (scoring, algoperf):
        root = Path(package.__file__ or "").parent
        depth = "**/*" if package is scoring else "*"
        for path in (*root.glob(depth), *root.glob("run/*.py"), *root.glob("suites/*.json")):
            if path.suffix in (".py", ".json", ".js", ".css", ".html") and "data" not in path.parts:
                found[f"{root.name}/{path.relative_to(root).as_posix()}"] = path
    return source_digest.combined(source_digest.of_files(found))
