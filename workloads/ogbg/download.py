"""Fetches OGB's release of molpcba and unpacks the text files that `prepare` reads."""

import shutil
import zipfile
from pathlib import Path

from tqdm import tqdm

from algoperf import files
from algoperf.data.download import Archive, fetch, require_disk
from algoperf.spec import UsageError
from algoperf.workload import WorkloadSpec
from workloads.ogbg import raw_tables

# Size and checksum as TensorFlow Datasets 4.9 records them (ogbg_molpcba 0.1.3).
ARCHIVE = Archive(
    "https://snap.stanford.edu/ogb/data/graphproppred/csv_mol_download/pcba.zip",
    39_533_472,
    "0bb12da2f3ec8b0bb80564114a6174fad2df6a3a0d3c19470b3a27813a7d4e53",
)
PREPARED_BYTES = 300_000_000


def download(spec: WorkloadSpec, folder: Path, progress: bool = True) -> None:
    """Fills `folder/raw/pcba`; continues where an earlier call stopped. The archive can be deleted afterwards.

    Raises:
      UsageError: if the server cannot be reached, the archive is damaged or the disk is too full.
    """
    raw = Path(folder) / "raw"
    tables = raw_tables.tables(spec.model.num_outputs)
    if all(table.path(Path(folder)).is_file() for table in tables):
        return
    raw.mkdir(parents=True, exist_ok=True)
    # Twice the archive: the unpacked files are gzip files themselves, so they are as large as the archive.
    require_disk(raw, 2 * ARCHIVE.num_bytes + PREPARED_BYTES)
    path = raw / ARCHIVE.file_name
    fetch(ARCHIVE, path, progress)
    unpack(path, Path(folder), tables, progress)


def unpack(archive: Path, folder: Path, tables: tuple[raw_tables.Table, ...], progress: bool = True) -> None:
    """Writes the files of `tables` that are not there yet, each one atomically.

    Raises:
      UsageError: if the archive is damaged or lacks one of them.
    """
    try:
        with zipfile.ZipFile(archive) as content:
            for table in tqdm(tables, desc="unpack", unit="file", disable=not progress):
                path = table.path(folder)
                if path.is_file():
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                with content.open(f"pcba/{table.file}") as source, files.writing(path) as file:
                    shutil.copyfileobj(source, file)
    except (zipfile.BadZipFile, KeyError, EOFError, OSError) as error:
        raise UsageError(
            f"Cannot unpack {archive}: {error}. If it is damaged, delete it; the same command fetches it again."
        ) from error
