"""What the `data.py` of a family inherits: raw files -> prepared files, made once, checked, and missed in one line.

A family says what its prepared files depend on and how they are written; see `PreparedData`.
"""

import abc
from pathlib import Path
from typing import Any

import numpy as np

from algoperf import files
from algoperf.data import locate, manifest
from algoperf.spec import UsageError, no_such
from algoperf.workload import WorkloadSpec

EVAL_SPLITS = ("eval_train", "validation", "test")
SYNTHESIS = "synthesis.json"
"""In the raw folder of a mini workload: what its content was made of. Written last, so that it stands for all of it."""


def setup_command(spec: WorkloadSpec, folder: Path) -> str:
    """The command that fetches and prepares the data of `spec` into `folder`."""
    return f"python datasets/dataset_setup.py --dataset={locate.folder_name(spec)} --data_dir={folder.parent}"


def num_examples(spec: WorkloadSpec) -> dict[str, int]:
    """Split -> its number of examples."""
    return {
        "train": spec.num_train_examples,
        "validation": spec.num_validation_examples,
        "test": spec.num_test_examples,
    }


def stored_split(split: str) -> str:
    """The prepared split that has the examples of an evaluation split.

    Raises:
      UsageError: for another name.

    >>> stored_split("eval_train"), stored_split("test")
    ('train', 'test')
    """
    if split not in EVAL_SPLITS:
        raise no_such("evaluation split", split, EVAL_SPLITS)
    return "train" if split == "eval_train" else split


def eval_indices(spec: WorkloadSpec, split: str, num_stored: int) -> np.ndarray:
    """(size,) int64, ascending: which of the `num_stored` examples of `stored_split(split)` are evaluated.

    All of them, but of 'eval_train' only as many as the spec says, evenly spaced.
    """
    size = min(spec.num_eval_train_examples, num_stored) if split == "eval_train" else num_stored
    return np.arange(size, dtype=np.int64) * num_stored // size


def is_synthesized(raw: Path, description: dict[str, Any]) -> bool:
    """Whether `raw` holds the synthetic files of this description; see `mark_synthesized`."""
    found = files.read_json_or_none(raw / SYNTHESIS)
    return isinstance(found, dict) and found.get("text") == description


def mark_synthesized(raw: Path, description: dict[str, Any], sha256: str) -> None:
    """Writes down that `raw` is complete.

    Args:
      raw: folder of the raw files.
      description: what identifies their content.
      sha256: of the content, for people who compare machines.
    """
    files.write_json(raw / SYNTHESIS, {"text": description, "sha256": sha256})


class PreparedData(abc.ABC):
    """Raw and prepared files of a data set, which all its workloads and variants share.

    A family derives a class, makes one object of it, and hands on its methods as the functions of `data.py`:

        DATA = WmtData()
        prepare, is_ready, verify, synthesize = DATA.prepare, DATA.is_ready, DATA.verify, DATA.synthesize
    """

    file_format: int
    """Raised when prepared files change: older ones are then prepared again."""
    next_step: str | None = "To get and prepare the data"
    """Stands before the command that an error of `prepare` ends with; None where the messages need none."""

    # ---- what a family says ------------------------------------------------------------------------------------

    @abc.abstractmethod
    def settings(self, spec: WorkloadSpec) -> dict[str, Any]:
        """All that prepared files depend on, JSON-able, besides the raw files."""

    @abc.abstractmethod
    def describe(self, spec: WorkloadSpec) -> dict[str, Any]:
        """What identifies the synthetic raw files of a mini workload, JSON-able."""

    @abc.abstractmethod
    def make_raw(self, spec: WorkloadSpec, folder: Path, progress: bool) -> None:
        """Writes these files to `folder/raw`, unless they are there."""

    @abc.abstractmethod
    def write(self, spec: WorkloadSpec, folder: Path, config: dict[str, Any], progress: bool) -> None:
        """Writes the prepared files and, last, the manifest with `config`; continues where an earlier call stopped."""

    def counts(self, spec: WorkloadSpec, folder: Path) -> dict[str, dict[str, int]]:
        """Split -> what is counted -> how many; of complete data."""
        del spec
        return self.manifest(folder)["splits"]

    # ---- what a family gets ------------------------------------------------------------------------------------

    def config(self, spec: WorkloadSpec) -> dict[str, Any]:
        """All that prepared files depend on."""
        config = self.settings(spec)
        return config | {"synthesis": self.describe(spec)} if spec.is_mini else config

    def manifest(self, folder: Path) -> dict[str, Any]:
        """Of complete data."""
        found = manifest.read(folder)
        assert found is not None, folder
        return found

    def synthesize(self, spec: WorkloadSpec, folder: Path, progress: bool = True) -> None:
        """Writes the raw files of the mini workload, the same ones on every machine; nothing if they are there."""
        self.make_raw(spec, Path(folder), progress)

    def prepare(self, spec: WorkloadSpec, folder: Path, progress: bool = True) -> None:
        """Raw files in `folder/raw` -> prepared files in `folder`; continues where an earlier call stopped.

        Raises:
          UsageError: if raw files are missing or wrong, or the disk is too full; ends with the command to run then.
        """
        folder = Path(folder)
        try:
            self.write(spec, folder, self.config(spec), progress)
        except UsageError as error:
            if self.next_step is None:
                raise
            raise UsageError(f"{error} {self.next_step}: {setup_command(spec, folder)}") from error

    def is_ready(self, spec: WorkloadSpec, folder: Path) -> bool:
        """Whether `folder` holds complete prepared data for `spec`; looks at names and sizes only."""
        return manifest.is_complete(Path(folder), self.config(spec), self.file_format)

    def require(self, spec: WorkloadSpec, folder: Path) -> None:
        """Raises UsageError unless the data are ready."""
        if not self.is_ready(spec, folder):
            raise UsageError(
                f"No prepared data for {spec.name!r} in {folder}. Prepare them: {setup_command(spec, folder)}"
            )

    def verify(self, spec: WorkloadSpec, folder: Path, progress: bool = True) -> dict[str, dict[str, int]]:
        """Reads every prepared file and compares checksums; returns split -> counts.

        Raises:
          UsageError: if data are missing or damaged.
        """
        folder = Path(folder)
        self.require(spec, folder)
        damaged = manifest.damaged_files(folder, progress)
        if damaged:
            names = ", ".join(damaged)
            raise UsageError(
                f"Damaged in {folder}: {names}. Delete them, then: {setup_command(spec, folder)}"
            )
        return self.counts(spec, folder)
