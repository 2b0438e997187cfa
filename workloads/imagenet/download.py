"""Downloads ImageNet-v2; prints the steps for the ILSVRC 2012 archives, which need an account."""

from pathlib import Path

from algoperf.data.download import Archive, fetch, require_disk
from algoperf.spec import UsageError
from algoperf.workload import WorkloadSpec
from workloads.imagenet import array_records, sources

# Sizes and checksums as TensorFlow Datasets 4.9 records them (imagenet2012 5.1.0, imagenet_v2 3.0.0).
IMAGENET_V2 = Archive(
    "https://huggingface.co/datasets/vaishaal/ImageNetV2/resolve/main/imagenetv2-matched-frequency.tar.gz",
    1_264_079_360,
    "f0c37fdf925916b19ea1323cd9a2208cdb6959ba2c32eef2a7fc393835c9ca7c",
)
ILSVRC_BYTES = {"train": 147_897_477_120, "validation": 6_744_924_160}
ILSVRC_SHA256 = {
    "train": "b08200a27a8e34218a0e58fde36b0fe8f73bc377f4acea2d91602057c3ca45bb",
    "validation": "c7e06a6c0baccf06d8dbeb6577d71efff84673a5dbdd50633ab44f8ea0456ae0",
}
SPLITS_BY_HAND = tuple(ILSVRC_BYTES)


def download(spec: WorkloadSpec, folder: Path, progress: bool = True) -> None:
    """Downloads to `folder/raw` what needs no account; continues where an earlier call stopped.

    Raises:
      UsageError: if the ILSVRC 2012 archives are missing (lists the steps), if the size of one differs from the
        published one, or if the disk is too full for the download and all prepared files.
    """
    del spec
    folder = Path(folder)
    raw = folder / "raw"
    has_ilsvrc = array_records.read_metadata(folder, "imagenet2012") is not None
    has_v2 = array_records.read_metadata(folder, "imagenet_v2") is not None
    missing = []
    if not has_ilsvrc:
        missing = [split for split in SPLITS_BY_HAND if not (raw / sources.ARCHIVES[split]).is_file()]
    if missing:
        raw.mkdir(parents=True, exist_ok=True)
        raise UsageError(_steps(raw, missing))
    archive = raw / sources.ARCHIVES["test"]
    # Archive and prepared shards have about the same size, since JPEG files do not compress.
    needed = 0 if has_v2 else 2 * IMAGENET_V2.num_bytes - _bytes_there(archive)
    if not has_ilsvrc:
        for split in SPLITS_BY_HAND:
            _check_size(raw / sources.ARCHIVES[split], ILSVRC_BYTES[split], ILSVRC_SHA256[split])
        prepared = array_records.dataset_folder(folder, "imagenet2012").glob("imagenet2012-*")
        needed += sum(ILSVRC_BYTES.values()) - sum(path.stat().st_size for path in prepared)
    require_disk(folder, max(needed, 0))
    if not has_v2:
        fetch(IMAGENET_V2, archive, progress)


def _bytes_there(archive: Path) -> int:
    partial = archive.with_name(f"{archive.name}.part")
    return sum(path.stat().st_size for path in (archive, partial) if path.is_file())


def _check_size(path: Path, expected: int, sha256: str) -> None:
    size = path.stat().st_size
    if size != expected:
        raise UsageError(
            f"{path} has {size:,} bytes; the published archive has {expected:,} (SHA-256 {sha256}). "
            "Put a complete copy there."
        )


def _steps(raw: Path, missing: list[str]) -> str:
    names = " and ".join(sources.ARCHIVES[split] for split in missing)
    size = sum(ILSVRC_BYTES[split] for split in missing) / 1e9
    return (
        f"ImageNet (ILSVRC 2012) cannot be downloaded without an account; missing: {names}. "
        "Do this: (1) register at https://image-net.org/signup.php and accept the terms of access; "
        "(2) at https://image-net.org/challenges/LSVRC/2012/2012-downloads.php download 'Training images (Task 1 & 2)' "
        f"and 'Validation images (all tasks)', of what is missing {size:.0f} GB; "
        f"(3) put the files, still packed, into {raw}; (4) run the same command again. "
        "Or put a folder imagenet2012/5.1.0 that TFDS prepared with file_format='array_record' "
        f"into {raw.parent}."
    )
