"""Checkpoint files: written atomically, newest readable one loaded."""

import contextlib
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from algoperf import files, records
from algoperf.spec import UsageError

VERSION = 1


def _step_of(path: Path) -> int:
    suffix = path.name.removeprefix(records.CHECKPOINT_PREFIX)
    return int(suffix) if suffix.isascii() and suffix.isdecimal() else -1


def list_checkpoints(folder: Path) -> list[Path]:
    """Checkpoints of a trial folder, newest first."""
    found = [path for path in folder.glob(f"{records.CHECKPOINT_PREFIX}*") if _step_of(path) >= 0]
    return sorted(found, key=_step_of, reverse=True)


def save(folder: Path, global_step: int, content: Mapping[str, object], keep_older: bool = False) -> Path:
    """Writes `checkpoint_<global_step>`; after a crash at any moment a complete checkpoint is left.

    Args:
      folder: the folder of the trial.
      global_step: the step, which names the file.
      content: what `load` returns later; must be picklable.
      keep_older: whether earlier checkpoints are kept.
    """
    path = folder / f"{records.CHECKPOINT_PREFIX}{global_step}"
    # Durable, because older ones are deleted right after.
    with files.writing(path, durable=True) as file:
        # Protocol 5 writes large arrays without copying them first.
        pickle.dump({"version": VERSION, **content}, file, protocol=5)
    if not keep_older:
        for other in list_checkpoints(folder):
            if other != path:
                with contextlib.suppress(FileNotFoundError):
                    other.unlink()
    return path


def load(folder: Path) -> dict[str, Any] | None:
    """The newest readable checkpoint of a trial folder, or None.

    Checkpoints are pickles, which can run code when they are loaded: resume only folders that you trust.

    Raises:
      UsageError: if a later version of the program wrote the newest one; an older checkpoint would lose later work.
    """
    for path in list_checkpoints(folder):
        try:
            with open(path, "rb") as file:
                content = pickle.load(file)
            version = content["version"]
        except Exception:  # A damaged pickle can raise anything; an older checkpoint may be intact.
            continue
        if version == VERSION:
            return content
        if isinstance(version, int) and version > VERSION:
            raise UsageError(
                f"{path} has version {version}, and this program reads version {VERSION}: use the version that wrote "
                "it, or start over with --overwrite."
            )
    return None
