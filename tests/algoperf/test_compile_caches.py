"""No trial finds what another one compiled (R3.8): caches on disk are new for each, and gone after it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness import FRAMEWORKS, ROOT

from algoperf import backends
from algoperf.backends import compile_caches
from algoperf.spec import UsageError

CACHES = (
    *compile_caches.FOLDERS,
    *("TORCHINDUCTOR_CACHE_DIR", "TORCH_EXTENSIONS_DIR", "JAX_COMPILATION_CACHE_DIR", "NUMBA_CACHE_DIR"),
)
SCRIPT = """
import json, os, sys
from algoperf import backends
from algoperf.backends import compile_caches

framework = sys.argv[1]
backends.launch(framework).prepare()
assert not {"jax", "torch"} & set(sys.modules)
with compile_caches.numba_of_harness():
    numba = os.environ.get("NUMBA_CACHE_DIR")
first = compile_caches.record()
backends.launch(framework).prepare()
assert compile_caches.record() == first, "the second call changes nothing"
print(json.dumps({
    "record": first,
    "environment": dict(os.environ),
    "warnings": compile_caches.warnings(),
    "numba": numba,
    "is_there": os.path.isdir(os.path.dirname(os.environ.get("TRITON_CACHE_DIR", ""))),
}))
"""


@pytest.fixture
def tmp(tmp_path):
    """A folder for temporary files."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    return folder


def environment(tmp, **own):
    """Without what the tests themselves have set."""
    inherited = {key: os.environ[key] for key in os.environ if key not in (compile_caches.KEEP, *CACHES)}
    return {**inherited, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp), **own}


def prepared(tmp, framework, **own):
    """What a process finds after `Launch.prepare`."""
    command = [sys.executable, "-c", SCRIPT, framework]
    done = subprocess.run(command, env=environment(tmp, **own), text=True, capture_output=True, cwd=tmp)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_each_process_has_new_caches_in_a_folder_that_ends_with_it(tmp, framework):
    first, second = prepared(tmp, framework), prepared(tmp, framework)
    for name in compile_caches.FOLDERS:
        assert Path(first["environment"][name]).is_relative_to(tmp)
        assert first["environment"][name] != second["environment"][name]
    assert Path(first["environment"]["NUMBA_CACHE_DIR"]).is_relative_to(tmp)
    assert first["numba"] is None, "the harness's own functions keep theirs"
    assert first["is_there"], "while the process runs"
    assert list(tmp.iterdir()) == []
    assert first["warnings"] == []
    assert first["record"]["new"]


def test_caches_of_the_user_are_not_used_and_the_records_say_so(tmp, tmp_path):
    mine = str(tmp_path / "mine")
    flags = "--xla_cpu_enable_fast_math=false"
    found = prepared(
        tmp,
        "jax",
        JAX_COMPILATION_CACHE_DIR=mine,
        TRITON_CACHE_DIR=mine,
        NUMBA_CACHE_DIR=mine,
        XLA_FLAGS=f"{flags} --xla_gpu_per_fusion_autotune_cache_dir={mine}",
    )
    assert "JAX_COMPILATION_CACHE_DIR" not in found["environment"]
    assert found["environment"]["JAX_ENABLE_COMPILATION_CACHE"] == "false"
    assert found["environment"]["XLA_FLAGS"] == flags
    assert found["environment"]["NUMBA_CACHE_DIR"] != mine
    assert found["numba"] == mine
    assert set(found["record"]["overridden"]) == {
        "JAX_COMPILATION_CACHE_DIR",
        "TRITON_CACHE_DIR",
        "XLA_FLAGS",
    }
    assert found["warnings"][0] == (
        f"TRITON_CACHE_DIR={mine} is not used: a trial finds nothing that another one compiled (R3.8)."
    )
    assert found["environment"]["TRITON_CACHE_DIR"] != mine
    inductor = prepared(tmp, "pytorch", TORCHINDUCTOR_CACHE_DIR=mine)
    assert inductor["environment"]["TORCHINDUCTOR_CACHE_DIR"] != mine


def test_what_a_parent_process_renewed_for_itself_is_no_setting_of_the_user(tmp):
    outer = prepared(tmp, "pytorch")["environment"]
    inner = prepared(tmp, "pytorch", **{name: outer[name] for name in compile_caches.FOLDERS})
    assert inner["record"]["overridden"] == {}
    assert inner["environment"]["TRITON_CACHE_DIR"] != outer["TRITON_CACHE_DIR"]


def test_tests_may_keep_caches_and_the_run_says_that_it_is_not_comparable(tmp, tmp_path):
    mine = str(tmp_path / "mine")
    found = prepared(tmp, "jax", JAX_COMPILATION_CACHE_DIR=mine, ALGOPERF_KEEP_COMPILE_CACHE="1")
    assert found["environment"]["JAX_COMPILATION_CACHE_DIR"] == mine
    assert found["record"] == {"new": False}
    assert "times are not comparable" in found["warnings"][0]


def test_the_caches_of_a_process_that_was_killed_are_removed_by_the_next(tmp):
    code = "import os; from algoperf.backends import compile_caches as c; c.renew(); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code], env=environment(tmp), cwd=tmp)
    (left,) = tmp.glob(f"{compile_caches.PREFIX}*")
    strange = tmp / f"{compile_caches.PREFIX}without_lock"
    strange.mkdir()
    prepared(tmp, "jax")
    assert list(tmp.iterdir()) == [strange], "a folder that is being made at this moment stays"
    assert not left.exists()


def test_a_living_process_keeps_its_caches_while_others_start(tmp):
    code = "from algoperf.backends import compile_caches as c; c.renew(); print(flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], env=environment(tmp), cwd=tmp, **pipes) as living:
        living.stdout.readline()
        prepared(tmp, "jax")
        assert len(list(tmp.iterdir())) == 1
        living.stdin.write("\n")
        living.stdin.close()
    assert list(tmp.iterdir()) == []


def test_no_place_for_compiled_code_is_one_line(monkeypatch, tmp_path):
    monkeypatch.delenv(compile_caches.KEEP, raising=False)
    monkeypatch.setattr(compile_caches, "_renewed", compile_caches._Renewed())
    monkeypatch.setattr(compile_caches.tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(UsageError, match=r"There is no place for compiled code .*set TMPDIR to a folder"):
        backends.launch("pytorch").prepare()


NUMBA = """
import json, os, sys
from algoperf import backends

backends.launch("pytorch").prepare()
import numba
from algoperf.data import machine_code

@machine_code.compiled()
def of_harness(x):
    return x + 1

def of_submission(x):
    return x + 2

of_harness(1)
late = numba.njit(cache=True)(of_submission)  # As in a first update.
late(1)
print(json.dumps([sum(f.stats.cache_hits.values()) for f in (of_harness, late)]))
"""


def test_numba_functions_that_a_submission_makes_at_any_time_are_compiled_anew(tmp, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(NUMBA)

    def hits():
        own = environment(tmp, NUMBA_CACHE_DIR=str(tmp_path / "mine"))
        done = subprocess.run([sys.executable, script], env=own, text=True, capture_output=True, cwd=tmp)
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)

    assert hits() == [0, 0]
    assert hits() == [1, 0]


COMPILES = """
import json, os, sys, time
from algoperf import backends

backends.launch("pytorch").prepare()
import torch
import torch._inductor.codecache
from torch._dynamo.utils import counters

@torch.compile
def f(x):
    return x @ x  # One of PyTorch's own kernels, for which no C++ is compiled: that takes 10 s.

f(torch.ones(4, 4))
print(json.dumps([counters["inductor"]["fxgraph_cache_hit"], counters["inductor"]["fxgraph_cache_miss"]]))
"""


def test_torch_compile_finds_no_code_of_the_process_before(tmp):
    # Neither helpers that compile, each a process, nor a compiler that tries what this processor can do.
    quicker = {"TORCHINDUCTOR_COMPILE_THREADS": "1", "TORCHINDUCTOR_VEC_ISA_OK": "0"}

    def hits_and_misses(**own):
        command = [sys.executable, "-c", COMPILES]
        done = subprocess.run(
            command, env=environment(tmp, **quicker, **own), text=True, capture_output=True, cwd=tmp
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)

    assert hits_and_misses(ALGOPERF_KEEP_COMPILE_CACHE="1") == [0, 1]
    assert [path for path in tmp.rglob("fxgraph/*") if path.is_dir()], "which is why caches are renewed"
    assert hits_and_misses() == [0, 1]
