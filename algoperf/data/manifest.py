"""The manifest of prepared data: what was prepared, with size and checksum of every file; written last.

{"format": 1, "config": {...}, "files": {name: {"bytes": ..., "sha256": ...}}, ...}
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from tqdm import tqdm

NAME = "manifest.json"


def read_json(path: Path) -> dict[str, Any] | None:
    """The content of a JSON file, or None if it is missing or broken."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def write_atomically(path: Path, content: bytes) -> None:
    """The file has all of `content` or does not change."""
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Indented, atomically."""
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


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
    return read_json(folder / NAME)


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
    files = tqdm(manifest["files"].items(), desc="verify", unit="file", disable=not progress)
    return [name for name, entry in files if sha256_of(folder / name) != entry["sha256"]]
