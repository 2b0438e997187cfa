"""Classes and functions that a program hands over: a name, or a file, by which another process finds the same.

What a package has is named by its dotted path, what a file of the user's has by that file. What a notebook or the
script that runs has defined is written to a file: its source, and that of what it uses.
"""

import ast
import builtins
import importlib
import inspect
import linecache
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

from algoperf import files
from algoperf.spec import UsageError


def name_of(what: Any, folder: Path) -> str:
    """The dotted path, or <file>.py:<name>, of a class or function.

    Args:
      what: the class or function.
      folder: where the file is written of what is in none that another process could import.

    Raises:
      UsageError: if it is not to be found by any name.

    >>> import collections.abc
    >>> name_of(collections.OrderedDict, Path())
    'collections.OrderedDict'
    """
    module, name = getattr(what, "__module__", None), getattr(what, "__name__", None)
    if not module or not name or not str(name).isidentifier():
        raise UsageError(
            f"{what!r} has no name by which another process finds it: give a class, or a function that is defined by "
            "def."
        )
    file = getattr(sys.modules.get(module), "__file__", None)
    is_at_top = getattr(sys.modules.get(module), name, None) is what
    if module == "__main__" or not is_at_top:
        return f"{_written(what, folder)}:{name}"
    if file is not None and _is_users(Path(file), module):
        return f"{file}:{name}"
    return _shortest(module, name, what)


def _is_users(file: Path, module: str) -> bool:
    """Whether a module is a lone file, and not of an installed package, nor of Python's own."""
    installed = {"site-packages", "dist-packages"} & set(file.parts)
    return "." not in module and not installed and module not in sys.stdlib_module_names


def _shortest(module: str, name: str, what: Any) -> str:
    """Where a package shows it: torch.optim.AdamW, not torch.optim.adamw.AdamW."""
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        place = ".".join(parts[:end])
        try:
            if getattr(importlib.import_module(place), name, None) is what:
                return f"{place}.{name}"
        except ImportError:
            continue
    return f"{module}.{name}"


# ---- source ----------------------------------------------------------------------------------------------------------


def _written(what: Any, folder: Path) -> Path:
    """A new file with the source of a class or function and of all that it uses."""
    imports: dict[str, str] = {}
    sources: dict[str, str] = {}
    _collect(what, imports, sources)
    path = folder / f"{what.__name__.lower()}_source.py"
    head = f'"""{what.__name__}, as it was defined where the benchmark was called from."""'
    parts = [head, "\n".join(sorted(imports.values())), *sources.values()]
    files.write_text(path, "\n\n\n".join(part for part in parts if part) + "\n")
    return path


def _collect(what: Any, imports: dict[str, str], sources: dict[str, str]) -> None:
    """Adds the source of `what`, after that of what it uses."""
    source = _source_of(what)
    scope = _scope_of(what)
    tree = ast.parse(source)
    sources.setdefault(what.__name__, "")  # It may use itself.
    names = {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    for name in sorted(names - {what.__name__}):
        if name in scope and name not in imports and name not in sources:
            _add(name, scope[name], what, imports, sources)
        elif name not in scope and not hasattr(builtins, name) and not _is_bound(name, tree):
            raise UsageError(f"{what.__name__} uses {name}, which is not defined: define it, or import it.")
    del sources[what.__name__]
    sources[what.__name__] = source


def _add(name: str, value: Any, user: Any, imports: dict[str, str], sources: dict[str, str]) -> None:
    if isinstance(value, ModuleType):
        imports[name] = f"import {value.__name__}" + ("" if value.__name__ == name else f" as {name}")
        return
    home, own = getattr(value, "__module__", None), getattr(value, "__name__", None)
    is_code = inspect.isclass(value) or inspect.isfunction(value)
    if is_code and (home == "__main__" or getattr(sys.modules.get(str(home)), str(own), None) is not value):
        _collect(value, imports, sources)
        if own != name:
            sources[name] = f"{name} = {own}"
        return
    if home is not None and getattr(sys.modules.get(home), str(own or name), None) is value:
        called = str(own or name)
        imports[name] = f"from {home} import {called}" + ("" if called == name else f" as {name}")
        return
    try:
        if ast.literal_eval(repr(value)) == value:
            sources[name] = f"{name} = {value!r}"
            return
    except (ValueError, SyntaxError):
        pass
    raise UsageError(
        f"{user.__name__} uses {name}, a {type(value).__name__} that cannot be written down: put the optimizer into a "
        "file of its own, and give <file>.py:<name>."
    )


def _is_bound(name: str, tree: ast.AST) -> bool:
    """Whether a name is an argument or a variable somewhere within."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.arg == name:
            return True
        if isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load):
            return True
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == name:
            return True
        if isinstance(node, (ast.Import, ast.ImportFrom)) and any(
            (alias.asname or alias.name.split(".")[0]) == name for alias in node.names
        ):
            return True
        if isinstance(node, ast.ExceptHandler) and node.name == name:
            return True
    return False


def _functions_of(what: Any) -> list[Any]:
    if not inspect.isclass(what):
        return [what]
    found = [inspect.unwrap(getattr(value, "__func__", value)) for value in vars(what).values()]
    return [one for one in found if inspect.isfunction(one)]


def _scope_of(what: Any) -> dict[str, Any]:
    """The names that its code sees."""
    for function in _functions_of(what):
        enclosing = inspect.getclosurevars(function).nonlocals
        return {**function.__globals__, **enclosing}
    return vars(sys.modules[what.__module__])


def _source_of(what: Any) -> str:
    """The text that defines it; notebooks keep that of their cells where Python looks for it."""
    for function in _functions_of(what):
        lines = linecache.getlines(function.__code__.co_filename)
        if not lines:
            break
        text = "".join(lines)
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, (ast.ClassDef, ast.FunctionDef)) or node.name != what.__name__:
                continue
            start = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            if start <= function.__code__.co_firstlineno <= (node.end_lineno or 0):
                return textwrap.dedent("".join(lines[start - 1 : node.end_lineno])).rstrip()
    raise UsageError(
        f"The source of {what.__name__} is not to be found: put it into a file, and give <file>.py:{what.__name__}."
    )
