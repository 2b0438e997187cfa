"""fastMRI must be downloaded by hand: New York University sends links to people who agree to its terms of use.

So this unpacks the archives in `folder/raw`, and prints the steps if they are missing.
"""

import lzma
import tarfile
from pathlib import Path

from algoperf import files
from algoperf.data.download import require_disk, unpack_tar
from algoperf.spec import UsageError
from algoperf.workload import WorkloadSpec
from workloads.fastmri import catalog

PAGE = "https://fastmri.med.nyu.edu"
# All archives of the single-coil knee set are about 90 GB and their content 113 GB.
_EXPANSION = 113 / 90


def download(spec: WorkloadSpec, folder: Path, progress: bool = True) -> None:
    """Unpacks the archives in `folder/raw`; continues after an interruption.

    Raises:
      UsageError: if there are neither volumes nor archives (lists the steps), or an archive is damaged.
    """
    del spec
    raw = Path(folder) / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    archives = {part: _find_archive(raw, name) for part, name in catalog.RAW_FOLDERS.items()}
    missing = [
        part
        for part, found in archives.items()
        if not found and not catalog.find_raw_folder(Path(folder), part)
    ]
    if missing:
        raise UsageError(manual_steps(raw, missing))
    todo = {
        part: archive
        for part, archive in archives.items()
        if archive and not _is_unpacked(raw / catalog.RAW_FOLDERS[part], archive)
    }
    wanted = sum(archive.stat().st_size for archive in todo.values()) * _EXPANSION
    done = sum(
        path.stat().st_size for part in todo for path in (raw / catalog.RAW_FOLDERS[part]).glob("*.h5*")
    )
    if todo:
        require_disk(raw, max(int(wanted) - done, 0))
    for part, archive in todo.items():
        unpack(archive, raw / catalog.RAW_FOLDERS[part], progress)


def manual_steps(raw: Path, missing: list[str]) -> str:
    """The steps of the download by hand."""
    names = [f"{catalog.RAW_FOLDERS[part]}.tar.xz" for part in missing]
    return (
        f"There are no volumes and no archives of {', '.join(missing)} in {raw}. fastMRI has to be asked for by hand:\n"
        f"  1. Fill in the form on {PAGE} for the knee data; the links come by e-mail.\n"
        f"  2. Download {' and '.join(names)} into {raw}\n"
        f"     (the single-coil test archive has no targets and is not used).\n"
        f"  3. Run this command again: it unpacks and checks them. The archives can be deleted afterwards.\n"
        f"Volumes unpacked elsewhere can be linked: {raw / catalog.RAW_FOLDERS[missing[0]]} -> folder of *.h5 files."
    )


def _find_archive(raw: Path, name: str) -> Path | None:
    """The archive of that name, with any compression."""
    return next(iter(sorted(path for path in raw.glob(f"{name}.tar*") if path.is_file())), None)


def _note(place: Path) -> Path:
    return place / "unpacked.txt"


def _is_unpacked(place: Path, archive: Path) -> bool:
    note = _note(place)
    return note.is_file() and note.read_text() == _identity(archive)


def _identity(archive: Path) -> str:
    return f"{archive.name} {archive.stat().st_size}\n"


def unpack(archive: Path, place: Path, progress: bool = True) -> None:
    """Writes the *.h5 files of an archive to `place`, each atomically.

    Raises:
      UsageError: if the archive is damaged or incomplete.
    """
    place.mkdir(parents=True, exist_ok=True)

    def target_of(member: tarfile.TarInfo) -> Path | None:
        name = Path(member.name).name
        # macOS's tar adds files such as '._file1.h5', which are no volumes.
        is_volume = member.isfile() and name.endswith(".h5") and not name.startswith(".")
        return place / name if is_volume else None

    try:
        unpack_tar(archive, target_of, progress)
    except (tarfile.TarError, lzma.LZMAError, EOFError) as error:
        raise UsageError(f"{archive} is damaged or incomplete ({error}). Download it again.") from error
    # Written last: marks the archive as unpacked, so that it can be deleted.
    files.write_text(_note(place), _identity(archive))
