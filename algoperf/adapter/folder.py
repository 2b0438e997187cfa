"""Writes the folder of a submission: whole or not at all, the same content in the same place."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from algoperf import files, submission_files, submission_info
from algoperf.adapter import text
from algoperf.adapter.call import Call
from algoperf.adapter.plan import Plan
from algoperf.spec import UsageError

SOURCE = "submission.py"
SPACE = "tuning_search_space.json"
MAX_NAME = 60
"""Characters of a name that lists its settings; longer ones have a hash instead."""


def contents(plan: Plan, settings: Mapping[str, Any]) -> dict[str, bytes]:
    """File name -> content."""
    found = {
        SOURCE: text.of(plan).encode(),
        SPACE: (json.dumps(plan.space, indent=2) + "\n").encode(),
        submission_info.FILE: _info(plan, settings).encode(),
    }
    return found | _own_files(plan.call)


def _own_files(call: Call) -> dict[str, bytes]:
    """The user's files that define the optimizers, and those below their folder that they import."""
    found = {}
    for one in (call, *call.inner.values()):
        file = one.optimizer.named.file
        if file is None:
            continue
        for path in submission_files.files_of(file, has_own_folder=False).paths.values():
            if file.parent in path.parents:
                found[path.relative_to(file.parent).as_posix()] = files.read_regular(path)
    if SOURCE in found:
        raise UsageError(
            f"{call.optimizer.named.text}: a file of yours would be {SOURCE} of the submission, which is made here: "
            "rename it."
        )
    return found


def _info(plan: Plan, settings: Mapping[str, Any]) -> str:
    """`submission_info.yml`: what it is, of which package and version; a hash of the source that defines it."""
    optimizer = plan.optimizer
    said = ", ".join(f"{name}={value}" for name, value in settings.items())
    package = optimizer.package
    description = (
        f"{optimizer.named.text}{f' of {package}' if package else ''} (sha256 {optimizer.source_sha256[:16]} of its "
        f"file), by the adapter{f', with {said}' if said else ', with its own defaults'}."
    )
    entries = {
        "submission_name": optimizer.named.text,
        "submission_folder": "",
        "authors": "",
        "affiliations": "",
        "version": package or "1",
        "ruleset": "external, self",
        "framework": optimizer.framework,
        "description": description,
    }
    # JSON texts are YAML texts.
    return "".join(f"{name}: {json.dumps(value)}\n" for name, value in entries.items())


def name_of(plan: Plan, settings: Mapping[str, Any]) -> str:
    """The name of the submission, with its settings where they are few."""
    base = plan.optimizer.named.folder_name
    if not settings:
        return base
    said = "_".join(f"{name}{_short(value)}" for name, value in settings.items())
    whole = "".join(
        letter if letter.isalnum() or letter in "_.-" else "_" for letter in f"{base}_{said}"
    ).lower()
    return whole if len(whole) <= MAX_NAME else f"{base}_{_hash(json.dumps(settings, default=str).encode())}"


def _short(value: Any) -> str:
    if isinstance(value, list):
        return "_".join(_short(one) for one in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:8]


def write(root: Path, name: str, content: Mapping[str, bytes]) -> Path:
    """The folder `root/name` with this content; another name where that is taken by other content.

    Notes about it (`submission_info.yml`) may differ, as other versions of a package change them: they are written
    anew.
    """
    files.make_folder(root, "folder for adapted optimizers")
    whole = b"".join(
        f"{path}\0".encode() + data for path, data in sorted(content.items()) if path != submission_info.FILE
    )
    for place in (root / name, root / f"{name}_{_hash(whole)}"):
        if not place.exists():
            _put(place, content)
        if _is_same(place, content):
            files.write_bytes(place / submission_info.FILE, content[submission_info.FILE])
            return place
    raise UsageError(
        f"Folder {place} was changed: rename it to keep it as a submission of its own, or delete it."
    )


def eject(folder: Path, content: Mapping[str, bytes]) -> Path:
    """Writes the folder that somebody wants to edit.

    Raises:
      UsageError: if there is something in it.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"--eject={folder} is there already: give the name of a new folder.")
    files.make_folder(folder.absolute().parent, "--eject")
    if folder.is_dir():
        folder.rmdir()
    _put(folder, content)
    return folder


def _put(place: Path, content: Mapping[str, bytes]) -> None:
    temporary = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.absolute().parent))
    temporary.chmod(0o755)
    try:
        for path, data in content.items():
            (temporary / path).parent.mkdir(parents=True, exist_ok=True)
            files.write_bytes(temporary / path, data)
        try:
            temporary.rename(place)
        except OSError:
            if not place.exists():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _is_same(place: Path, content: Mapping[str, bytes]) -> bool:
    try:
        return all(
            files.read_regular(place / path) == data
            for path, data in content.items()
            if path != submission_info.FILE
        )
    except OSError:
        return False
