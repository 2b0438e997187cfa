"""The files that a submission is made of, and the packages that it needs: read from its source, nothing is imported.

A submission is its folder, with data whose names appear nowhere, and every file that its imports lead to: of the
project (`reference_algorithms.shared`), of another submission, of a folder above. What decides nothing does not count:
notes, pictures and tables of results, unless the source names them or their kind; what trials write, and logs; caches
and hidden files; search spaces (the points that are drawn from them are compared as such); and the file of another
framework, unless this one imports it.
"""

import ast
import functools
import hashlib
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from algoperf import files, frameworks, records, submission_import, tuning
from algoperf.spec import UsageError
from algoperf.submission_import import API, PROJECT, parse

SEARCH_SPACES = "tuning_search_space*.json"
WORDS = (
    *(
        "*.md",
        "*.txt",
        "*.rst",
        "*.pdf",
        "*.html",
        "*.png",
        "*.svg",
        "*.jpg",
        "*.jpeg",
        "*.gif",
        "*.ipynb",
        "*.csv",
    ),
    *("README*", "LICENSE*", "NOTICE*", "CITATION*", "submission_info.yml"),
)
"""Notes, pictures, tables of results: what people read."""
LEFT = ("*.log", "*.out", "*.err", "*.pyc", "*.tmp")
"""What programs leave behind."""


@dataclass(frozen=True)
class Import:
    """One import of a file."""

    level: int
    """Leading dots of a relative import; 0 for an absolute one."""
    module: str
    """Dotted name, without those dots."""
    names: tuple[str, ...]
    """What is imported from it, which may be modules."""

    @property
    def top(self) -> str:
        return self.module.split(".")[0]


@dataclass(frozen=True)
class Contents:
    """What a Python file says that matters here."""

    imports: tuple[Import, ...] = ()
    texts: frozenset[str] = frozenset()
    """Its string constants."""


def contents(path: Path) -> Contents:
    """What a Python file imports and names; nothing for one that is broken, as it may never be imported."""
    try:
        found = path.stat()
        return _contents(path, found.st_mtime_ns, found.st_size)
    except (SyntaxError, ValueError, OSError):
        return Contents()


@functools.lru_cache(maxsize=10_000)
def _contents(path: Path, mtime_ns: int, size: int) -> Contents:
    del mtime_ns, size  # A file with others is another one.
    imports, texts = [], set()
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            imports += [Import(0, alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            imports.append(Import(node.level, node.module or "", names))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.add(node.value)
    return Contents(tuple(imports), frozenset(texts))


@dataclass(frozen=True)
class SubmissionFiles:
    """What a submission consists of."""

    paths: dict[str, Path]
    """By their path within its folder, within the project, or from its folder."""
    packages: frozenset[str]
    """Top-level names that it imports and that are no files of it: packages, installed or not."""


def files_of(file: Path, has_own_folder: bool) -> SubmissionFiles:
    """The files of a submission, and the packages that it imports.

    Args:
      file: of the submission, its path from the root.
      has_own_folder: whether all files of its folder belong to it; else the file and what it imports.
    """
    folder = file.parent
    beside = (
        sorted(path for path in folder.rglob("*") if _may_count(path, folder)) if has_own_folder else [file]
    )
    others = {folder / name for name in frameworks.submission_files()} - {file}
    own = [path for path in beside if path.suffix == ".py" and path not in others]
    above = [folder, *folder.parents][: submission_import.levels_above(folder) + 1]
    packages_above = [place / "__init__.py" for place in above if (place / "__init__.py").is_file()]
    siblings = submission_import.Siblings(folder)
    reached, packages = _reached([*own, *packages_above], siblings, (*file.parents, PROJECT, Path.cwd()))
    texts = frozenset[str]().union(*(contents(path).texts for path in own))
    data = [path for path in beside if path.suffix != ".py" and _is_data(path, texts)]
    return SubmissionFiles({_name(path, folder): path for path in (*reached, *data)}, frozenset(packages))


def _name(path: Path, folder: Path) -> str:
    for root in (folder, PROJECT):
        if root in path.parents:
            return path.relative_to(root).as_posix()
    levels = next(count for count, above in enumerate(folder.parents, 1) if above in path.parents)
    return "../" * levels + path.relative_to(folder.parents[levels - 1]).as_posix()


# ---- imports ---------------------------------------------------------------------------------------------------------


def _reached(
    start: Collection[Path], siblings: submission_import.Siblings, roots: Collection[Path]
) -> tuple[list[Path], set[str]]:
    """(the files and those that their imports lead to, packages that are imported and are no such files)."""
    found, waiting, packages = dict.fromkeys(start), list(start), set()
    while waiting:
        path = waiting.pop()
        for one in contents(path).imports:
            if not one.level and (one.top in API or one.top in sys.stdlib_module_names):
                continue
            targets = _targets(one, path, siblings, roots)
            if not targets and not one.level:
                packages.add(one.top)
            for target in targets:
                if target not in found:
                    found[target] = None
                    waiting.append(target)
    return list(found), packages


def _targets(
    one: Import, path: Path, siblings: submission_import.Siblings, roots: Collection[Path]
) -> list[Path]:
    """The files of an import: its module, modules that are imported from it, and the packages on the way."""
    if one.level:
        return list(_below(path.parents[min(one.level, len(path.parents)) - 1], one))
    # As Python does, the first place that has it; a bare folder may only be called so.
    found = next((found for root in (path.parent, *roots) if (found := list(_below(root, one)))), [])
    place = siblings.place_of(one.module, one.names)  # Where it is found when the submission is imported.
    if place is not None:
        root, target = place
        found += _below(root, Import(0, ".".join(target.relative_to(root).parts), one.names))
    return found


def _below(root: Path, one: Import) -> Iterator[Path]:
    if one.module and not one.level and not ((root / one.top).is_dir() or (root / f"{one.top}.py").is_file()):
        return
    target = root
    for part in one.module.split(".") if one.module else ():
        target = target / part
        yield from _existing(target / "__init__.py", target.with_name(f"{part}.py"))
    for name in one.names:
        if name.isidentifier():
            yield from _existing(target / f"{name}.py", target / name / "__init__.py")


def _existing(*paths: Path) -> Iterator[Path]:
    return (path for path in paths if path.is_file())


# ---- other files -----------------------------------------------------------------------------------------------------


def _may_count(path: Path, folder: Path) -> bool:
    """Whether this is a file, and neither hidden nor a cache nor what a trial has written."""
    parts = path.relative_to(folder).parts
    if any(part.startswith(".") or part == "__pycache__" for part in parts) or not path.is_file():
        return False
    return not (records.is_own(path.name) or any(path.match(pattern) for pattern in LEFT))


def _is_data(path: Path, texts: Collection[str]) -> bool:
    """Whether a file that is no Python belongs to the method."""
    if path.match(SEARCH_SPACES):
        return False
    if _is_named(path, texts):
        return True
    # One whose name is put together (`f"{name}.json"`) cannot be told from its text.
    is_of_kind = bool(path.suffix) and any(text.endswith(path.suffix) for text in texts)
    if any(path.match(pattern) for pattern in WORDS):
        return is_of_kind
    return path.suffix != ".json" or is_of_kind or not _has_form_of_a_search_space(path)


def _is_named(path: Path, texts: Collection[str]) -> bool:
    """Whether a text of the source is the path of this file, or a pattern for files of its kind."""
    kind = f"*{path.suffix}" if path.suffix else path.name
    return any(text.split("/")[-1] in (path.name, kind) for text in texts)


def _has_form_of_a_search_space(path: Path) -> bool:
    try:
        tuning.check_search_space(files.read_json(path))
    except (UsageError, ValueError, OSError):
        return False
    return True


def older_hash(file: Path, has_own_folder: bool) -> str:
    """The hash that runs recorded before there was `files_of`: over names and all bytes of the folder alone.

    Args:
      file: of the submission.
      has_own_folder: whether all files of its folder count.
    """
    digest = hashlib.sha256()
    paths = sorted(file.parent.rglob("*")) if has_own_folder else [file]
    texts: set[str] = set()
    for path in paths if has_own_folder else []:
        if path.suffix == ".py" and path.is_file():
            texts |= contents(path).texts
    for path in paths:
        is_source = path.suffix in (".py", ".json") or _is_named(path, texts)
        if is_source and not path.match(SEARCH_SPACES) and path.is_file():
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
