"""Downloads LibriSpeech from OpenSLR and unpacks it: resumable, verified by checksum, one subset at a time.

Sizes and SHA-256 are those of TensorFlow Datasets 4.9.10 (`datasets/librispeech/checksums.tsv`); OpenSLR itself
publishes MD5 sums, in https://www.openslr.org/resources/12/md5sum.txt.
"""

import functools
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from algoperf.data.download import Archive, fetch, require_disk, unpack_tar
from algoperf.spec import UsageError
from algoperf.workload import WorkloadSpec
from workloads.librispeech import corpus

_BASE = "https://www.openslr.org/resources/12"
_TABLE = {
    "train-clean-100": (
        6_387_309_499,
        "d4ddd1d5a6ab303066f14971d768ee43278a5f2a0aa43dc716b0e64ecbbbf6e2",
    ),
    "train-clean-360": (
        23_049_477_885,
        "146a56496217e96c14334a160df97fffedd6e0a04e66b9c5af0d40be3c792ecf",
    ),
    "train-other-500": (
        30_593_501_606,
        "ddb22f27f96ec163645d53215559df6aa36515f26e01dd70798188350adcb6d2",
    ),
    "dev-clean": (337_926_286, "76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3"),
    "dev-other": (314_305_928, "12661c48e8c3fe1de2c1caa4c3e135193bfb1811584f11f569dd12645aa84365"),
    "test-clean": (346_663_984, "39fde525e59672dc6d1551919b1478f724438a95aa55f874b576be21967e6c23"),
}

ARCHIVES = {
    subset: Archive(f"{_BASE}/{subset}.tar.gz", num_bytes, sha256)
    for subset, (num_bytes, sha256) in _TABLE.items()
}

PREPARED_BYTES = 113_000_000_000
"""Upper bound: 977 hours of 16-bit samples at 16 kHz, some of which are dropped."""


def download(spec: WorkloadSpec, folder: Path, progress: bool = True) -> None:
    """Fills `folder/raw/LibriSpeech`. Complete subsets are skipped; archives are deleted after unpacking.

    Raises:
      UsageError: if the server cannot be reached, an archive is damaged, or the disk is too full.
    """
    del spec
    raw, downloads = Path(folder) / "raw", Path(folder) / "downloads"
    raw.mkdir(parents=True, exist_ok=True)
    missing = [subset for subset in corpus.SUBSETS if not is_unpacked(raw, subset)]
    if missing:
        # FLAC files do not compress, so a subset takes as much space as its archive. Only one archive exists at a
        # time.
        sizes = [ARCHIVES[subset].num_bytes for subset in missing]
        done = sum(path.stat().st_size for path in downloads.glob("*") if path.is_file())
        done += sum(_bytes_in(corpus.subset_folder(raw, subset)) for subset in missing)
        require_disk(raw, max(sum(sizes) + max(sizes) + PREPARED_BYTES - done, 0))
    for subset in missing:
        archive = downloads / ARCHIVES[subset].file_name
        fetch(ARCHIVES[subset], archive, progress)
        unpack(archive, raw, subset, progress)
        archive.unlink()
    shutil.rmtree(downloads, ignore_errors=True)


def is_unpacked(raw: Path, subset: str) -> bool:
    """Whether all utterances of a subset are there, with recordings and transcripts."""
    try:
        corpus.read_subset(raw, subset, corpus.OFFICIAL_COUNTS[subset])
    except UsageError:
        return False
    return True


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def unpack(archive: Path, raw: Path, subset: str, progress: bool = True) -> None:
    """Writes the recordings and transcripts of an archive, each atomically.

    Skips files that an earlier, interrupted call has already written.

    Raises:
      UsageError: if the archive is damaged or ends early.
    """
    try:
        unpack_tar(archive, functools.partial(_target, raw, subset), progress)
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise UsageError(
            f"Cannot unpack {archive} ({error}). If it is damaged, delete it and try again."
        ) from error


def _target(raw: Path, subset: str, member: tarfile.TarInfo) -> Path | None:
    """The path for a member of an archive; None if it is no recording or transcript of the subset."""
    parts = PurePosixPath(member.name).parts
    is_wanted = (
        member.isfile()
        and len(parts) == 5
        and parts[:2] == (corpus.ROOT, subset)
        # No member may be written outside the folder.
        and ".." not in parts
        and not parts[-1].startswith(".")
        and parts[-1].endswith((".flac", ".trans.txt"))
    )
    return raw.joinpath(*parts) if is_wanted else None
