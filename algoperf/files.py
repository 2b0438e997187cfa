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
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from algoperf.spec import UsageError


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


@contextlib.contextmanager
def _moved(temporary: Path, path: Path) -> Iterator[None]:
    """After the block, `temporary` is `path`; after an error, it is gone."""
    try:
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
      OSError: if it cannot be read.
      ValueError: if it is not JSON.
    """
    # Unbuffered: halves the cost of small files, of which scoring reads thousands.
    with open(path, "rb", buffering=0) as file:
        content = file.read()
    # Bytes, not text: `json` finds out by itself whether they are UTF-8, with or without a byte order mark, or UTF-16.
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("brackets are nested too deeply") from None


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
        return read_json(path)
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
