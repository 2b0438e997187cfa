"""Which room may import which: the table in CONTRIBUTING.md, held against every import of the project."""

import ast
import re

import pytest
from harness import ROOT

# Rooms of algoperf that are no folder: which modules and folders they consist of.
GROUPS = {
    "algoperf/words": (
        *("spec", "direction", "files", "typed_json", "weights"),
        *("param_utils", "random_utils", "jax_utils", "jax_sharding_utils", "pytorch_utils"),
    ),
    "algoperf/facts": (
        *(
            "frameworks",
            "workload",
            "suites",
            "held_out",
            "data_seed",
            "tuning",
            "settings",
            "settings_flags",
            "hosts",
            "machine",
            "host_limits",
            "records",
            "logged",
        ),
        *("submission", "submission_import", "submission_source", "submission_info"),
        *("submission_files", "source_digest"),
        *("commands", "output", "holders", "shipped"),
    ),
    "algoperf/machinery": ("backends", "data", "losses", "metrics", "layers", "families", "registry"),
    "algoperf/bound": ("bound_workload", "evaluation"),
}
ROOM_OF_MODULE = {f"algoperf.{name}": room for room, names in GROUPS.items() for name in names}


def table():
    """Room -> the rooms that it may import, as CONTRIBUTING.md says."""
    rows = re.findall(
        r"^\| `([\w/]+)` \|[^|]*\|([^|]*)\|$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE
    )
    return {room: re.findall(r"`([\w/]+)`", may) for room, may in rows}


def room_of(module):
    """The room of a dotted name; None if it is not ours."""
    parts = module.split(".")
    if parts[0] != "algoperf":
        return parts[0] if parts[0] in table() else None
    if len(parts) == 1:
        return "algoperf"
    return ROOM_OF_MODULE.get(".".join(parts[:2]), "algoperf/" + parts[1])


def imported(path):
    """Dotted names that a file imports, in functions and for types, too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            # `from algoperf import records` names a module, `from algoperf.records import SUMMARY` one of its members.
            inner = node.module == "algoperf"
            yield from (f"algoperf.{alias.name}" for alias in node.names) if inner else [node.module]


ROOMS = [room for room in table() if "/" not in room] + ["algoperf"]


@pytest.mark.parametrize("folder", ROOMS)
def test_a_room_imports_only_what_its_row_names(folder):
    may = table()
    for path in sorted((ROOT / folder).rglob("*.py")):
        own = room_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for name in imported(path):
            other = room_of(name)
            if other in (None, own, "algoperf") or own in ("algoperf", "algoperf/__init__"):
                continue
            allowed = {*may[own], *(room for room in may if room.split("/")[0] in may[own])}
            assert other in allowed, f"{path.relative_to(ROOT)} ({own}) imports {name} ({other})"


def test_every_module_of_the_harness_has_a_room():
    rooms = table()
    for path in (ROOT / "algoperf").iterdir():
        if path.suffix == ".py" or (path / "__init__.py").exists():
            name = path.stem
            assert name == "__init__" or room_of(f"algoperf.{name}") in rooms, f"{path.name} has no room"


def test_a_forbidden_import_would_be_seen():
    may = table()
    assert "algoperf/run" not in may["algoperf/machinery"]
    assert may["algoperf/words"] == []
    assert room_of("algoperf.backends.jax_model") == "algoperf/machinery"
    assert room_of("algoperf.run.trial") == "algoperf/run"
    assert room_of("numpy") is None
