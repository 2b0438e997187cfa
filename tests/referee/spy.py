"""What a submission of a test tries once it trains; 1 is a success. It changes no number of the training."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import algoperf

RIVAL = Path(os.environ["TEST_RIVAL"])
PLACES = [Path(os.environ[name]) for name in ("HOME", "TMPDIR")] + [Path("/dev/shm")]


def files_of_others():
    """In the folders that it can write, but for those that the harness has just made."""
    found = [path for place in PLACES for path in place.rglob("*") if path.is_file()]
    return [path for path in found if not any("algoperf_compile" in part for part in path.parts)]


FOUND = len(files_of_others())


def opened(path, mode="r"):
    open(path, mode).close()


def could(attempt):
    try:
        attempt()
    except Exception:
        return 0
    return 1


def read_validation_data(workload):
    next(iter(workload.data_module.eval_batches(workload.spec, Path(), "validation", 8)))


def outcomes(workload):
    import importlib.util

    sklearn = Path(importlib.util.find_spec("sklearn").origin).parent
    parent = os.getppid()
    code = f"open({str(RIVAL)!r})"
    found = {
        "read_validation_data": could(lambda: read_validation_data(workload)),
        "read_all_digits": could(lambda: opened(sklearn / "datasets" / "data" / "digits.csv.gz")),
        "read_rival": could(lambda: opened(RIVAL)),
        "read_rival_in_a_child": could(
            lambda: subprocess.run([sys.executable, "-S", "-c", code], check=True)
        ),
        "write_results": could(lambda: opened(RIVAL, "a")),
        "write_harness": could(lambda: opened(algoperf.__file__, "a")),
        "write_bytecode": could(lambda: os.mkdir(Path(algoperf.__file__).parent / "__pycache__" / "spy")),
        "open_socket": could(socket.socket),
        "signal_referee": could(lambda: os.kill(parent, 0)),
        "read_flags": could(lambda: opened(f"/proc/{parent}/cmdline")),
        "files_of_others": FOUND,
    }
    for place in PLACES:
        (place / "left_behind").write_text("weights")
    return found
