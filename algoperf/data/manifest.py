"""The manifest of prepared data: configuration, size and checksum of every file. It is written after all other files.

{"format": 1, "config": {...}, "files": {name: {"bytes": ..., "sha256": ..., "sampled": ...}}, ...}

A file of more than `WHOLE_BYTES` has a checksum over blocks of it, too: every run looks at those before it trains, and
at whole files where they are small.
"""

import dataclasses
import hashlib
import random
from pathlib import Path
from typing import Any

from tqdm import tqdm

from algoperf import files, typed_json
from algoperf.spec import UsageError

NAME = "manifest.json"
WHOLE_BYTES = 16 * 2**20
"""Up to here a run compares all of a file."""
BLOCK_BYTES = 64 * 2**10
NUM_BLOCKS = 16
"""Of a larger file, evenly spaced, the first and the last among them."""
MAX_CHECKED_BYTES = 512 * 2**20
"""That a run reads to compare checksums: about a second. Of more files each run looks at others."""


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


def sampled_sha256_of(path: Path) -> str:
    """Of `NUM_BLOCKS` blocks of a file that is larger than they are, or 'missing'."""
    try:
        digest, last = hashlib.sha256(), path.stat().st_size - BLOCK_BYTES
        with path.open("rb", buffering=0) as file:
            for number in range(NUM_BLOCKS):
                file.seek(last * number // (NUM_BLOCKS - 1))
                digest.update(file.read(BLOCK_BYTES))
        return digest.hexdigest()
    except (OSError, ValueError):  # A file that has become smaller than a block.
        return "missing"


def read(folder: Path) -> dict[str, Any] | None:
    """What is prepared in `folder`, or None.

    Raises:
      UsageError: if there is a manifest and it is damaged.
    """
    path = folder / NAME
    try:
        content: dict[str, Any] = typed_json.value_of(dict[str, Any], files.read_json(path))
        typed_json.value_of(dict[str, _Entry], content.get("files", {}), "files", allows_others=True)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} is damaged: {str(error).rstrip('.')}. Delete it, and prepare the data again with "
            "datasets/dataset_setup.py."
        ) from None
    return content


@dataclasses.dataclass
class _Entry:
    bytes: int
    sha256: str | None = None
    sampled: str | None = None


def hash_of(folder: Path) -> str | None:
    """Short hash of the manifest, for records: equal for equal data. None where data have none."""
    digest = sha256_of(folder / NAME)
    return None if digest == "missing" else digest[:16]


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
    for name, one in entries.get("files", {}).items():
        if one["bytes"] > WHOLE_BYTES:
            one["sampled"] = sampled_sha256_of(folder / name)
    files.write_json(folder / NAME, {"format": file_format, "config": config, **entries})


def is_complete(folder: Path, config: dict[str, Any], file_format: int) -> bool:
    """Whether `folder` was prepared with `config` in this format and no file is missing or cut short."""
    manifest = read(folder)
    if manifest is None or "files" not in manifest:
        return False
    if manifest.get("format") != file_format or manifest.get("config") != config:
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


def _is_forbidden(path: Path) -> bool:
    try:
        path.open("rb").close()
    except PermissionError:
        return True
    except OSError:  # It cannot be read for another reason, which the comparison finds.
        return False
    return False


def spot_check(folder: Path) -> list[str]:
    """Names of files that are not what the manifest says, as far as a second or so of reading can tell.

    Small files are compared as a whole, of large ones some blocks; those of manifests from before there were any, or
    beyond `MAX_CHECKED_BYTES`, by their size alone. So are files that this process may not open: a confined submission,
    whose referee has looked at them.
    """
    entries = list(((read(folder) or {}).get("files") or {}).items())
    random.Random().shuffle(entries)  # Not the global generator, which submissions draw from.
    damaged, num_read = [], 0
    for name, one in entries:
        is_small = one["bytes"] <= WHOLE_BYTES
        cost = one["bytes"] if is_small else NUM_BLOCKS * BLOCK_BYTES
        wanted, measure = (
            (one.get("sha256"), sha256_of) if is_small else (one.get("sampled"), sampled_sha256_of)
        )
        if size_of(folder / name) != one["bytes"]:
            damaged.append(name)
        elif wanted is not None and num_read + cost <= MAX_CHECKED_BYTES:
            if _is_forbidden(folder / name):
                continue
            num_read += cost
            if measure(folder / name) != wanted:
                damaged.append(name)
    return sorted(damaged)
