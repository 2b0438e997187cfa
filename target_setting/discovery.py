"""Finds the procedures by their files, and reads what each declares without importing it.

What a file in `procedures/` declares is said there. It is read from the syntax tree for two reasons. Procedures
compute: they import numpy and the workload registry at their head, as modules do, and `set_targets.py --help` is not
to wait for either. And the help of a flag is the docstring of a field, which Python keeps in the source alone.
"""

import ast
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import ModuleType

from algoperf.spec import UsageError
from target_setting import procedures

ANALYSE, START = "analyse", "start"
"""What a procedure does: on a stored sweep, or by starting trials."""
OPTIONS = "Options"
READS_EVERY_WORKLOAD = "READS_EVERY_WORKLOAD"

Value = str | int | float | bool | tuple[str | int | float, ...] | None


class Kind(StrEnum):
    """Of values that a flag takes, as absl names them."""

    STRING = "string"
    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    LIST = "list"
    """Texts between commas; what they must be, `Options` checks in words of its own."""


KINDS = {
    "str": Kind.STRING,
    "int": Kind.INTEGER,
    "float": Kind.FLOAT,
    "bool": Kind.BOOLEAN,
    "tuple[str, ...]": Kind.LIST,
    "tuple[int, ...]": Kind.LIST,
}


@dataclass(frozen=True)
class Flag:
    """One field of a class of options."""

    name: str
    kind: Kind
    default: Value
    help: str
    """One sentence, which says neither name nor default."""


@dataclass(frozen=True)
class Procedure:
    """What its file declares."""

    name: str
    summary: str
    """First line of its docstring."""
    flags: tuple[Flag, ...]
    """Its own; in the order in which they are declared."""
    starts_trials: bool
    """Whether it starts trials, rather than to analyse those that are stored."""
    reads_every_workload: bool = False
    """Whether it needs more of the sweep than what --workloads names."""

    def module(self) -> ModuleType:
        """Imports its file."""
        return importlib.import_module(f"{procedures.__name__}.{self.name}")


def discover() -> dict[str, Procedure]:
    """Name -> procedure, in the order in which they are listed.

    Raises:
      UsageError: if a file declares less than it must, or two differ in what a flag is.
    """
    found: dict[str, Procedure] = {}
    for folder in procedures.__path__:
        for path in sorted(Path(folder).glob("[!_]*.py")):
            if path.stem in found:
                raise UsageError(f"{path} is the second procedure called {path.stem!r}: rename it.")
            found[path.stem] = read_procedure(path)
    order = {name: place for place, name in enumerate(procedures.LISTED_FIRST)}
    found = dict(sorted(found.items(), key=lambda item: (order.get(item[0], len(order)), item[0])))
    check_shared_flags(found)
    return found


def check_shared_flags(found: Mapping[str, Procedure]) -> None:
    """Raises UsageError if a flag of several procedures has not one type and default for all: it is one flag."""
    first: dict[str, tuple[str, Flag]] = {}
    for name, procedure in found.items():
        for flag in procedure.flags:
            other, known = first.setdefault(flag.name, (name, flag))
            if (known.kind, known.default) != (flag.kind, flag.default):
                raise UsageError(
                    f"--{flag.name} of {name} is {flag.kind} {flag.default!r} by default, and of {other} {known.kind} "
                    f"{known.default!r}: declare it alike, or under another name."
                )


def read_procedure(path: Path) -> Procedure:
    """What a file declares.

    Raises:
      UsageError: if something is missing, or is not written so that it can be read without running it.
    """
    tree = _tree_of(path)
    summary = (ast.get_docstring(tree) or "").partition("\n")[0]
    if not summary:
        raise UsageError(f"{path} has no docstring, whose first line says in --help what the procedure does.")
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)} & {ANALYSE, START}
    if len(functions) != 1:
        raise UsageError(
            f"{path} defines {' and '.join(sorted(functions)) or 'neither'} of {ANALYSE}() and {START}(): a procedure "
            "has one of the two."
        )
    return Procedure(
        name=path.stem,
        summary=summary,
        flags=_flags_in(tree, OPTIONS, path),
        starts_trials=functions == {START},
        reads_every_workload=any(
            isinstance(node, ast.Assign) and ast.unparse(node) == f"{READS_EVERY_WORKLOAD} = True"
            for node in tree.body
        ),
    )


def read_flags(path: Path, class_name: str) -> tuple[Flag, ...]:
    """The fields of a dataclass as flags: name, type, default, docstring.

    Raises:
      UsageError: if the class or one of the four is missing or of no known form.
    """
    return _flags_in(_tree_of(path), class_name, path)


def _tree_of(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), str(path))
    except (SyntaxError, ValueError) as error:
        found = f"line {error.lineno}: {error.msg}" if isinstance(error, SyntaxError) else str(error)
        raise UsageError(f"{path} is no valid Python ({found}): correct it, or move it away.") from None


def _flags_in(tree: ast.Module, class_name: str, path: Path) -> tuple[Flag, ...]:
    bodies = [node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == class_name]
    if not bodies:
        raise UsageError(f"{path} has no class {class_name} with its flags; one without fields will do.")
    (body,) = bodies
    return tuple(
        _flag(path, node, after)
        for node, after in zip(body, [*body[1:], ast.Pass()])
        if isinstance(node, ast.AnnAssign)
    )


def _flag(path: Path, field: ast.AnnAssign, after: ast.stmt) -> Flag:
    name, annotation = ast.unparse(field.target), ast.unparse(field.annotation).removesuffix(" | None")
    where = f"{path}, line {field.lineno}: {name}"
    if annotation not in KINDS:
        raise UsageError(f"{where} is a {annotation}; flags are {', '.join(KINDS)}, or one of these | None.")
    if field.value is None:
        raise UsageError(f"{where} has no default.")
    try:
        default = ast.literal_eval(field.value)
    except ValueError:
        raise UsageError(f"{where} has a default that is not written out as a literal.") from None
    text = (
        after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else None
    )
    if not isinstance(text, str):
        raise UsageError(f"{where} has no docstring, which is the help of its flag.")
    return Flag(name, KINDS[annotation], default, " ".join(text.split()))
