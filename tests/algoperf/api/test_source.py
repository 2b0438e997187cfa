"""What is defined in a notebook, written down as a file that stands alone."""

import functools
import importlib.util
import linecache
import sys
import types
from pathlib import Path

import pytest

from algoperf.api import source
from algoperf.spec import UsageError

CELL = '''
import math as m
import numpy as np
from collections import OrderedDict

SCALE = 0.5
TABLE = np.zeros(3)
BETAS = (0.9, 0.99)


def helper(x):
    return m.sqrt(x) * SCALE


def decorate(kind):
    kind.is_decorated = True
    return kind


class Base:
    def step(self):
        return helper(4.0), self.late()


@decorate
class Mine(Base):
    """An optimizer, as far as this test is concerned."""

    def __init__(self, betas=BETAS):
        self.betas, self.state = betas, OrderedDict()

    def late(self):
        SCALE = 3
        return SCALE


class UsesTable(Base):
    def step(self):
        return TABLE


class Short(Mine):
    pass


def make(lr):
    return Short(betas=(lr, lr))


def outer():
    class Inner(Base):
        pass

    return Inner
'''


@pytest.fixture
def notebook(monkeypatch):
    """`__main__` after the cell has run, as in a kernel: its source is in the cache of lines, not in a file."""
    name = "/ipykernel_1/123.py"
    module = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    monkeypatch.setitem(linecache.cache, name, (len(CELL), None, CELL.splitlines(keepends=True), name))
    module.In = ["", CELL]
    exec(compile(CELL, name, "exec"), module.__dict__)
    return module


def written(what, folder):
    """The module in the file that is written for something."""
    file, name = source.reference(what, folder).rsplit(":", 1)
    spec = importlib.util.spec_from_file_location("written", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name), file


def test_a_class_of_a_notebook_is_written_with_all_that_it_refers_to(notebook, tmp_path):
    mine, file = written(notebook.Mine, tmp_path)
    assert mine().step() == (1.0, 3)
    assert mine.is_decorated
    assert mine().betas == (0.9, 0.99)
    text = Path(file).read_text()
    assert "TABLE" not in text
    assert "import math as m" in text
    assert "from collections import OrderedDict" in text
    _, same = written(notebook.Mine, tmp_path)
    assert same == file


def test_a_class_without_functions_and_a_function_are_found_too(notebook, tmp_path):
    short, _ = written(notebook.Short, tmp_path)
    assert short().step() == (1.0, 3)
    make, _ = written(notebook.make, tmp_path)
    assert make(0.1).betas == (0.1, 0.1)


def test_the_newest_definition_counts_where_a_cell_was_run_again(notebook, tmp_path):
    changed = CELL.replace("return SCALE", "return 7").replace("* SCALE", "* 2.0")
    name = "/ipykernel_1/124.py"
    linecache.cache[name] = (len(changed), None, changed.splitlines(keepends=True), name)
    exec(compile(changed, name, "exec"), notebook.__dict__)
    mine, _ = written(notebook.Mine, tmp_path)
    assert mine().step() == (4.0, 7)


def test_what_cannot_be_written_down_is_named(notebook, tmp_path):
    with pytest.raises(UsageError, match="UsesTable uses 'TABLE', a ndarray of the notebook"):
        source.reference(notebook.UsesTable, tmp_path)
    with pytest.raises(UsageError, match="defined inside a function"):
        source.reference(notebook.outer(), tmp_path)
    with pytest.raises(UsageError, match="A partial function has no name"):
        source.reference(functools.partial(notebook.make, lr=1), tmp_path)
    made = type("Made", (notebook.Base,), {"__module__": "__main__"})
    with pytest.raises(UsageError, match="source of Made cannot be had"):
        source.reference(made, tmp_path)


def test_what_a_package_defines_is_named_by_its_shortest_path_and_a_users_file_by_itself(
    tmp_path, monkeypatch
):
    import collections
    import json

    assert source.reference(json.JSONDecoder, tmp_path) == "json.JSONDecoder"  # Defined in json.decoder.
    assert source.reference(collections.Counter, tmp_path) == "collections.Counter"
    (tmp_path / "own_optimizer.py").write_text("class Own: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    import own_optimizer

    assert source.reference(own_optimizer.Own, tmp_path) == f"{tmp_path / 'own_optimizer.py'}:Own"
    sys.modules.pop("own_optimizer")
