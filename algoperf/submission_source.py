"""How a submission was written, as its source says without being imported."""

import ast
from collections.abc import Collection, Iterator
from pathlib import Path

from algoperf.submission_import import API, PROJECT, absolute_imports, parse

MODEL_FN_POSITIONALS = 7
"""Arguments of `model_fn` up to and including `dropout_rate`."""


class Source:
    """The file of a submission and the files beside it that it leads to.

    Args:
      file: of the submission.

    Raises:
      SyntaxError, ValueError: if the file is not valid Python; a sibling may be broken.
    """

    def __init__(self, file: Path):
        self.file = file
        self._trees: dict[Path, ast.Module] = {file: parse(file)}
        self._add_siblings()

    def _add_siblings(self) -> None:
        """Follows the imports: to files of the folder that are called like a part of an imported name, whatever path
        the name has, and to those that the whole name leads to from a folder above.
        """
        siblings: dict[str, list[Path]] = {}
        for path in sorted(self.file.parent.rglob("*.py")):
            siblings.setdefault(path.stem, []).append(path)
        waiting = [self._trees[self.file]]
        while waiting:
            tree = waiting.pop()
            found = [path for part in _imported_parts(tree) for path in siblings.get(part, ())]
            for path in (*found, *self._above(tree)):
                if path in self._trees:
                    continue
                try:
                    self._trees[path] = parse(path)
                except (SyntaxError, ValueError, OSError):
                    continue
                waiting.append(self._trees[path])

    def _above(self, tree: ast.Module) -> Iterator[Path]:
        """Files by absolute names, of those folders above that are not Python's or the system's own."""
        for name, imported, _ in absolute_imports(tree):
            parts = name.split(".")
            if parts[0] in API or len(parts) == 1:
                continue
            for root in (*self.file.parents, PROJECT):
                for target in (root.joinpath(*parts), *(root.joinpath(*parts, other) for other in imported)):
                    path = target.with_name(f"{target.name}.py")
                    if path.is_file():
                        yield path

    def _nodes(self) -> Iterator[ast.AST]:
        for tree in self._trees.values():
            yield from ast.walk(tree)

    def uses(self, packages: Collection[str], names: Collection[str]) -> bool:
        """Whether it uses one of these names of these packages: as an attribute of one, or imported from one.

        A variable of that name is none, nor is a method, nor an import that is never used.
        """
        return any(_uses(tree, packages, names) for tree in self._trees.values())

    def passes_dropout(self) -> bool:
        """Whether it hands the model a dropout rate of its own: `dropout_rate=`, a seventh argument, or `**` of one."""
        has_name = any(
            isinstance(node, ast.Constant) and node.value == "dropout_rate" for node in self._nodes()
        )
        for call in (node for node in self._nodes() if isinstance(node, ast.Call)):
            if any(keyword.arg == "dropout_rate" for keyword in call.keywords):
                return True
            if isinstance(call.func, ast.Attribute) and call.func.attr == "model_fn":
                if len(call.args) >= MODEL_FN_POSITIONALS:
                    return True
                # `dict(dropout_rate=...)` is a call with this keyword; a literal has the name as text.
                if has_name and any(keyword.arg is None for keyword in call.keywords):
                    return True
        return False


def _imported_parts(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                yield from alias.name.split(".")
        if isinstance(node, ast.ImportFrom):
            yield from (node.module or "").split(".")


def _uses(tree: ast.Module, packages: Collection[str], names: Collection[str]) -> bool:
    modules, imported = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.asname or alias.name for alias in node.names if alias.name in packages}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module in packages:
            imported |= {alias.asname or alias.name for alias in node.names if alias.name in names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in names:
            if isinstance(node.value, ast.Name) and node.value.id in modules:
                return True
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in imported:
            return True
    return False
