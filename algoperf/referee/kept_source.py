"""A copy of a submission's files beside the results of a refereed run, for those who read what has run (R12.3).

    <submission>/study_<s>/source/<digest>/files.json                          which is which
    <submission>/study_<s>/source/<digest>/own/<folder of the submission>/…    its folder
    <submission>/study_<s>/source/<digest>/project/…                           files of the project that it imports

The digest is that of the trial's identity (`submission_source`), so that trials of one source share a copy. What is
imported from a folder above the submission's lies above it here, too.
"""

import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from algoperf import files, records, source_digest, submission_files, submission_info, typed_json
from algoperf import submission as submissions
from algoperf.submission_import import PROJECT

OWN, OF_PROJECT, ABOVE = "own", "project", "above"
INDEX = "files.json"
BESIDE = (submission_info.FILE, submission_files.SEARCH_SPACES)


class KeptSource:
    """The files of a submission, read before it is imported.

    Args:
      file: of the submission, its path from the root.
    """

    def __init__(self, file: Path):
        found = submission_files.files_of(file, submissions.has_own_folder(file)).paths
        self.digest = source_digest.combined(source_digest.of_files(found))
        folder = file.parent
        up = max((name.count("../") for name in found), default=0)
        own = PurePosixPath(OWN, *([ABOVE] * up), folder.name or "submission")
        self._main = str(own / file.name)
        self._places: dict[str, str] = {}
        self._contents: dict[str, bytes] = {}
        for name, path in found.items():
            if folder in path.parents:
                place = own / name
            elif PROJECT in path.parents:
                place = PurePosixPath(OF_PROJECT, name)
            else:
                place = own.parents[name.count("../") - 1] / name.replace("../", "")
            self._places[name] = str(place)
            self._contents[str(place)] = files.read_regular(path)
        if submissions.has_own_folder(file):  # No part of the method, and read with it.
            for pattern in BESIDE:
                for path in folder.glob(pattern):
                    self._contents.setdefault(str(own / path.name), files.read_regular(path))

    def write(self, study: Path) -> None:
        """Writes the copy into the folder of a study, where it is not there yet; other trials may do so meanwhile."""
        folder = study / records.SOURCE / self.digest
        if folder.exists():
            return
        half = folder.with_name(f".{self.digest}.{secrets.token_hex(4)}.tmp")
        with files.storage_errors(folder):
            try:
                for place, content in self._contents.items():
                    path = half / place
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
                files.write_json(half / INDEX, {"main": self._main, "files": self._places})
                os.rename(half, folder)
            except OSError:
                shutil.rmtree(half, ignore_errors=True)
                if not folder.exists():  # Else another trial was faster.
                    raise


@dataclass(frozen=True)
class Index:
    """What a copy holds."""

    main: Path
    """The file of the submission."""
    files: dict[str, Path]
    """By the names of `submission_files.SubmissionFiles`."""


def read_index(folder: Path) -> Index:
    """What a copy holds; anybody may have written it.

    Raises:
      OSError, ValueError: if it is damaged, or names a file elsewhere.
    """
    content = typed_json.value_of(dict[str, Any], files.read_json(folder / INDEX))
    places = typed_json.value_of(dict[str, str], content.get("files"), "files")
    main = typed_json.value_of(str, content.get("main"), "main")
    return Index(_inside(folder, main), {name: _inside(folder, place) for name, place in places.items()})


def _inside(folder: Path, place: str) -> Path:
    path = (folder / place).resolve()
    if folder.resolve() not in path.parents or not path.is_file():
        raise ValueError(f"{INDEX} names {place!r}, which is no file of the copy")
    return path
