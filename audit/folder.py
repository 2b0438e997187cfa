"""The files of a submission: those of its folder, and those of this project that its imports lead to."""

import ast
import dataclasses
import functools
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from algoperf import files, frameworks, submission
from algoperf.spec import UsageError
from algoperf.submission_import import OURS, PROJECT, Siblings, parse

OPEN_TO_SUBMISSIONS = ("reference_algorithms", "submissions")
"""Packages of this project that a submission may import; their files are read as its own."""
NOT_SOURCE = ("__pycache__", ".git", ".ipynb_checkpoints", ".mypy_cache", ".ruff_cache", ".pytest_cache")
MAX_FILES = 2_000
"""Above what any submission has: somebody gave the wrong folder."""


@dataclasses.dataclass(frozen=True, eq=False)
class SourceFile:
    """A Python file and its syntax tree."""

    path: Path
    tree: ast.Module

    @functools.cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """All nodes of the tree."""
        return tuple(ast.walk(self.tree))


@dataclasses.dataclass(frozen=True)
class Broken:
    """A file that is no valid Python."""

    path: Path
    line: int
    why: str


class Folder:
    """A submission on disk, read and not run.

    Args:
      path: its folder, or one Python file, which then stands for all that it imports.

    Raises:
      UsageError: if there is nothing to read.
    """

    def __init__(self, path: Path | str):
        path = files.expanded(path).resolve()
        if not path.exists():
            raise UsageError(f"No submission at {str(path)!r}: give a folder or a .py file.")
        if path.is_file() and path.suffix != ".py":
            raise UsageError(f"A submission is a folder or a .py file; {str(path)!r} is neither.")
        self.root = path if path.is_dir() else path.parent
        self.entries = _entries(path)
        """Files with the functions of the API: one per framework, or one for all."""
        everything = sorted(_files_below(self.root)) if path.is_dir() else []
        self.others = [other for other in everything if other.suffix != ".py"]
        """Files that are not Python."""
        self.sources: dict[Path, SourceFile] = {}
        self.broken: list[Broken] = []
        self._siblings = Siblings(self.root)
        self._found: dict[tuple[Path, str, int, tuple[str, ...]], Path | None] = {}
        waiting = list(self.entries)
        while waiting:
            waiting.extend(self._read(waiting.pop(0)))
        self.imported = set(self.sources)
        """Files that the entries lead to; others can only be reached in ways that are findings themselves."""
        waiting = [other for other in everything if other.suffix == ".py"]
        while waiting:
            waiting.extend(self._read(waiting.pop(0)))

    def _read(self, path: Path) -> list[Path]:
        """Adds a file; returns the files that it imports."""
        if path in self.sources or any(broken.path == path for broken in self.broken):
            return []
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # An escape sequence that Python will refuse one day.
                source = SourceFile(path, parse(path))
        except OSError as error:
            raise UsageError(f"Cannot read {path} ({error.strerror}): make it readable.") from None
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            self.broken.append(Broken(path, getattr(error, "lineno", None) or 0, str(error)))
            return []
        self.sources[path] = source
        return list(self._imported_by(source))

    def _imported_by(self, source: SourceFile) -> Iterator[Path]:
        for above in source.path.parents:  # Whose packages run first.
            if self.root in (above, *above.parents) and (above / "__init__.py").is_file():
                yield (above / "__init__.py").resolve()
        for node in source.nodes:
            names: list[tuple[str, int, tuple[str, ...]]]
            if isinstance(node, ast.Import):
                names = [(alias.name, 0, ()) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [(node.module or "", node.level, tuple(alias.name for alias in node.names))]
            else:
                continue
            for name, level, imported in names:
                found = self.file_of(source.path, name, level, imported)
                if found is not None:
                    yield found
                for one in imported:
                    inner = self.file_of(source.path, f"{name}.{one}".lstrip("."), level)
                    if inner is not None:
                        yield inner

    def file_of(self, importer: Path, name: str, level: int = 0, imported: Sequence[str] = ()) -> Path | None:
        """The file that an import leads to; None where it is not read, because it is of another package or of ours.

        Args:
          importer: the file with the import.
          name: dotted, without leading dots.
          level: number of leading dots.
          imported: what is imported from it.
        """
        key = (importer, name, level, tuple(imported))
        if key not in self._found:
            self._found[key] = self._find(*key)
        return self._found[key]

    def _find(self, importer: Path, name: str, level: int, imported: tuple[str, ...]) -> Path | None:
        if level:
            above = importer.parents[min(level, len(importer.parents)) - 1]
            return _module_file(above.joinpath(*filter(None, name.split("."))))
        parts = name.split(".")
        if parts[0] in OPEN_TO_SUBMISSIONS and (found := _module_file(PROJECT.joinpath(*parts))):
            return found
        place = self._siblings.place_of(name, imported)
        if place is None or (place[0] == PROJECT and parts[0] in OURS):
            return None
        return _module_file(place[1])

    def shown(self, path: Path) -> str:
        """A path as it is printed: from the folder, or from the project."""
        for root in (self.root, PROJECT):
            if root in path.parents:
                return str(path.relative_to(root))
        return str(path)


def _entries(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    names = (*frameworks.submission_files(), submission.ANY_FRAMEWORK)
    found = [path / name for name in names if (path / name).is_file()]
    if not found:
        raise UsageError(f"Folder {str(path)!r} holds no submission: expected one of {', '.join(names)}.")
    return found


def _files_below(root: Path) -> Iterator[Path]:
    number = 0
    for path in root.rglob("*"):
        if any(part in NOT_SOURCE for part in path.relative_to(root).parts) or not path.is_file():
            continue
        number += 1
        if number > MAX_FILES:
            raise UsageError(f"{root} holds more than {MAX_FILES} files: give the folder of one submission.")
        yield path


def _module_file(target: Path) -> Path | None:
    """The file of a module or package, without the suffix it has."""
    for path in (target.with_name(f"{target.name}.py"), target / "__init__.py"):
        if path.is_file():
            return path.resolve()
    return None
