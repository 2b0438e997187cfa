"""Base class for a family's `data.py`: makes prepared files from raw files, verifies them, reports missing ones.

A family declares what its prepared files depend on and how they are written; see `PreparedData`.
"""

import abc
import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from algoperf import files
from algoperf.data import locate, manifest
from algoperf.spec import UsageError, no_such
from algoperf.workload import WorkloadSpec

EVAL_SPLITS = ("eval_train", "validation", "test")
SYNTHESIS = "synthesis.json"
"""Marker in the raw folder of a mini workload: describes its content. Written last, so it means complete."""


def setup_command(spec: WorkloadSpec, folder: Path) -> str:
    """The command that fetches and prepares the data of `spec` into `folder`."""
    return locate.setup_command(spec, folder)


def parts_folder(folder: Path, file_format: int, config: Mapping[str, Any]) -> Path:
    """Folder for parts of files that are being prepared; parts of any other configuration are deleted.

    Args:
      folder: of the data.
      file_format: version of the prepared files.
      config: what they depend on.
    """
    text = json.dumps({"format": file_format, **config}, sort_keys=True)
    parts = folder / "parts" / hashlib.sha256(text.encode()).hexdigest()[:16]
    for other in (folder / "parts").glob("*"):
        if other != parts:
            shutil.rmtree(other)
    parts.mkdir(parents=True, exist_ok=True)
    return parts


def named_instance(instance: str) -> dict[str, str]:
    """What a description of synthetic files says of `WorkloadSpec.data_instance`: nothing for the public data."""
    return {"instance": instance} if instance else {}


def of_instance(spec: WorkloadSpec) -> dict[str, str]:
    """See `named_instance`."""
    return named_instance(spec.data_instance)


def num_examples(spec: WorkloadSpec) -> dict[str, int]:
    """Split -> number of examples, without 'test' where there is no such split."""
    found = {"train": spec.num_train_examples, "validation": spec.num_validation_examples}
    return found if spec.num_test_examples is None else found | {"test": spec.num_test_examples}


def num_test_examples(spec: WorkloadSpec) -> int:
    """Of a data set that has a test split."""
    assert spec.num_test_examples is not None, f"{spec.name} has no test split"
    return spec.num_test_examples


def stored_split(split: str) -> str:
    """The prepared split from which an evaluation split takes its examples.

    Raises:
      UsageError: for an unknown name.

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
    # Integer arithmetic: float spacing could repeat or skip an index by rounding.
    return np.arange(size, dtype=np.int64) * num_stored // size


def is_synthesized(raw: Path, description: dict[str, Any]) -> bool:
    """Whether `raw` holds the synthetic files of this description; see `mark_synthesized`."""
    found = files.read_json_or_none(raw / SYNTHESIS)
    return isinstance(found, dict) and found.get("text") == description


def mark_synthesized(raw: Path, description: dict[str, Any], sha256: str) -> None:
    """Writes the marker that says that `raw` is complete.

    Args:
      raw: the folder of the raw files.
      description: what identifies the content of the raw files.
      sha256: checksum of the content, for people who compare machines.
    """
    files.write_json(raw / SYNTHESIS, {"text": description, "sha256": sha256})


class PreparedData(abc.ABC):
    """Raw and prepared files of a data set, which all its workloads and variants share.

    A family derives a class, makes one object of it, and hands on its methods as the functions of `data.py`:

        DATA = WmtData()
        prepare, is_ready, verify, synthesize = DATA.prepare, DATA.is_ready, DATA.verify, DATA.synthesize
    """

    file_format: int
    """Version of the prepared files. Increase it when they change; older ones are then prepared again."""
    next_step: str | None = "To get and prepare the data"
    """Text before the command at the end of every error of `prepare`; None adds no command."""

    # ---- what a family says ------------------------------------------------------------------------------------

    @abc.abstractmethod
    def settings(self, spec: WorkloadSpec) -> dict[str, Any]:
        """Everything besides the raw files that prepared files depend on; JSON-able."""

    @abc.abstractmethod
    def describe(self, spec: WorkloadSpec) -> dict[str, Any]:
        """What identifies the synthetic raw files of a mini workload; JSON-able."""

    @abc.abstractmethod
    def make_raw(self, spec: WorkloadSpec, folder: Path, progress: bool, seed: int | None = None) -> None:
        """Writes the synthetic raw files to `folder/raw`, unless they are there.

        Args:
          spec: the workload; `describe` names its `data_instance`.
          folder: of the data.
          progress: whether to show a progress bar.
          seed: of the samples, above 0; None for those of the public data. What defines the task (labels' meaning,
            grammar, sizes) does not depend on it. A family that has no use for it leaves `RESEEDS` False.
        """

    @abc.abstractmethod
    def write(self, spec: WorkloadSpec, folder: Path, config: dict[str, Any], progress: bool) -> None:
        """Writes the prepared files and, last, the manifest with `config`; continues where an earlier call stopped."""

    def counts(self, spec: WorkloadSpec, folder: Path) -> dict[str, dict[str, int]]:
        """Split -> what is counted -> how many; the data must be complete."""
        del spec
        return self.manifest(folder)["splits"]

    # ---- what a family gets ------------------------------------------------------------------------------------

    def config(self, spec: WorkloadSpec) -> dict[str, Any]:
        """Everything that prepared files depend on, for the manifest."""
        # The description of the synthetic files belongs to it: a new version of the generator makes prepared
        # files stale.
        config = self.settings(spec)
        return config | {"synthesis": self.describe(spec)} if spec.is_mini else config

    def manifest(self, folder: Path) -> dict[str, Any]:
        """The manifest of `folder`, whose data must be complete."""
        found = manifest.read(folder)
        assert found is not None, folder
        return found

    def synthesize(
        self, spec: WorkloadSpec, folder: Path, progress: bool = True, seed: int | None = None
    ) -> None:
        """Writes the raw files of the mini workload, the same ones on every machine; nothing if they are there.

        Args:
          spec: the workload.
          folder: of the data.
          progress: whether to show a progress bar.
          seed: see `make_raw`.
        """
        if seed is None:
            self.make_raw(spec, Path(folder), progress)
        else:
            self.make_raw(spec, Path(folder), progress, seed)

    def prepare(self, spec: WorkloadSpec, folder: Path, progress: bool = True) -> None:
        """Raw files in `folder/raw` -> prepared files in `folder`; continues where an earlier call stopped.

        Raises:
          UsageError: if raw files are missing or wrong, or the disk is too full; the message ends with `next_step`.
        """
        folder = Path(folder)
        try:
            self.write(spec, folder, self.config(spec), progress)
        except UsageError as error:
            if self.next_step is None:
                raise
            # The command repeats what the user must do next, because `write` knows files only, not the
            # command line.
            raise UsageError(f"{error} {self.next_step}: {setup_command(spec, folder)}") from error

    def is_ready(self, spec: WorkloadSpec, folder: Path) -> bool:
        """Whether `folder` holds complete prepared data for `spec`; looks at names and sizes only."""
        return manifest.is_complete(Path(folder), self.config(spec), self.file_format)

    def require(self, spec: WorkloadSpec, folder: Path) -> None:
        """Raises UsageError unless the data are ready; a training part was made from data that are."""
        if folder != locate.training_part() and not self.is_ready(spec, folder):
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
