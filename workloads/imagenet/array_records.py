"""Prepared images: ArrayRecord files in the folders and the format of TFDS, written and read without TensorFlow.

    <folder>/imagenet2012/5.1.0/                        'train' and 'validation'
    <folder>/imagenet_v2/matched-frequency/3.0.0/       'test'
    <folder>/<split>_index.npy                          class and place of the JPEG bytes within each record

`tfds.data_source` can read these folders, and folders written by TFDS itself (`file_format='array_record'`) can be
used. Only preparation imports `tensorflow_datasets`; a training run needs `array_record` and the index.
"""

import bisect
import contextlib
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from algoperf import files
from algoperf.data.tfds_module import tfds_quietly
from algoperf.spec import UsageError

SPLITS = ("train", "validation", "test")
DATASETS = {"imagenet2012": ("train", "validation"), "imagenet_v2": ("test",)}
FOLDERS = {"imagenet2012": "imagenet2012/5.1.0", "imagenet_v2": "imagenet_v2/matched-frequency/3.0.0"}
DATASET_OF_SPLIT = {split: dataset for dataset, splits in DATASETS.items() for split in splits}

INDEX_DTYPE = np.dtype([("label", "<i4"), ("start", "<i4"), ("size", "<i4")])
"""Class of an image; offset and size in bytes of its JPEG file within the record."""
# One record per chunk, so that random access reads nothing else. Uncompressed, because JPEG files do not shrink.
WRITER_OPTIONS = "group_size:1,uncompressed"
# No read-ahead and no threads: positions are random, and the pipeline has threads of its own.
READER_OPTIONS = "readahead_buffer_size:0,max_parallelism:0"
CACHE_BYTES = 1 << 26  # Splits up to this size are kept in memory after the first read.


def dataset_folder(folder: Path, dataset: str) -> Path:
    return folder / FOLDERS[dataset]


def metadata_path(folder: Path, dataset: str) -> Path:
    """The file that tells the splits of a data set and their shards."""
    return dataset_folder(folder, dataset) / "dataset_info.json"


def shard_name(split: str, shard: int, num_shards: int) -> str:
    """The file name of a shard, as TFDS forms it."""
    return f"{DATASET_OF_SPLIT[split]}-{split}.array_record-{shard:05d}-of-{num_shards:05d}"


# ---- writing ---------------------------------------------------------------------------------------------------------


def write_shard(path: Path, examples: Iterable[tuple[str, bytes, int]]) -> None:
    """Writes (file name, JPEG file, class) as records, atomically."""
    from array_record.python import array_record_module

    with tfds_quietly():
        from tensorflow_datasets.proto import tf_example_pb2
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as temporary:
        writer = array_record_module.ArrayRecordWriter(os.fspath(temporary), WRITER_OPTIONS)
        with contextlib.closing(writer):
            for name, content, label in examples:
                example = tf_example_pb2.Example()
                example.features.feature["image"].bytes_list.value.append(content)
                example.features.feature["label"].int64_list.value.append(label)
                example.features.feature["file_name"].bytes_list.value.append(name.encode())
                # Deterministic, so that preparing the same archives twice gives the same checksums.
                writer.write(example.SerializeToString(deterministic=True))


def write_metadata(
    folder: Path,
    dataset: str,
    class_names: list[str],
    shards: dict[str, list[int]],
    num_bytes: dict[str, int],
) -> None:
    """Writes the metadata with which TFDS can read the shards of a data set.

    Args:
      folder: the data folder.
      dataset: 'imagenet2012' or 'imagenet_v2'.
      class_names: WordNet ids in the order of the classes.
      shards: split -> examples in each shard.
      num_bytes: split -> bytes of all records.
    """
    with tfds_quietly() as tfds:
        features = {
            "image": tfds.features.Image(encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(names=class_names),
            "file_name": tfds.features.Text(),
        }
        splits = [
            tfds.core.SplitInfo(name=split, shard_lengths=shards[split], num_bytes=num_bytes[split])
            for split in DATASETS[dataset]
        ]
        place = dataset_folder(folder, dataset)
        tfds.folder_dataset.write_metadata(
            data_dir=place, features=features, split_infos=splits, version=place.name, check_data=False
        )


def read_metadata(folder: Path, dataset: str) -> dict[str, list[tuple[Path, int]]] | None:
    """Split -> path and number of examples of each shard; None if the data set is not there.

    Raises:
      UsageError: if its format is not ArrayRecord, or a split is missing.
    """
    path = metadata_path(folder, dataset)
    if not path.is_file():
        return None
    info = files.read_json(path)
    if info.get("fileFormat") != "array_record":
        raise UsageError(
            f"{path.parent} is in the format {info.get('fileFormat', 'tfrecord')!r}; only ArrayRecord can be read. "
            "Let TFDS write it again with file_format='array_record', or move it away to prepare it from the archives."
        )
    found = {}
    for split in info["splits"]:
        lengths = [int(length) for length in split.get("shardLengths", [])]
        if split["name"] in DATASETS[dataset]:
            found[split["name"]] = [
                (path.parent / shard_name(split["name"], shard, len(lengths)), length)
                for shard, length in enumerate(lengths)
            ]
    for split in DATASETS[dataset]:
        if split not in found:
            raise UsageError(
                f"{path.parent} has no split {split!r}, only {', '.join(sorted(found)) or 'none'}."
            )
    return found


# ---- reading ---------------------------------------------------------------------------------------------------------


def index_shard(path: Path) -> np.ndarray:
    """The index of one shard, (records,) of INDEX_DTYPE; reads the whole shard.

    Raises:
      UsageError: if the file cannot be read or its records are no image examples.
    """
    with tfds_quietly():
        from tensorflow_datasets.proto import tf_example_pb2
    found = []
    for position, record in enumerate(_records_of(path)):
        feature = tf_example_pb2.Example.FromString(record).features.feature
        try:
            (content,) = feature["image"].bytes_list.value
            (label,) = feature["label"].int64_list.value
        except ValueError as error:
            raise UsageError(f"Record {position} of {path} is no image with a class.") from error
        # The offset lets training read the JPEG bytes without parsing the protocol buffer.
        found.append((label, record.index(content), len(content)))
    return np.array(found, INDEX_DTYPE)


def _records_of(path: Path) -> Iterator[bytes]:
    reader = open_reader(path)
    try:
        for position in range(reader.num_records()):
            yield reader.read([position])[0]
    finally:
        reader.close()


def open_reader(path: Path) -> Any:
    from array_record.python import array_record_module

    try:
        return array_record_module.ArrayRecordReader(os.fspath(path), READER_OPTIONS)
    except (RuntimeError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({error}). Delete it and prepare the data again.") from error


class Records:
    """The images of one split by position; threads may share it.

    Args:
      shards: path and number of records of each shard, in order.
      index: (images,) of INDEX_DTYPE.
    """

    def __init__(self, shards: list[tuple[Path, int]], index: np.ndarray):
        self._paths = [path for path, _ in shards]
        self._ends = np.cumsum([length for _, length in shards]).tolist()
        self._places, self._sizes = index["start"], index["size"]
        self.labels = np.ascontiguousarray(index["label"])
        self._readers: list[Any] = [None] * len(shards)
        self._lock = threading.Lock()
        is_small = int(self._sizes.sum(dtype=np.int64)) <= CACHE_BYTES
        self._cache: dict[int, memoryview] | None = {} if is_small else None
        _allow_open_files(len(shards))

    def __len__(self) -> int:
        return len(self.labels)

    def jpeg(self, index: int) -> memoryview:
        """The bytes of one JPEG file."""
        if self._cache is None:
            return self._read(index)
        content = self._cache.get(index)
        if content is None:
            content = self._cache[index] = self._read(index)
        return content

    def _read(self, index: int) -> memoryview:
        shard = bisect.bisect_right(self._ends, index)
        reader = self._readers[shard] or self._open(shard)
        position = index - (self._ends[shard - 1] if shard else 0)
        (record,) = reader.read([position])
        start = int(self._places[index])
        return memoryview(record)[start : start + int(self._sizes[index])]

    def _open(self, shard: int) -> Any:
        with self._lock:
            if self._readers[shard] is None:
                self._readers[shard] = open_reader(self._paths[shard])
            return self._readers[shard]


def _allow_open_files(num_files: int) -> None:
    """Raises the limit on open files if necessary: readers of all shards stay open."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = num_files + 512  # 512 for the other files of the process.
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
