"""No module imports itself by way of others, not even inside a function or for a type."""

import ast

import pytest
from harness import ROOT

PACKAGES = (
    *("algoperf", "algorithmic_efficiency", "workloads", "scoring", "campaign", "target_setting"),
    *("reference_algorithms", "submissions", "datasets", "audit", "review"),
)


def modules(root):
    """Dotted name -> file of every module below `root`, packages and scripts alike."""
    found = {}
    for path in [
        *root.glob("*.py"),
        *(path for package in PACKAGES for path in (root / package).rglob("*.py")),
    ]:
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name, path, known):
    """Those of the modules `known` that one imports anywhere in its file: at its head, in a function, for a type."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    wanted = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            wanted.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                wanted.add(full if full in known else base)
    # Importing a.b.c runs a and a.b too; they are running already where the importer lies below them.
    outer = {full.rsplit(".", end)[0] for full in wanted for end in range(1, full.count(".") + 1)}
    outer = {parent for parent in outer if parent != name and not name.startswith(f"{parent}.")}
    return {full for full in wanted | outer if full in known and full != name}


def circles(root):
    """Sorted groups of modules that reach each other by imports."""
    known = modules(root)
    graph = {name: imports(name, path, known) for name, path in known.items()}
    reached = {name: _reached(name, graph) for name in graph}
    groups = {
        tuple(sorted(other for other in reached[name] if name in reached[other]))
        for name in graph
        if name in reached[name]
    }
    return sorted(groups)


def _reached(name, graph):
    found, ahead = set(), [name]
    while ahead:
        new = graph[ahead.pop()] - found
        found |= new
        ahead.extend(new)
    return found


def test_no_module_imports_itself_by_way_of_others():
    assert len(modules(ROOT)) > 150
    assert circles(ROOT) == []


@pytest.mark.parametrize(
    "text",
    [
        "from algoperf import b",
        "import algoperf.b",
        "from algoperf.b import f",
        "from . import b",
        "from .b import f",
        "def f():\n    from algoperf.b import f",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from algoperf.b import f",
    ],
)
def test_a_circle_is_seen_however_it_is_written(tmp_path, text):
    (tmp_path / "algoperf").mkdir()
    (tmp_path / "algoperf" / "__init__.py").write_text("")
    (tmp_path / "algoperf" / "a.py").write_text(text)
    (tmp_path / "algoperf" / "b.py").write_text("import algoperf.c, json")
    (tmp_path / "algoperf" / "c.py").write_text("from algoperf.a import f")
    assert circles(tmp_path) == [("algoperf.a", "algoperf.b", "algoperf.c")]
    (tmp_path / "algoperf" / "b.py").write_text("import json")
    assert circles(tmp_path) == []


def test_a_package_that_imports_a_module_which_needs_one_of_its_own_is_a_circle(tmp_path):
    (tmp_path / "algoperf" / "backends").mkdir(parents=True)
    (tmp_path / "algoperf" / "backends" / "__init__.py").write_text("from algoperf import processes")
    (tmp_path / "algoperf" / "backends" / "base.py").write_text("")
    (tmp_path / "algoperf" / "processes.py").write_text("from algoperf.backends.base import Backend")
    assert circles(tmp_path) == [("algoperf.backends", "algoperf.processes")]
