"""The manifest of prepared data: configuration, size and checksum of every file. It is written after all other files.

{"format": 1, "config": {...}, "files": {name: {"bytes": ..., "sha256": ...}}, ...}
"""

import hashlib
from pathlib import Path
from typing import Any

from tqdm import tqdm

from algoperf import files

NAME = "manifest.json"


def size_of(path: Path) -> int:
    """Size of a file in bytes; -1 if it does not exist."""
    try:
        return path.stat().st_size
    except OSError:
        # No size is negative, so a missing file is unequal to every entry.
        return -1


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content in hex; 'missing' if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return "missing"


def read(folder: Path) -> dict[str, Any] | None:
    """The manifest in `folder`; None if there is none."""
    return files.read_json_or_none(folder / NAME)


def entry(path: Path) -> dict[str, Any]:
    """The manifest entry of a file: its size and checksum."""
    return {"bytes": size_of(path), "sha256": sha256_of(path)}


def write(folder: Path, file_format: int, config: dict[str, Any], **entries: Any) -> None:
    """Writes the manifest, which marks `folder` as complete.

    Args:
      folder: the folder of the prepared data.
      file_format: version of the family's file format.
      config: everything that the prepared files depend on.
      **entries: `files` (name -> `entry`), and other facts that the family stores.
    """
    files.write_json(folder / NAME, {"format": file_format, "config": config, **entries})


def is_complete(folder: Path, config: dict[str, Any], file_format: int) -> bool:
    """Whether `folder` was prepared with `config` in this format and no file is missing or cut short."""
    manifest = read(folder)
    if manifest is None or manifest.get("format") != file_format or manifest.get("config") != config:
        return False
    # Sizes only: checksums of hundreds of gigabytes would take longer than many runs. `damaged_files`
    # compares them.
    return all(size_of(folder / name) == entry["bytes"] for name, entry in manifest["files"].items())


def damaged_files(folder: Path, progress: bool = True) -> list[str]:
    """Names of files whose content is not what the manifest says; reads everything."""
    manifest = read(folder)
    if manifest is None:
        return [NAME]
    entries = tqdm(manifest["files"].items(), desc="verify", unit="file", disable=not progress)
    return [name for name, entry in entries if sha256_of(folder / name) != entry["sha256"]]
