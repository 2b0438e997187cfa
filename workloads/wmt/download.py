"""Fetches the real WMT corpora and writes them in TFDS's format, without TensorFlow.

TFDS provides addresses, checksums and parsers, gives each sentence its key and sorts by it. Only fetching and
unpacking are done here, because TFDS needs TensorFlow for them: they continue after an interruption and keep only
German and English. WMT14 gives the validation and test splits, WMT17 the training split.
"""

import dataclasses
import os
import shutil
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from algoperf import files
from algoperf.data.download import CHUNK_BYTES, Archive, fetch, require_disk
from algoperf.data.tfds_module import tfds_quietly
from algoperf.spec import UsageError
from algoperf.workload import WorkloadSpec
from workloads.wmt import corpus
from workloads.wmt.corpus import Pair

# Archives 2.0 GB; their German-English texts 1.8 GB; ArrayRecord files 1.9 GB and once more while they are sorted;
# token arrays 1.6 GB (estimates from sizes that TFDS states). The first two are deleted at the end.
DISK_BYTES = 12_000_000_000


@dataclasses.dataclass(frozen=True)
class Subset:
    """One parallel corpus inside an archive, as TFDS names it ('europarl_v7')."""

    name: str
    archive: Archive
    members: tuple[str, ...]
    """Paths inside the archive: German, English."""


def download(spec: WorkloadSpec, folder: Path, progress: bool = True) -> None:
    """Fills `folder/raw` with the data sets that `prepare` reads; continues where an earlier call stopped."""
    del spec
    raw, downloads = Path(folder) / "raw", Path(folder) / "downloads"
    missing: dict[str, list[str]] = {}
    for split, dataset in corpus.DATASET_OF_SPLIT.items():
        if not (corpus.dataset_folder(raw, dataset) / "dataset_info.json").is_file():
            missing.setdefault(dataset, []).append(split)
    if missing:
        done = sum(path.stat().st_size for path in downloads.rglob("*") if path.is_file())
        require_disk(raw.parent, max(DISK_BYTES - done, 0))
    for dataset, splits in missing.items():
        subsets = {split: subsets_of(dataset, split) for split in splits}
        for archive in dict.fromkeys(subset.archive for found in subsets.values() for subset in found):
            fetch(archive, downloads / archive.file_name, progress)
        for subset in (subset for found in subsets.values() for subset in found):
            unpack(subset, downloads, progress)
        examples = {split: _examples(found, downloads) for split, found in subsets.items()}
        corpus.write_dataset(raw, dataset, examples, progress=progress)
    shutil.rmtree(downloads, ignore_errors=True)


def subsets_of(dataset: str, split: str) -> list[Subset]:
    """The corpora that TFDS joins into one split."""
    with tfds_quietly() as tfds:
        from tensorflow_datasets.translate import wmt

        builder = tfds.builder_cls(dataset)
        table = tfds.core.utils.tfds_path() / "url_checksums" / f"{dataset}.txt"
        checksums = tfds.core.download.checksums.load_url_infos(table)
        language = corpus.CONFIG.split("-")[0]
        found = []
        # The property does not use `self`; calling its getter avoids creating a builder. `_subsets` is
        # private, but TFDS's list of corpora stands nowhere else.
        for name in builder._subsets.fget(None)[split]:
            subset = wmt.DATASET_MAP[name]
            if subset.target != "en" or language not in subset.sources:
                continue
            (url,) = subset.get_url(language)
            archive = Archive(url, int(checksums[url].size), checksums[url].checksum)
            found.append(Subset(name, archive, tuple(subset.get_path(language))))
        return found


def _examples(subsets: list[Subset], downloads: Path) -> Callable[[Any], Iterable[tuple[Any, Pair]]]:
    """Keys and pairs from TFDS's own parser, which leaves out pairs with an empty side."""

    def make(builder: Any) -> Iterator[tuple[Any, Pair]]:
        folders = {subset.name: [os.fspath(_folder_of(subset, downloads))] for subset in subsets}
        for key, example in builder._generate_examples(list(folders), folders):
            yield key, (example["de"], example["en"])

    return make


# ---- unpacking -------------------------------------------------------------------------------------------------


def _folder_of(subset: Subset, downloads: Path) -> Path:
    return downloads / "texts" / subset.name


def unpack(subset: Subset, downloads: Path, progress: bool = True) -> None:
    """Extracts the two texts of a subset from its archive and ignores all other files."""
    folder = _folder_of(subset, downloads)
    if folder.is_dir():
        return
    wanted = set(subset.members)
    with files.replacing(folder) as unfinished, tarfile.open(downloads / subset.archive.file_name) as archive:
        bar = tqdm(archive, desc=f"unpack {subset.name}", unit="file", disable=not progress)
        for member in bar:
            name = os.path.normpath(member.name)
            if name in wanted:
                target = unfinished / name
                target.parent.mkdir(parents=True, exist_ok=True)
                source = archive.extractfile(member)
                assert source is not None  # Corpora are regular files.
                with source, target.open("wb") as file:
                    shutil.copyfileobj(source, file, CHUNK_BYTES)
                wanted.remove(name)
            # Members can only be found by reading the archive from the start, so stop as early as possible.
            if not wanted:
                break
        if wanted:
            raise UsageError(
                f"{subset.archive.file_name} lacks {', '.join(sorted(wanted))}; delete it and try again."
            )
