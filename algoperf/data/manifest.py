"""The manifest of prepared data: what was prepared, with size and checksum of every file; written last.

{"format": 1, "config": {...}, "files": {name: {"bytes": ..., "sha256": ...}}, ...}
"""

import hashlib
from pathlib import Path
from typing import Any

from tqdm import tqdm

from algoperf import files

NAME = "manifest.json"


def size_of(path: Path) -> int:
    """Bytes, or -1 if there is no such file."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def sha256_of(path: Path) -> str:
    """Of the file's content, or 'missing'."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return "missing"


def read(folder: Path) -> dict[str, Any] | None:
    """What is prepared in `folder`, or None."""
    return files.read_json_or_none(folder / NAME)


def entry(path: Path) -> dict[str, Any]:
    """What the manifest says of a file: its size and checksum."""
    return {"bytes": size_of(path), "sha256": sha256_of(path)}


def write(folder: Path, file_format: int, config: dict[str, Any], **entries: Any) -> None:
    """Says that `folder` is complete.

    Args:
      folder: of the prepared data.
      file_format: of the family.
      config: all that the prepared files depend on.
      **entries: `files`, name -> `entry`, and what else the family wants to remember.
    """
    files.write_json(folder / NAME, {"format": file_format, "config": config, **entries})


def is_complete(folder: Path, config: dict[str, Any], file_format: int) -> bool:
    """Whether `folder` was prepared with `config` in this format and no file is missing or cut short."""
    manifest = read(folder)
    if manifest is None or manifest.get("format") != file_format or manifest.get("config") != config:
        return False
    return all(size_of(folder / name) == entry["bytes"] for name, entry in manifest["files"].items())


def damaged_files(folder: Path, progress: bool = True) -> list[str]:
    """Names of files whose content is not what the manifest says; reads everything."""
    manifest = read(folder)
    if manifest is None:
        return [NAME]
    entries = tqdm(manifest["files"].items(), desc="verify", unit="file", disable=not progress)
    return [name for name, entry in entries if sha256_of(folder / name) != entry["sha256"]]
