"""Atomic save and restore of everything that a run needs to continue exactly where it was.

A checkpoint file is a line of fixed length, a header and a payload. The line has a checksum of all that follows. The
header is JSON: whose run it is and how far it has come, which can be read whatever has become of the submission whose
objects are in the payload. The payload is a pickle.
"""

import contextlib
import functools
import hashlib
import json
import os
import pickle
import pickletools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from algoperf import files, records
from algoperf.spec import UsageError

VERSION = 2
MAGIC = b"algoperf checkpoint "
PICKLE = b"\x80"
"""How a file of version 1 begins, which is a pickle and nothing else."""
FIRST_LINE = "{version:>6} {checksum:>64} {header_bytes:>16}\n"
FIRST_LINE_BYTES = len(MAGIC) + len(FIRST_LINE.format(version=0, checksum="", header_bytes=0))


class Damaged(Exception):  # noqa: N818 - what a file is
    """The file is not what was written."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """A checkpoint that is whole."""

    path: Path
    about: dict[str, Any]
    """The header: 'identity', 'global_step', and what else the writer said; of version 1 as much as it has."""
    damaged: tuple[str, ...]
    """Newer checkpoints that are not, each with the reason."""
    _payload: int | dict[str, Any]
    """Where the pickle begins; of version 1 what was in it."""

    def payload(self) -> tuple[Path, int]:
        """(file, where the pickle of `content` begins there), for whoever hands it on unread.

        Raises:
          UsageError: if a former version has written it.
        """
        if isinstance(self._payload, dict):
            raise UsageError(f"{self.path} was written by an older version: start over with --overwrite.")
        return self.path, self._payload

    def content(self) -> dict[str, Any]:
        """What was saved.

        Raises:
          UsageError: if something that it consists of is not there any more, such as a class of the submission.
        """
        if isinstance(self._payload, dict):
            return self._payload
        try:
            with open(self.path, "rb") as file:
                file.seek(self._payload)
                return pickle.load(file)
        except Exception as error:  # It is whole, so it is the surroundings that have changed.
            raise cannot_restore(self.path, error) from error


def cannot_restore(path: Path, error: Exception) -> UsageError:
    """For a checkpoint that is whole, of this very run, and yet cannot be brought to life."""
    return UsageError(
        f"{path} is whole but cannot be restored here ({type(error).__name__}: {error}): put the submission's source "
        "and packages back as they were, or start over with --overwrite."
    )


def plain(value: object) -> Any:
    """A value as a header gives it back: tuples are lists, and what JSON does not know is text."""
    return json.loads(json.dumps(value, default=_plain_leaf))


def _plain_leaf(value: Any) -> object:
    return value.item() if hasattr(value, "item") else str(value)  # NumPy's numbers have one.


def _step_of(path: Path) -> int:
    suffix = path.name.removeprefix(records.CHECKPOINT_PREFIX)
    return int(suffix) if suffix.isascii() and suffix.isdecimal() else -1


def list_checkpoints(folder: Path) -> list[Path]:
    """Checkpoints of a trial folder, newest first."""
    found = [path for path in folder.glob(f"{records.CHECKPOINT_PREFIX}*") if _step_of(path) >= 0]
    return sorted(found, key=_step_of, reverse=True)


# ---- writing ---------------------------------------------------------------------------------------------------------


class _Hashing:
    """A file that a pickle is written to, which adds up the checksum on the way."""

    def __init__(self, file: IO[bytes]):
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, content: Any) -> int:
        self.digest.update(content)
        return self._file.write(content)


def save(
    folder: Path,
    global_step: int,
    content: Mapping[str, object],
    keep_older: bool = False,
    about: Mapping[str, object] | None = None,
) -> Path:
    """Writes `checkpoint_<global_step>`; a crash at any moment leaves a complete older one.

    Args:
      folder: of the trial.
      global_step: names the file.
      content: what `load` gives back; anything that pickles.
      keep_older: whether earlier checkpoints stay.
      about: for the header; what JSON can hold.
    """
    return save_with(
        folder,
        global_step,
        functools.partial(pickled, content),
        keep_older,
        about,
    )


def pickled(content: Mapping[str, object], file: Any) -> None:
    """Writes the payload of a checkpoint."""
    # Protocol 5 writes large arrays without copying them first.
    pickle.dump({"version": VERSION, **content}, file, protocol=5)


def save_with(
    folder: Path,
    global_step: int,
    write: Callable[[Any], None],
    keep_older: bool = False,
    about: Mapping[str, object] | None = None,
) -> Path:
    """As `save`, with a payload that `write` puts into a file as `pickled` does."""
    path = folder / f"{records.CHECKPOINT_PREFIX}{global_step}"
    header = json.dumps({**(about or {}), "global_step": global_step}, default=_plain_leaf).encode() + b"\n"
    # Durable, because older ones are deleted right after.
    with files.writing(path, durable=True) as file:
        file.write(b" " * FIRST_LINE_BYTES)
        hashing = _Hashing(file)
        hashing.write(header)
        write(hashing)
        file.seek(0)
        checksum = hashing.digest.hexdigest()
        line = FIRST_LINE.format(version=VERSION, checksum=checksum, header_bytes=len(header))
        file.write(MAGIC + line.encode())
    if not keep_older:
        for other in list_checkpoints(folder):
            if other != path:
                with contextlib.suppress(FileNotFoundError):
                    other.unlink()
    return path


# ---- reading ---------------------------------------------------------------------------------------------------------


def find(folder: Path, *, runs_nothing: bool = False) -> Found | None:
    """The newest whole checkpoint of a trial folder; None where there are no checkpoints.

    Checkpoints are pickles, which can run code when they are loaded: resume only folders that you trust.

    Args:
      folder: of the trial.
      runs_nothing: whether one of version 1, which is a pickle from its first byte, is an error, and not loaded.

    Raises:
      UsageError: if there are checkpoints and none is whole, or one cannot be read, or is of a later version of the
        program: going on without it would lose work that may still be there.
    """
    damaged: list[str] = []
    for path in list_checkpoints(folder):
        try:
            with _read_errors(path):
                about, payload = _read(path, runs_nothing)
        except Damaged as problem:
            damaged.append(f"{path.name} ({problem})")
            continue
        return Found(path=path, about=about, damaged=tuple(damaged), _payload=payload)
    if damaged:
        raise UsageError(
            f"{folder} holds checkpoints, and none can be read: {', '.join(damaged)}. Put a whole one there, or start "
            "over with --overwrite; nothing was changed."
        )
    return None


def header(folder: Path) -> dict[str, Any] | None:
    """The header of the newest whole checkpoint of a trial folder, without bringing to life what it holds.

    It is empty of version 1, which had none. None where there is no checkpoint, or none is whole.

    Raises:
      UsageError: if one cannot be read for a reason that is not its own, or is of a later version of the program.
    """
    for path in list_checkpoints(folder):
        with contextlib.suppress(Damaged), _read_errors(path):
            return _check_pickle(path) if _is_version_1(path) else _read(path)[0]
    return None


def peek(folder: Path) -> dict[str, Any] | None:
    """The header of the newest checkpoint of a trial folder, without a look at the rest; None where there is none.

    Nothing is said about whether the file is whole, which takes as long as reading it.
    """
    for path in list_checkpoints(folder)[:1]:
        with contextlib.suppress(OSError, ValueError, IndexError), open(path, "rb") as file:
            line = file.read(FIRST_LINE_BYTES)
            if line.startswith(MAGIC):
                size = int(line[len(MAGIC) :].split()[2])
                content = json.loads(file.read(max(0, min(size, os.fstat(file.fileno()).st_size))))
                return content if isinstance(content, dict) else None
    return None


@contextlib.contextmanager
def _read_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"Cannot read {path} ({error.strerror}): make it readable, or start over with --overwrite."
        ) from None


def load(folder: Path) -> dict[str, Any] | None:
    """What the newest whole checkpoint of a trial folder holds; None where there are no checkpoints.

    Raises:
      UsageError: as `find` and `Found.content` do.
    """
    found = find(folder)
    return None if found is None else found.content()


def _read(path: Path, runs_nothing: bool = False) -> tuple[dict[str, Any], int | dict[str, Any]]:
    """(header, where the payload begins) of a whole file; raises Damaged."""
    with open(path, "rb") as file:
        line = file.read(FIRST_LINE_BYTES)
        if line.startswith(PICKLE) and runs_nothing:
            raise UsageError(
                f"{path} is of version 1, which cannot be read without running what it says: start the trial over "
                "with --overwrite."
            )
        if line.startswith(PICKLE):
            return _read_version_1(path)
        if len(line) < FIRST_LINE_BYTES or not line.startswith(MAGIC):
            raise Damaged("empty" if not line else "no checkpoint")
        try:
            version, checksum, header_bytes = line[len(MAGIC) :].split()
            number, size = int(version), int(header_bytes)
        except ValueError:
            raise Damaged("its first line is broken") from None
        if not 0 <= size <= os.fstat(file.fileno()).st_size:  # The line itself has no checksum.
            raise Damaged("its first line is broken")
        _check_version(path, number)
        digest = hashlib.sha256()
        header = file.read(size)
        digest.update(header)
        while block := file.read(1 << 20):
            digest.update(block)
    if digest.hexdigest().encode() != checksum:
        raise Damaged("its checksum is wrong: it was cut or changed")
    return json.loads(header), FIRST_LINE_BYTES + size


def _check_version(path: Path, version: int) -> None:
    if version > VERSION:
        raise UsageError(
            f"{path} has version {version}, and this program reads up to version {VERSION}: use the version that wrote "
            "it, or start over with --overwrite."
        )


def _is_version_1(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(len(PICKLE)) == PICKLE


def _check_pickle(path: Path) -> dict[str, Any]:
    """Nothing of a pickle that is whole, which is read without doing what it says; raises Damaged of any other."""
    with open(path, "rb") as file:
        try:
            for _ in pickletools.genops(file):
                pass
        except ValueError as error:
            raise Damaged(str(error)) from None
    return {}


def _read_version_1(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """As `_read`, of a file without header and checksum, which therefore is read as a whole."""
    try:
        with open(path, "rb") as file:
            content = pickle.load(file)
    except (ImportError, AttributeError) as error:  # A class that is not there: no damage to the file.
        raise cannot_restore(path, error) from error
    except OSError:
        raise
    except Exception as error:  # Which `pickle` reports in many ways.
        raise Damaged(f"{type(error).__name__}: {error}") from None
    version = content.get("version") if isinstance(content, dict) else None
    if not isinstance(version, int) or version < 1:
        raise Damaged(f"its version is {version!r}")
    _check_version(path, version)
    about = {"identity": content.get("identity"), "global_step": _step_of(path)}
    return about, content
