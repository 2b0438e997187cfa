"""Reads and writes raw sentence pairs in TFDS folders with ArrayRecord files, without TensorFlow.

    <folder>/raw/wmt17_translate/de-en/1.0.0/    'train'
    <folder>/raw/wmt14_translate/de-en/1.0.0/    'validation' (newstest2013) and 'test' (newstest2014)

`tensorflow_datasets` and `array_record` are imported inside the functions that need them: training only reads
prepared files.
"""

import functools
import importlib
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from algoperf import files
from algoperf.data.tfds_module import tfds_quietly
from algoperf.spec import UsageError

Pair = tuple[str, str]
"""A German sentence and its English translation."""

# Our split -> the TFDS data set that holds it.
DATASET_OF_SPLIT = {"train": "wmt17_translate", "validation": "wmt14_translate", "test": "wmt14_translate"}
CONFIG, VERSION = "de-en", "1.0.0"

# TFDS reads up to 16 shards in turn, 16 examples from each. AlgoPerf trains its vocabulary on the first 10 MB of
# text in this order, so it must be reproduced.
SHARDS_IN_TURN = EXAMPLES_PER_TURN = 16


def dataset_folder(raw: Path, dataset: str) -> Path:
    return raw / dataset / CONFIG / VERSION


class RawSplit:
    """The pairs of one split, indexed in the order in which TFDS reads them without shuffling.

    Raises:
      UsageError: if the files are missing, unreadable or in another format than ArrayRecord.
    """

    def __init__(self, raw: Path, split: str):
        dataset = DATASET_OF_SPLIT[split]
        folder = dataset_folder(raw, dataset)
        if not (folder / "dataset_info.json").is_file():
            raise UsageError(f"No raw WMT data ({dataset}) in {folder}.")
        with tfds_quietly() as tfds:
            builder = tfds.builder_from_directory(folder)
            if split not in builder.info.splits:
                raise UsageError(f"{folder} has no split {split!r}, only {sorted(builder.info.splits)}.")
            try:  # Raw bytes, decoded below: TFDS's own decoding takes five times as long.
                self._source = builder.as_data_source(
                    split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES
                )
            except NotImplementedError as error:
                raise UsageError(
                    f"{folder} is not in ArrayRecord format (file_format='array_record')."
                ) from error
        info = builder.info.splits[split]
        self.num_bytes = int(info.num_bytes)
        self._order = reading_order(info.shard_lengths)

    def __len__(self) -> int:
        return len(self._order)

    def pairs(self, start: int = 0, stop: int | None = None) -> Iterator[Pair]:
        """Pairs `start` to `stop` in reading order, without those that have an empty side."""
        from tensorflow_datasets.proto import tf_example_pb2

        order = self._order[start:stop]
        # About 1,024 records per request: one request per record would cost more than parsing it.
        for block in np.array_split(order, len(order) // 1024 + 1):
            for record in self._source.__getitems__(block.tolist()):
                feature = tf_example_pb2.Example.FromString(record).features.feature
                german, english = (feature[side].bytes_list.value[0].decode() for side in ("de", "en"))
                if german and english:
                    yield german, english


def reading_order(shard_lengths: Iterable[int]) -> np.ndarray:
    """Positions in the concatenated shards, in the order of TFDS's unshuffled read.

    >>> reading_order([20, 3]).tolist()[14:21]
    [14, 15, 20, 21, 22, 16, 17]
    """
    lengths = np.asarray(list(shard_lengths), np.int64)
    if len(lengths) > SHARDS_IN_TURN:
        raise UsageError(
            f"WMT data in more than {SHARDS_IN_TURN} shards ({len(lengths)}) cannot be put in TFDS's order."
        )
    shard = np.repeat(np.arange(len(lengths)), lengths)
    starts = np.cumsum(lengths) - lengths
    turn = (np.arange(lengths.sum()) - starts[shard]) // EXAMPLES_PER_TURN
    # By turn, then shard; stable, so examples keep their order within a turn.
    return np.lexsort((shard, turn))


def write_dataset(
    raw: Path,
    dataset: str,
    examples: Mapping[str, Callable[[Any], Iterable[tuple[Any, Pair]]]],
    num_shards: int | None = None,
    progress: bool = True,
) -> None:
    """Writes a TFDS data set with TFDS's own builder, as if it had downloaded the sentences itself.

    Args:
      raw: the root of the raw data.
      dataset: 'wmt17_translate' or 'wmt14_translate'.
      examples: split -> function that takes the builder and yields (key, pair); TFDS sorts by a hash of the key.
      num_shards: files per split; by default TFDS chooses by size.
      progress: whether TFDS shows its progress bars.
    """

    def as_tfds(
        builder: Any, make: Callable[[Any], Iterable[tuple[Any, Pair]]]
    ) -> Iterator[tuple[Any, dict]]:
        for key, (german, english) in make(builder):
            yield key, {"de": german, "en": english}

    def split_generators(self: Any, manager: Any) -> dict[str, Iterator]:
        del manager
        return {split: as_tfds(self, make) for split, make in examples.items()}

    with tfds_quietly(progress) as tfds:
        # TFDS leaves these folders behind when it is interrupted, and starts from the beginning.
        for unfinished in dataset_folder(raw, dataset).parent.glob("incomplete.*"):
            shutil.rmtree(unfinished)
        builder = _builder_class(dataset, split_generators)(
            config=CONFIG, data_dir=raw, file_format="array_record"
        )
        config = tfds.download.DownloadConfig(num_shards=num_shards, try_download_gcs=False)
        with files.storage_errors(dataset_folder(raw, dataset)):
            builder.download_and_prepare(download_dir=raw / "tfds_downloads", download_config=config)
    shutil.rmtree(raw / "tfds_downloads", ignore_errors=True)


def _builder_class(dataset: str, split_generators: Callable[[Any, Any], dict[str, Iterator]]) -> type:
    """TFDS's builder class without its download step, because TFDS's extractor needs TensorFlow."""
    from tensorflow_datasets.core import registered

    module = importlib.import_module(f"tensorflow_datasets.translate.{dataset.removesuffix('_translate')}")
    base = getattr(module, f"{dataset.removesuffix('_translate').capitalize()}Translate")
    members = {
        "__module__": base.__module__,
        "_split_generators": split_generators,
        "code_path": None,  # TFDS would look for checksums of downloads there.
    }
    # TFDS's registry refuses a second class of the same name.
    with registered.skip_registration():
        return type(base.__name__, (base,), members)


@functools.lru_cache(maxsize=4)
def open_split(raw: Path, split: str) -> RawSplit:
    """A cached `RawSplit`: a worker process reads many ranges of one split."""
    return RawSplit(raw, split)
