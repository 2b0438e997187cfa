"""The examples of docs/python.md, with pretended trials; the notebook, with real ones."""

import linecache
import os
import re
import sys
import types

import pytest
from harness import ROOT

PAGE = ROOT / "docs" / "python.md"
NOTEBOOK = ROOT / "docs" / "python.ipynb"


def test_the_examples_of_the_page_run_one_after_the_other(pretended, monkeypatch):
    monkeypatch.chdir(pretended)
    module = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), flags=re.M | re.S)
    assert len(blocks) >= 5
    for number, block in enumerate(blocks):
        name = f"<block {number}>"
        monkeypatch.setitem(linecache.cache, name, (len(block), None, block.splitlines(keepends=True), name))
        exec(compile(block, name, "exec"), module.__dict__)
    assert module.run.status == "target_reached"
    assert len(module.sweep.table()) == 3
    assert module.field.table().column("submission") != []
    assert (pretended / "report.html").exists()
    assert (pretended / "curves.svg").exists()


def test_the_notebook_runs(tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    monkeypatch.setenv("ALGOPERF_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=400, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = "".join(
        str(output.get("data", {})) for cell in notebook.cells for output in cell.get("outputs", [])
    )
    assert "max_steps" in shown  # The sweep's table.
    assert "image/png" in shown  # Its curves.
    assert (tmp_path / "results").is_dir()
