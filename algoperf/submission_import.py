"""Import a submission so that every way in which its files name each other leads to one module.

Public submissions name their siblings as their folder was called where they were written: by the path of another
repository (`submissions.self_tuning.<name>`), by the mount path of a competition, by a bare `scoring`, which is also a
package of ours. Here each such name in their source is replaced, before it is compiled, by the one name that the file
has in this process, `submission_in_<folder>.<file>`. It depends on the folder alone and not on the working directory,
so what a checkpoint pickled is found again; it takes no name from a package that others import; and a file that is
imported under two names is still one module, whose classes are equal to themselves.
"""

import ast
import contextlib
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import CodeType, ModuleType

from algoperf import files
from algoperf.spec import UsageError

PROJECT = Path(__file__).resolve().parents[1]
API = ("algoperf", "algorithmic_efficiency")
"""What every submission imports; nothing takes their place."""
OURS = frozenset(
    {
        *("audit", "benchmarks", "campaign", "datasets", "reference_algorithms", "scoring"),
        *("submissions", "target_setting", "tests", "workloads"),
    }
)
"""Packages beside `algoperf`, which give way to a submission's own files of the same name."""
MOUNTED = "submissions"
"""How the first component of a repository of submissions begins: `submissions`, `submissions_algorithms_v0_5`."""


Pins = dict[str, bytes]
"""Real path of a file -> hash of its bytes when the submission was read, before its import."""
_pins: dict[str, Pins] = {}
"""Real path of the file of a submission -> pins of all files that it is made of."""


def pin(file: Path, paths: Iterable[Path]) -> None:
    """From now on the files of a submission are imported as they are now, or not at all: their digests are recorded.

    Args:
      file: of the submission.
      paths: all Python files that it is made of.
    """
    _pins[os.path.realpath(file)] = {
        os.path.realpath(path): _hash_of(files.read_regular(path)) for path in paths
    }


def _hash_of(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _checked_source(path: str, pins: Pins) -> bytes:
    """The bytes of a file that is imported, compared with what was read before.

    Args:
      path: of the file.
      pins: of its submission; empty where nobody has read it.

    Raises:
      UsageError: if they have changed, or the file is not among those that were read, as its name was put together.
    """
    content = files.read_regular(path)
    wanted = pins.get(os.path.realpath(path))
    if pins and wanted is None:
        raise UsageError(
            f"{path} is imported, and no import statement of the submission names it (R2.7): write one, or give the "
            "submission a folder of its own, of which all files count."
        )
    if pins and _hash_of(content) != wanted:
        raise UsageError(
            f"{path} was changed since the trial began (R2.7): what is imported is what is recorded. Leave the files "
            "of a submission as they are while it runs."
        )
    return content


def parse(path: Path) -> ast.Module:
    """The syntax tree of a file.

    Raises:
      SyntaxError, ValueError: if it is not valid Python.
    """
    # Bytes, not text: Python finds out by itself about byte order marks and lines that name a coding.
    return ast.parse(files.read_regular(path), filename=str(path))


def import_submission(path: Path) -> ModuleType:
    """Imports a submission's file, whatever folder it is in; what it raises comes through."""
    cwd = str(Path.cwd())
    # As with `python -m`: public submissions take for granted that they are started from the folder above them.
    if cwd not in sys.path and "" not in sys.path:
        sys.path.insert(0, cwd)
    importlib.invalidate_caches()  # Files may be newer than what the import system remembers of their folder.
    name = _name_in_a_package_of_ours(path)
    return importlib.import_module(name) if name else Siblings(path.parent).import_file(path)


def _name_in_a_package_of_ours(path: Path) -> str | None:
    """Dotted name of a file of which every folder is a regular package of this project; others import it by this."""
    if PROJECT not in path.parents:
        return None
    folders = [folder for folder in path.parents if PROJECT in folder.parents]
    if not folders or not all((folder / "__init__.py").is_file() for folder in folders):
        return None
    return ".".join(path.relative_to(PROJECT).with_suffix("").parts)


def identifier(text: str) -> str:
    """The text as a Python name."""
    return "".join(c if c.isalnum() else "_" for c in text) or "_"


class Siblings:
    """The files around a submission, and the names under which they are imported.

    Args:
      folder: of the submission.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.package = ""
        """Its name in this process, once a file was imported."""
        self.pins: Pins = {}
        """Of its files, once one was imported that was read before; see `pin`."""

    def import_file(self, path: Path) -> ModuleType:
        """The module of a file of the folder."""
        self.pins = _pins.get(os.path.realpath(path), {})
        self.package = self._make_packages(levels_above(self.folder))
        name = f"{self.package}.{identifier(path.stem)}"
        if name not in sys.modules:  # An `__init__.py` may import it.
            spec = importlib.util.spec_from_file_location(name, path, loader=_Loader(name, str(path), self))
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module  # Before it runs: dataclasses and pickle look their module up by name.
            spec.loader.exec_module(module)
        return sys.modules[name]

    def _make_packages(self, levels: int) -> str:
        """Makes the package of the folder and of `levels` folders above it; returns the dotted name of the former."""
        folders = [self.folder, *self.folder.parents][: levels + 1][::-1]
        name = ""
        for folder in folders:
            name = f"{name}.{identifier(folder.name)}" if name else f"submission_in_{identifier(folder.name)}"
            if folder == folders[0]:
                self._forget(name)
            init = folder / "__init__.py"
            module = ModuleType(name)
            module.__path__ = [str(folder)]
            sys.modules[name] = module
            if init.is_file():
                spec = importlib.util.spec_from_file_location(
                    name,
                    init,
                    loader=_Loader(name, str(init), self),
                    submodule_search_locations=[str(folder)],
                )
                assert spec is not None
                assert spec.loader is not None
                self.package = name  # What it imports is resolved already.
                module = importlib.util.module_from_spec(spec)
                sys.modules[name] = module
                spec.loader.exec_module(module)
        return name

    def _forget(self, top: str) -> None:
        """Modules of an earlier submission from a folder of this name."""
        for other in [other for other in sys.modules if other == top or other.startswith(f"{top}.")]:
            del sys.modules[other]
        for other in [other for other in sys.modules if other.startswith(f"{top}_above_")]:
            del sys.modules[other]
        _FINDER.siblings[top] = self

    def name_of(self, dotted: str, imported: Sequence[str] = ()) -> str | None:
        """The name in this process of what a file calls `dotted`; None where it is no file around the submission.

        Args:
          dotted: an absolute name.
          imported: names that are imported from it, which may be its modules.
        """
        found = self.place_of(dotted, imported)
        return None if found is None else self._name_at(*found)

    def place_of(self, dotted: str, imported: Sequence[str] = ()) -> tuple[Path, Path] | None:
        """(folder that the name starts from, its file without suffix, or folder), as `name_of`."""
        parts = dotted.split(".")
        if parts[0] in API or _is_installed(parts[0]):
            return None
        for root in (self.folder, *self.folder.parents):
            if _is_module(root.joinpath(*parts), imported):
                # What is ours is found without help, under the name that others import it by.
                return None if root == PROJECT else (root, root.joinpath(*parts))
        if not parts[0].startswith(MOUNTED):
            return None
        # The path of the repository where it was written: the longest end of it that leads to a file of the folder.
        for start in range(1, len(parts) + 1):
            for root in (self.folder, *self.folder.parents):
                target = root.joinpath(*parts[start:])
                if self.folder in (target, *target.parents) and _is_module(target, imported):
                    return root, target
        return None

    def _name_at(self, root: Path, target: Path) -> str:
        if self.folder in (target, *target.parents):
            return ".".join((self.package, *target.relative_to(self.folder).parts))
        # A folder above the submission takes a package of its own, so that it wins over whatever is called so.
        top = f"{self.package.split('.', maxsplit=1)[0]}_above_{len(self.folder.relative_to(root).parts)}"
        if top not in sys.modules:
            package = ModuleType(top)
            package.__path__ = [str(root)]
            sys.modules[top] = package
            _FINDER.siblings[top] = self
        return ".".join((top, *target.relative_to(root).parts))


def levels_above(folder: Path) -> int:
    """How many folders above the submission its files reach by relative imports."""
    levels = 0
    for file in folder.rglob("*.py"):
        with contextlib.suppress(
            SyntaxError, ValueError, OSError
        ):  # A file that is never imported may be broken.
            depth = len(file.relative_to(folder).parts)
            found = (node.level for node in ast.walk(parse(file)) if isinstance(node, ast.ImportFrom))
            levels = max(levels, max(found, default=0) - depth)
    return levels


def _is_module(target: Path, imported: Sequence[str]) -> bool:
    """Whether there is a file for a dotted name, or for something that is imported from it.

    A bare folder alone is none: it may be called like a package that the submission means.
    """
    files = (target.with_name(f"{target.name}.py"), target / "__init__.py") if target.name else ()
    inside = (target / name for name in imported if name.isidentifier())
    return any(file.is_file() for file in files) or any(
        file.with_name(f"{file.name}.py").is_file() or (file / "__init__.py").is_file() for file in inside
    )


def _is_installed(name: str) -> bool:
    """Whether a top-level name is Python's or of an installed package, which a submission's files do not shadow."""
    if name in sys.stdlib_module_names:
        return True
    if name in OURS:
        return False
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return False
    if found is None:
        return False
    places = [found.origin] if found.origin else list(found.submodule_search_locations or ())
    return any(not _is_working_copy(Path(place)) for place in places)


def can_be_found(name: str, file: Path) -> bool:
    """Whether a top-level name is of anything that can be imported, or of a folder above a submission's file."""
    if name in sys.modules or any((root / name).is_dir() for root in file.parents):
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _is_working_copy(place: Path) -> bool:
    """Whether a module lies in the project or in the working directory, and not in packages installed there."""
    if {"site-packages", "dist-packages"} & set(place.parts):
        return False
    return any(root in place.parents for root in (PROJECT, Path.cwd()))


class _Rewriting(ast.NodeTransformer):
    """Puts into a file the names that the modules around it have in this process."""

    def __init__(self, siblings: Siblings):
        self._siblings = siblings
        self._replaced: dict[str, str] = {}
        """Dotted name as the file writes it after `import a.b` -> the variable that stands for it."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        if node.level == 0 and node.module:
            node.module = (
                self._siblings.name_of(node.module, [alias.name for alias in node.names]) or node.module
            )
        return node

    def visit_Import(self, node: ast.Import) -> ast.AST:
        for alias in node.names:
            found = self._siblings.name_of(alias.name)
            if found is not None:
                if alias.asname is None:
                    alias.asname = identifier(alias.name)
                    if "." in alias.name:
                        self._replaced[alias.name] = alias.asname
                alias.name = found
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if self._replaced and ast.unparse(node) in self._replaced:
            return ast.copy_location(ast.Name(self._replaced[ast.unparse(node)], node.ctx), node)
        return self.generic_visit(node)


class _Loader(importlib.machinery.SourceFileLoader):
    """Compiles the file of a submission with its imports rewritten; nothing is kept in `__pycache__`."""

    def __init__(self, name: str, path: str, siblings: Siblings):
        super().__init__(name, path)
        self._siblings = siblings

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        tree = _Rewriting(self._siblings).visit(
            ast.parse(_checked_source(path, self._siblings.pins), filename=path)
        )
        return compile(tree, path, "exec", dont_inherit=True)


class _SourceLoader(importlib.machinery.SourceFileLoader):
    """Compiles a file of the project that belongs to a submission: no `__pycache__` is read or written."""

    def __init__(self, name: str, path: str, pins: Pins):
        super().__init__(name, path)
        self._pins = pins

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return compile(_checked_source(path, self._pins), path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds modules below the packages of submissions."""

    def __init__(self) -> None:
        self.siblings: dict[str, Siblings] = {}
        """Top-level package -> the submission that it belongs to."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        top = fullname.split(".", maxsplit=1)[0]
        siblings = self.siblings.get(top)
        if top in OURS and (ours := self._of_project(fullname, path, target)) is not None:
            return ours
        if siblings is None or path is None:
            return None
        found = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if found is not None and isinstance(found.loader, importlib.machinery.SourceFileLoader):
            found.loader = _Loader(fullname, found.loader.path, siblings)
        return found

    def _of_project(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> importlib.machinery.ModuleSpec | None:
        """The spec of a module of ours, if it is one that a submission was read to be made of."""
        found = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if found is None or not isinstance(found.loader, importlib.machinery.SourceFileLoader):
            return None
        place = os.path.realpath(found.loader.path)
        pins = next((pins for pins in reversed(_pins.values()) if place in pins), None)
        if pins is None:
            return None
        found.loader = _SourceLoader(fullname, found.loader.path, pins)
        return found


_FINDER = _Finder()
sys.meta_path.insert(0, _FINDER)


def absolute_imports(tree: ast.Module) -> Iterator[tuple[str, tuple[str, ...], int]]:
    """(dotted name, what is imported from it, line) of every absolute import of a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, (), node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module, tuple(alias.name for alias in node.names), node.lineno
