"""Downloads of published archives: resumable, verified by checksum, started only if the disk has room."""

import dataclasses
import hashlib
import os
import shutil
import tarfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from algoperf import files
from algoperf.spec import UsageError

CHUNK_BYTES = 1 << 20
TIMEOUT_SEC = 60


@dataclasses.dataclass(frozen=True)
class Archive:
    """One file to download, with its expected size and checksum."""

    url: str
    num_bytes: int
    sha256: str

    @property
    def file_name(self) -> str:
        return self.url.rsplit("/", 1)[-1]


def require_disk(folder: Path, num_bytes: int) -> None:
    """Raises UsageError if less than `num_bytes` are free where `folder` is."""
    free = shutil.disk_usage(folder).free
    if free < num_bytes:
        raise UsageError(
            f"This needs {num_bytes / 1e9:,.1f} GB in {folder}; only {free / 1e9:,.1f} GB are free."
        )


def fetch(archive: Archive, path: Path, progress: bool = True) -> None:
    """Downloads to `path`, continuing a partial file; the file gets its name once size and checksum are right.

    Raises:
      UsageError: if the server cannot be reached or the checksum differs.
    """
    if path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.part")
    try:
        _continue_download(archive, partial, progress)
    except (urllib.error.URLError, OSError) as error:
        where = f"{archive.url} (have {_size(partial):,} of {archive.num_bytes:,} bytes in {partial})"
        raise UsageError(f"Cannot download {where}: {error}. The same command continues.") from error
    with partial.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != archive.sha256:
        # A wrong byte somewhere cannot be found by continuing.
        partial.unlink()
        raise UsageError(
            f"{archive.url} has SHA-256 {found}, {archive.sha256} was expected. Try again later."
        )
    # Not `files.replacing`, which deletes partial files: the next call continues this one.
    os.replace(partial, path)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _continue_download(archive: Archive, partial: Path, progress: bool) -> None:
    have = _size(partial)
    if have == archive.num_bytes:
        return
    request = urllib.request.Request(archive.url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT_SEC) as response:
        continues = response.status == 206  # Servers without range requests send everything from the start.
        bar = tqdm(
            desc=archive.file_name,
            total=archive.num_bytes,
            initial=have if continues else 0,
            unit="B",
            unit_scale=True,
            disable=not progress,
        )
        with bar, partial.open("ab" if continues else "wb") as file:
            while chunk := response.read(CHUNK_BYTES):
                file.write(chunk)
                bar.update(len(chunk))
    if _size(partial) != archive.num_bytes:
        raise OSError(f"got {_size(partial):,} bytes")


def unpack_tar(
    archive: Path, target_of: Callable[[tarfile.TarInfo], Path | None], progress: bool = True
) -> None:
    """Writes members of a tar file; skips those that an earlier, interrupted call has already written.

    Args:
      archive: compressed or not.
      target_of: member -> path to write it to, or None to skip it.
      progress: whether to show a progress bar.

    Raises:
      tarfile.TarError, EOFError, or what the library of the compression raises: if the archive is damaged.
    """
    size = archive.stat().st_size
    bar = tqdm(desc=f"unpack {archive.name}", total=size, unit="B", unit_scale=True, disable=not progress)
    # Mode "r|*" reads the archive once from start to end: seeking back in a compressed file would start over.
    with archive.open("rb") as stream, tarfile.open(fileobj=stream, mode="r|*") as members, bar:
        for member in members:
            bar.update(stream.tell() - bar.n)
            target = target_of(member)
            if target is None or (target.is_file() and target.stat().st_size == member.size):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            source = members.extractfile(member)
            assert source is not None, f"{member.name} is no file"
            with source, files.writing(target) as file:
                shutil.copyfileobj(source, file, CHUNK_BYTES)
                if file.tell() != member.size:
                    raise EOFError(f"{member.name} is cut off")
        bar.update(size - bar.n)
