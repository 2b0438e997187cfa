"""A submission as the audit knows it: scopes with what their names may stand for, events, and what calls what.

Nothing is run. Every file is read several times, top to bottom, until no name may stand for anything new; the order of
statements, conditions and the number of passes of a loop are ignored. So a name may seem to stand for more than it
ever does, and rarely for less.
"""

import ast
import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

from audit.findings import Check, Finding
from audit.folder import Folder, SourceFile
from audit.paths import API, starts

Paths = set[str]
MAX_VALUES = 60
"""That one name may stand for; beyond, only what is not spelled out in the source is kept."""


@dataclasses.dataclass(eq=False)
class Scope:
    """A module, class or function of the submission, and what its names may stand for."""

    number: int
    file: SourceFile
    node: ast.AST
    parent: "Scope | None"
    name: str
    names: dict[str, Paths] = dataclasses.field(default_factory=dict)
    returns: Paths = dataclasses.field(default_factory=set)
    outer: set[str] = dataclasses.field(default_factory=set)
    """Names that it declares global or nonlocal."""
    fields: dict[str, Paths] = dataclasses.field(default_factory=dict)
    """Of a class: attributes of its objects."""
    bases: Paths = dataclasses.field(default_factory=set)

    @property
    def path(self) -> str:
        return f":{self.number}"

    @property
    def is_class(self) -> bool:
        return isinstance(self.node, ast.ClassDef)

    @property
    def is_module(self) -> bool:
        return isinstance(self.node, ast.Module)

    @property
    def is_method(self) -> bool:
        """Whether its first argument is the object."""
        decorators = getattr(self.node, "decorator_list", ())
        is_static = any(isinstance(one, ast.Name) and one.id == "staticmethod" for one in decorators)
        return self.parent is not None and self.parent.is_class and not self.is_class and not is_static

    @property
    def parameters(self) -> list[str]:
        """Names of the positional arguments, `self` left out."""
        arguments = getattr(self.node, "args", None)
        if not isinstance(arguments, ast.arguments):
            return []
        found = [one.arg for one in (*arguments.posonlyargs, *arguments.args)]
        return found[1:] if self.is_method else found


@dataclasses.dataclass(frozen=True, eq=False)
class Event:
    """Something that the source does."""

    kind: str
    """`read`, `call`, `store`, `import`, `iterate`, `compare`, `key`, `text`, `arithmetic` or `class`."""
    node: ast.AST
    scope: Scope
    paths: frozenset[str]
    """What it is done to: what is read, called, written into, compared, or used as a key."""
    values: tuple[frozenset[str], ...] = ()
    """What it is done with: arguments of a call, what is stored, the sides of a comparison."""
    keywords: tuple[tuple[str, frozenset[str]], ...] = ()

    @property
    def line(self) -> int:
        return getattr(self.node, "lineno", 0)

    @property
    def attr(self) -> str:
        """Name of the attribute that is read, written or called; '' where it is none."""
        node = self.node.func if isinstance(self.node, ast.Call) else self.node
        return node.attr if isinstance(node, ast.Attribute) else ""

    @property
    def code(self) -> str:
        """The source of it, short."""
        try:
            text = " ".join(ast.unparse(self.node).split())
        except (ValueError, RecursionError):
            return type(self.node).__name__
        return text if len(text) <= 70 else f"{text[:69]}…"

    def starts(self, *beginnings: str) -> bool:
        """Whether it may be about something that begins so."""
        return any(starts(path, beginning) for path in self.paths for beginning in beginnings)

    def finding(self, check: Check, what: str = "") -> Finding:
        """The finding of a check in this place."""
        return Finding(self.file, self.line, what or self.code, check)

    @property
    def file(self) -> Path:
        return self.scope.file.path


class Program:
    """Everything that is known about a submission's source.

    Args:
      folder: its files.
    """

    def __init__(self, folder: Folder):
        self.folder = folder
        self.scopes: list[Scope] = []
        self.modules: dict[Path, Scope] = {}
        self.by_node: dict[ast.AST, Scope] = {}
        self.contents: dict[str, dict[str, Paths]] = {}
        """Container -> key -> what may be there; `[]` is any key."""
        self.events: list[Event] = []
        self.calls: dict[int, set[int]] = {}
        """Number of a function -> those that it calls, or hands to somebody who calls them at once."""
        self.mentions: dict[int, set[int]] = {}
        """Number of a function -> those that it names."""
        self.has_changed = False
        for path, source in folder.sources.items():
            self.modules[path] = self.add_scope(source, source.tree, None, path.stem)

    def add_scope(self, file: SourceFile, node: ast.AST, parent: Scope | None, name: str) -> Scope:
        """The scope of a node; the same one whenever it is asked for."""
        if node not in self.by_node:
            self.by_node[node] = Scope(len(self.scopes), file, node, parent, name)
            self.scopes.append(self.by_node[node])
        return self.by_node[node]

    def scope_of(self, path: str) -> Scope | None:
        """The own function, class or module of a path without further parts."""
        return self.scopes[int(path[1:])] if path[:1] == ":" and path[1:].isdigit() else None

    def add(self, known: Paths, new: Iterable[str]) -> None:
        """Adds what a name may stand for."""
        fresh = set(new) - known
        if not fresh:
            return
        if len(known) + len(fresh) > MAX_VALUES:
            fresh = {path for path in fresh if path[0] not in "'#"}
            if not fresh or len(known) > 4 * MAX_VALUES:
                return
        known |= fresh
        self.has_changed = True

    def entry_points(self) -> Iterator[tuple[str, Scope]]:
        """(name of the API, function of the submission) for each entry file."""
        for path in self.folder.entries:
            module = self.modules.get(path)
            for name in API:
                for found in sorted(module.names.get(name, ())) if module else ():
                    scope = self.scope_of(found)
                    if scope is not None and not scope.is_module:
                        yield name, scope

    def of_kind(self, *kinds: str) -> Iterator[Event]:
        """All events of these kinds."""
        return (event for event in self.events if event.kind in kinds)

    def functions_of(self, *names: str) -> list[Scope]:
        """The submission's functions of the API that are called so."""
        return [scope for name, scope in self.entry_points() if name in names]

    def reached(self, starts: Iterable[Scope], by_mention: bool = False) -> set[int]:
        """Numbers of the functions that run when these do, themselves included.

        Args:
          starts: functions.
          by_mention: whether a function that is only named counts as well.
        """
        edges = self.mentions if by_mention else self.calls
        found: set[int] = set()
        waiting = [scope.number for scope in starts]
        while waiting:
            number = waiting.pop()
            if number not in found:
                found.add(number)
                waiting.extend(edges.get(number, ()))
        return found
