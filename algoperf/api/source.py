"""The source of what somebody defined in a notebook, or in the script that runs: a file that stands alone.

A class or function of an installed package is named by its path, one of a user's module by its file. What is defined in
a notebook has neither; its text is taken from the cell, with all that it refers to: imports, other definitions of the
notebook, and constants. What cannot be written down, as a tensor that another cell made, is an error that names it.
"""

import ast
import functools
import hashlib
import inspect
import linecache
import re
import symtable
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from algoperf import files
from algoperf.spec import UsageError

Definition = type | FunctionType
OWN_FILE = "put it into a file and name that: './my_optimizer.py:MyOptimizer'"


def reference(what: object, folder: Path) -> str:
    """How a class or function is named in another process: 'torch.optim.AdamW', or '/path/file.py:Name'.

    Args:
      what: a class, or a function that makes an optimizer.
      folder: where a file is written for what has none.

    Raises:
      UsageError: for anything else, and for what cannot be had in another process.
    """
    name = getattr(what, "__qualname__", None)
    if not callable(what) or not isinstance(name, str):
        hint = ""
        if isinstance(what, functools.partial):
            hint = (
                " A partial function has no name: give what it calls, and its arguments as hyperparameters."
            )
        raise UsageError(
            f"{what!r} is a {type(what).__name__}: give an optimizer class, a function that makes one, its path, as "
            f"'torch.optim.AdamW', or the folder of a submission.{hint}"
        )
    if "<" in name:
        raise UsageError(
            f"{name} is defined inside a function, from which no other process can take it: define it at the top of "
            "the notebook or file."
        )
    module = sys.modules.get(what.__module__)
    if module is None or what.__module__ == "__main__":
        return f"{_written(_as_definition(what, name), folder)}:{name}"
    file = getattr(module, "__file__", None)
    if file is None or _is_installed(Path(file)):
        return f"{_public(what, name)}.{name}"
    return f"{Path(file).absolute()}:{name}"


def _as_definition(what: object, name: str) -> Definition:
    if isinstance(what, (type, FunctionType)):
        return what
    raise UsageError(f"{name} is neither a class nor a function of Python: {OWN_FILE}.")


def _is_installed(file: Path) -> bool:
    """Whether every process of this Python finds it."""
    places = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    resolved = file.resolve()
    return "site-packages" in resolved.parts or any(
        Path(one).resolve() in resolved.parents for one in places if one
    )


def _public(what: object, name: str) -> str:
    """The shortest module from which it can be imported: 'optax' of 'optax._src.alias'."""
    parts = str(what.__module__).split(".")
    for end in range(1, len(parts)):
        above = ".".join(parts[:end])
        if getattr(sys.modules.get(above), name, None) is what:
            return above
    return ".".join(parts)


# ---- what has no file ------------------------------------------------------------------------------------------------


def _written(what: Definition, folder: Path) -> Path:
    text = standalone(what)
    place = folder / hashlib.sha256(text.encode()).hexdigest()[:8] / f"{what.__name__}.py"
    files.make_folder(place.parent, "results")
    with files.writing(place, "w") as file:
        file.write(text)
    return place.absolute()


@dataclass
class _Parts:
    """What a file consists of, in order."""

    imports: dict[str, str] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    definitions: dict[str, str] = field(default_factory=dict)


def standalone(what: Definition) -> str:
    """The text of a Python file that defines a class or function of `__main__`, and all that it refers to.

    Raises:
      UsageError: where the source cannot be had, or something that it refers to cannot be written down.
    """
    parts = _Parts()
    _add(what, what.__name__, parts)
    blocks = [
        f'"""{what.__name__}, as it was defined in a notebook or script."""',
        "\n".join(sorted(parts.imports.values())),
        "\n".join(parts.constants.values()),
        *parts.definitions.values(),
    ]
    return "\n\n\n".join(filter(None, blocks)) + "\n"


def _add(what: Definition, name: str, parts: _Parts) -> None:
    """Adds a definition after those that it needs."""
    if name in parts.definitions:
        return
    parts.definitions[name] = ""  # Two functions may call each other.
    text = source_of(what)
    space = vars(sys.modules["__main__"])
    for other in _globals_of(text):
        if other in space and other != what.__name__:
            _add_value(other, space[other], what.__name__, parts)
    del parts.definitions[name]
    parts.definitions[name] = text
    if name != what.__name__:
        parts.definitions[name] += f"\n\n\n{name} = {what.__name__}"


def _add_value(name: str, value: Any, user: str, parts: _Parts) -> None:
    if isinstance(value, ModuleType):
        if value.__name__ == "__main__":
            return
        _check_found(value, name, user)
        same = value.__name__ == name
        parts.imports[name] = f"import {value.__name__}" + ("" if same else f" as {name}")
    elif isinstance(value, (type, FunctionType)) and value.__module__ == "__main__":
        _add(value, name, parts)
    elif _is_importable(value):
        _check_found(sys.modules[value.__module__], name, user)
        same = value.__qualname__ == name
        source = _public(value, value.__qualname__)
        parts.imports[name] = f"from {source} import {value.__qualname__}" + ("" if same else f" as {name}")
    elif _is_literal(value):
        parts.constants[name] = f"{name} = {value!r}"
    elif not name.startswith("_"):
        raise UsageError(
            f"{user} uses {name!r}, a {type(value).__name__} of the notebook that cannot be written down: make it in "
            f"{user}, hand it over as a hyperparameter, or {OWN_FILE}."
        )


def _check_found(module: ModuleType, name: str, user: str) -> None:
    file = getattr(module, "__file__", None)
    if file is not None and not _is_installed(Path(file)) and not _is_ours(module):
        raise UsageError(
            f"{user} uses {name!r} of {file}, which is not installed, so no other process finds it: put {user} beside "
            f"it, and name it as {str(Path(file).parent / 'my_optimizer.py')!r} + ':{user}'."
        )


def _is_ours(module: ModuleType) -> bool:
    return module.__name__.split(".")[0] in ("algoperf", "reference_algorithms", "workloads", "scoring")


def _is_importable(value: Any) -> bool:
    name, module = getattr(value, "__qualname__", ""), getattr(value, "__module__", None)
    return isinstance(module, str) and getattr(sys.modules.get(module), name, None) is value


def _is_literal(value: Any) -> bool:
    try:
        return bool(ast.literal_eval(repr(value)) == value)
    except (ValueError, SyntaxError, TypeError, MemoryError):
        return False


def _globals_of(text: str) -> list[str]:
    """The names of the module that a piece of source refers to, in the order of their first appearance in a scope."""

    def walk(table: symtable.SymbolTable) -> Iterator[str]:
        for symbol in table.get_symbols():
            is_of_module = table.get_type() == "module" and symbol.is_referenced()
            if is_of_module or (symbol.is_global() and symbol.is_referenced()):
                yield symbol.get_name()
        for inner in table.get_children():
            yield from walk(inner)

    return list(dict.fromkeys(walk(symtable.symtable(text, "<cell>", "exec"))))


def source_of(what: Definition) -> str:
    """The text of a definition at the top of a cell or file, decorators included.

    Raises:
      UsageError: where it cannot be had.
    """
    kinds = (ast.ClassDef,) if isinstance(what, type) else (ast.FunctionDef,)
    for lines, near in _places(what):
        try:
            tree = ast.parse("".join(lines))
        except SyntaxError:  # A cell with %magic.
            tree = ast.parse("".join(_without_magic(lines)))
        found = [node for node in tree.body if isinstance(node, kinds) and node.name == what.__name__]
        for node in reversed(found):
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            if near is None or first <= near <= (node.end_lineno or first):
                return "".join(lines[first - 1 : node.end_lineno]).rstrip()
    raise UsageError(
        f"The source of {what.__name__} cannot be had (it was not defined in a cell or file): {OWN_FILE}."
    )


def _without_magic(lines: list[str]) -> list[str]:
    """Lines of a cell, those for IPython alone made empty."""
    return [re.sub(r"^\s*[%!?].*$", "", line) for line in lines]


def _places(what: Definition) -> Iterator[tuple[list[str], int | None]]:
    """(lines of a cell or file, a line of the definition in it; None where that is not known)."""
    codes = [what.__code__] if isinstance(what, FunctionType) else list(_codes_of(what))
    for code in codes:
        lines = linecache.getlines(code.co_filename)
        if lines:
            yield lines, code.co_firstlineno
    if codes:
        return
    # A class without functions of its own: in the script, or in the newest cell that defines one of its name.
    main = sys.modules["__main__"]
    script = getattr(main, "__file__", None)
    if script:
        yield linecache.getlines(script), None
    for cell in reversed(getattr(main, "In", [])):
        yield [line + "\n" for line in str(cell).splitlines()], None


def _codes_of(what: type) -> Iterator[CodeType]:
    """Of the functions that a class defines itself."""
    for value in vars(what).values():
        function = inspect.unwrap(getattr(value, "__func__", getattr(value, "fget", value)) or value)
        if isinstance(function, FunctionType) and function.__qualname__.startswith(f"{what.__qualname__}."):
            yield function.__code__
