"""Atomic writing of files, and JSON: for results, checkpoints and prepared data.

Content is written to a hidden temporary file in the same folder (`.<name>.tmp`), which is renamed when it is complete.
So readers see the old file or the new one, never a part. An error or Ctrl-C removes the temporary file.

The two kinds of writing differ if several processes write the same file:

- small content in memory (`write_bytes`, `write_text`, `write_json`): each write has its own temporary name, so
  processes may write at the same time, and the last one wins with all of its content;
- content that takes long to write (`writing`, `replacing`): the temporary name is always the same, so that the next
  attempt overwrites what a killed process has left, which may be gigabytes. The caller must make sure that only one
  process writes, as `data.locate.one_at_a_time` does for a data folder.
"""

import contextlib
import errno
import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from algoperf.spec import UsageError

FULL_OR_BROKEN = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS})
"""What a file system says when it has no room, or has gone wrong under a program that could write before."""
NOT_ALLOWED = frozenset(
    {
        *(errno.EACCES, errno.EPERM, errno.EROFS),
        *(errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG),
    }
)
"""What it says of a path that is not, or may not be, what it is taken for."""


class StorageError(OSError):
    """The disk is full or broken: no fault of a submission, and the same command continues when that is mended."""

    def __str__(self) -> str:
        return (
            f"Cannot write {self.filename} ({self.strerror}): make room, or mend the file system; the same command "
            "then goes on."
        )


class FolderGoneError(FileNotFoundError):
    """The folder of a file that is to be written is not there any more."""

    def __str__(self) -> str:
        return (
            f"Cannot write {self.filename} ({self.strerror}): its folder was deleted meanwhile. Run again, and leave "
            "the folder alone; a submission must not delete it either."
        )


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Within, a full or broken disk raises StorageError, which names the path and nobody takes for a submission's.

    Where the path's folder has gone, that is FolderGoneError.
    """
    try:
        yield
    except (StorageError, FolderGoneError):
        raise
    except Exception as error:
        if isinstance(error, FileNotFoundError) and not path.parent.exists():
            raise FolderGoneError(error.errno, error.strerror, str(path)) from error
        found = _full_or_broken(error)
        if found is None:
            raise
        # The path that is meant, not the temporary one; a write to an open file has none at all.
        raise StorageError(found, os.strerror(found), str(path)) from error


def _full_or_broken(error: Exception) -> int | None:
    """Which of `FULL_OR_BROKEN` an error tells of; libraries in other languages do so in their text alone."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno if error.errno in FULL_OR_BROKEN else None
    if not isinstance(error, (OSError, RuntimeError)):
        return None
    return next((number for number in sorted(FULL_OR_BROKEN) if os.strerror(number) in str(error)), None)


def expanded(path: str | Path) -> Path:
    """The path with ~ as the home folder.

    Raises:
      UsageError: if it starts with ~ and this user has no home.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UsageError(
            f"{path} starts with ~, and this user has no home folder: set $HOME, or give the path from the root."
        ) from None


def make_folder(folder: Path, flag: str) -> None:
    """Makes a folder, with those above it, in which files can be written.

    Args:
      folder: may be there already.
      flag: that said it, such as '--experiment_dir'.

    Raises:
      UsageError: if there is something else, or the system does not allow it.
      StorageError: if there is no room.
    """
    probe = folder / f".probe_{secrets.token_hex(4)}"
    try:
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            probe.touch()
            probe.unlink()
    except StorageError as error:
        if error.errno != errno.EROFS:  # From the start: that is no accident.
            raise
        raise _not_allowed(folder, flag, error) from None
    except OSError as error:
        raise _not_allowed(folder, flag, error) from None


def _not_allowed(folder: Path, flag: str, error: OSError) -> UsageError:
    found = error.strerror
    for path in (folder, *folder.parents):
        if os.path.islink(path) and not os.path.exists(path):
            found = f"{path} is a link that leads nowhere"
        elif os.path.exists(path) and not os.path.isdir(path):
            found = f"{path} is a file"
    return UsageError(
        f"Cannot write files in {folder} ({found}): give another {flag}, or the right to write there."
    )


def temporary_path(path: Path) -> Path:
    """The temporary file of `writing` and `replacing`.

    >>> print(temporary_path(Path("data/manifest.json")))
    data/.manifest.json.tmp
    """
    return path.with_name(f".{path.name}.tmp")


# ---- writing -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary path, for libraries that open files themselves; after the block it is renamed to `path`.

    A folder can be renamed only if `path` does not exist or is an empty folder: a limit of `os.replace`.
    """
    temporary = temporary_path(path)
    _remove(temporary)  # A killed process may have left it.
    with _moved(temporary, path):
        yield temporary


@contextlib.contextmanager
def writing(path: Path, mode: str = "wb", *, durable: bool = False, **options: Any) -> Iterator[IO[Any]]:
    """Gives an open temporary file; after the block it is renamed to `path`.

    Args:
      path: in an existing folder.
      mode: 'wb', or 'w' for UTF-8 text.
      durable: whether to wait until the content is on the disk before the renaming, so that not even a power cut leaves
        an empty file. It costs milliseconds to seconds. Use it for what cannot be made again (results, checkpoints),
        not for prepared data, which have checksums.
      **options: passed to `open`.
    """
    temporary = temporary_path(path)
    with _moved(temporary, path), _opened(temporary, mode, durable, **options) as file:
        yield file


def write_bytes(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Writes `content` atomically. `durable`: see `writing`."""
    temporary = temporary_path(path).with_suffix(f".{secrets.token_hex(4)}.tmp")
    with _moved(temporary, path), _opened(temporary, "xb", durable) as file:
        file.write(content)


def write_text(path: Path, content: str, *, durable: bool = False) -> None:
    """Writes UTF-8 text; see `write_bytes`."""
    write_bytes(path, content.encode(), durable=durable)


def write_json(path: Path, content: Any, *, indent: int = 2, durable: bool = False, **options: Any) -> None:
    """Writes indented JSON and a newline; see `write_bytes`.

    Args:
      path: in an existing folder.
      content: anything that `json` can write.
      indent: spaces per level.
      durable: see `writing`.
      **options: passed to `json.dumps`.
    """
    write_text(path, json.dumps(content, indent=indent, **options) + "\n", durable=durable)


def check_can_be_folder(name: str, folder: Path) -> None:
    """Raises UsageError where a folder is to be, or to be made, and something else is in its place or above it.

    Args:
      name: of the setting that says so, such as '--experiment_dir'.
      folder: as it was given.
    """
    for place in (folder, *folder.parents):
        try:
            if place.is_dir():
                return
            is_there = place.is_symlink() or place.exists()
        except OSError as error:
            raise UsageError(
                f"{name}={folder} cannot be looked at ({error.strerror}): give another folder."
            ) from None
        if is_there:
            what = (
                "a file"
                if place.is_file()
                else "a link that leads nowhere"
                if place.is_symlink()
                else "no folder"
            )
            raise UsageError(f"{name}={folder} cannot be used: {place} is {what}. Give a folder, new or not.")


@contextlib.contextmanager
def _moved(temporary: Path, path: Path) -> Iterator[None]:
    """After the block, `temporary` is `path`; after an error, it is gone."""
    try:
        with storage_errors(path):
            yield
            os.replace(temporary, path)
    except BaseException:  # Also KeyboardInterrupt and SystemExit, by which trials are stopped.
        _remove(temporary)
        raise


@contextlib.contextmanager
def _opened(path: Path, mode: str, durable: bool, **options: Any) -> Iterator[IO[Any]]:
    encoding = None if "b" in mode else "utf-8"
    with open(path, mode, encoding=encoding, **options) as file:
        yield file
        if durable:
            file.flush()
            os.fsync(file.fileno())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):  # The error of the block, which is about to be raised, says more.
            path.unlink()


# ---- reading -----------------------------------------------------------------------------------------------------


def read_json(path: Path | str) -> Any:
    """The content of a JSON file of our own.

    Raises:
      OSError: if it cannot be read, or is no regular file: a pipe would never end.
      ValueError: if it is not JSON.
    """
    return _parsed(read_regular(path))


def read_strict_json(path: Path | str) -> Any:
    """As `read_json`, for files of people: a key that stands twice is refused, of which `json` keeps the last.

    Infinity, NaN and what overflows are read as such: whoever checks the entries can name the one at fault.

    Raises:
      OSError, ValueError: as `read_json`.
    """
    return _parsed(read_regular(path), object_pairs_hook=_without_doubles)


def read_regular(path: Path | str) -> bytes:
    """All bytes of a regular file.

    Raises:
      OSError: if it cannot be read, or is a pipe, a socket or a device.
    """
    # Without waiting: the open of a named pipe would otherwise last until somebody writes to it. Unbuffered: halves the
    # cost of small files, of which scoring reads thousands.
    with open(path, "rb", buffering=0, opener=_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "Not a regular file", str(path))
        return file.read()


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _parsed(content: bytes, **hooks: Any) -> Any:
    # Bytes, not text: `json` finds out by itself whether they are UTF-8, with or without a byte order mark, or UTF-16.
    try:
        return json.loads(content, **hooks)
    except RecursionError:
        raise ValueError("brackets are nested too deeply") from None


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return found


def read_json_or_none(path: Path | str) -> Any | None:
    """As `read_json`; None if the file is missing or is no JSON. For callers that then make the file anew."""
    try:
        return read_json(path)
    except (OSError, ValueError):
        return None


def read_users_json(path: Path, name: str, if_missing: str) -> Any:
    """The content of a JSON file that a person wrote or chose.

    Args:
      path: the path as the user gave it.
      name: names the file in messages, such as 'search space <path>' or '--point=<path>'.
      if_missing: the whole message for a missing file.

    Raises:
      UsageError: if it cannot be read or is not JSON; names the file, says what was found and what to do.
    """
    try:
        return read_strict_json(path)
    except FileNotFoundError:
        raise UsageError(if_missing) from None
    except UnicodeDecodeError as error:
        found = f"byte {error.start + 1} is no {error.encoding.upper()}"
    except OSError as error:
        raise UsageError(f"Cannot read {name} ({error.strerror}): give a JSON file.") from None
    except ValueError as error:
        found = str(error)
    start = name[0].upper() + name[1:]
    raise UsageError(f"{start} is not readable as JSON ({found}): correct it, or give another file.")
