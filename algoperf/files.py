"""Files that are there whole or not at all, and JSON: for results, checkpoints and prepared data alike.

Whatever is written here grows under a hidden temporary name beside its own (`.<name>.tmp`), which no reader looks for,
and takes its name when it is complete. An error or Ctrl-C removes it; the file of before stays as it was.

Two kinds of writing differ in what several writers of one file do to each other:

- content at hand (`write_bytes`, `write_text`, `write_json`): each write has a temporary name of its own, so processes
  may write the same file at once, and the last one wins with all of its content;
- content that takes its time (`writing`, `replacing`): the temporary name is always the same, so that what a killed
  process leaves, which may be gigabytes, is overwritten by the next try. The caller sees to it that only one process
  writes, as `data.locate.one_at_a_time` does for a data folder.
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
    """Where `writing` and `replacing` let a file grow.

    >>> print(temporary_path(Path("data/manifest.json")))
    data/.manifest.json.tmp
    """
    return path.with_name(f".{path.name}.tmp")


# ---- writing -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path for libraries that open files by themselves; after the block it has become `path`, a file or a folder.

    A folder takes the place of none or of an empty one only: `os.replace` cannot exchange full ones.
    """
    temporary = temporary_path(path)
    _remove(temporary)  # What a killed process has left.
    with _moved(temporary, path):
        yield temporary


@contextlib.contextmanager
def writing(path: Path, mode: str = "wb", *, durable: bool = False, **options: Any) -> Iterator[IO[Any]]:
    """An open file; after the block it has become `path`.

    Args:
      path: its folder exists.
      mode: 'wb' or 'w', which is UTF-8.
      durable: waits until the disk has the content before it takes the name, so that not even a power cut leaves an
        empty file under it. That costs milliseconds to seconds, and is for what cannot be made again: results and
        checkpoints, not prepared data, which have checksums.
      **options: of `open`.
    """
    temporary = temporary_path(path)
    with _moved(temporary, path), _opened(temporary, mode, durable, **options) as file:
        yield file


def write_bytes(path: Path, content: bytes, *, durable: bool = False) -> None:
    """The file has all of `content` or does not change. `durable`: see `writing`."""
    temporary = temporary_path(path).with_suffix(f".{secrets.token_hex(4)}.tmp")
    with _moved(temporary, path), _opened(temporary, "xb", durable) as file:
        file.write(content)


def write_text(path: Path, content: str, *, durable: bool = False) -> None:
    """As `write_bytes`, in UTF-8."""
    write_bytes(path, content.encode(), durable=durable)


def write_json(path: Path, content: Any, *, indent: int = 2, durable: bool = False, **options: Any) -> None:
    """As `write_bytes`: indented JSON and a newline.

    Args:
      path: its folder exists.
      content: what `json` can write.
      indent: spaces per level.
      durable: see `writing`.
      **options: of `json.dumps`.
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
        with contextlib.suppress(OSError):  # The error that led here says more.
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
    """As `read_json`; None for a file that is missing or broken, where that is as good as not written yet."""
    try:
        return read_json(path)
    except (OSError, ValueError):
        return None


def read_users_json(path: Path, name: str, if_missing: str) -> Any:
    """The content of a JSON file that a person wrote or chose.

    Args:
      path: as given.
      name: names the file in messages, such as 'search space <path>' or '--point=<path>'.
      if_missing: the whole message where there is no such file.

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
