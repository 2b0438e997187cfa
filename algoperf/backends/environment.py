"""What of a process's environment changes numbers or times: recorded, and a part of a trial's identity."""

import os
import re
from typing import Any

from algoperf import machine
from algoperf.backends.base import Backend

RECORDED = re.compile(
    r"(OMP|GOMP|KMP|MKL|OPENBLAS|BLIS|NUMEXPR|VECLIB|JAX|XLA|PJRT|CUDA|CUDNN|CUBLAS|NCCL|TRITON|NUMBA|MALLOC)_.*"
    r"|(PY)?TORCH.*|NVIDIA_TF32_OVERRIDE|TF_XLA_FLAGS|LD_PRELOAD|PYTHONHASHSEED|ALGOPERF_KEEP_COMPILE_CACHE"
)
"""Names of variables that go into the records."""
_SECRET = re.compile("KEY|TOKEN|SECRET|PASS|CREDENTIAL")
"""Parts of names whose values nobody wants in a folder that is handed on."""
THREADS = "threads"
_NO_NUMBERS = re.compile(r"--xla_(dump|force_host_platform_device_count|gpu_.*cache)")
"""Flags of XLA that change no numbers, or that a run may change when it goes on."""


def record(backend: Backend) -> dict[str, Any]:
    """What goes into the records of a trial: what the framework does with it, and the variables themselves."""
    variables = {
        name: value
        for name, value in sorted(os.environ.items())
        if RECORDED.fullmatch(name) and not _SECRET.search(name)
    }
    return {**backend.numerics(), "cores": machine.num_cores(), "variables": variables}


def of_identity(backend: Backend) -> dict[str, Any]:
    """What must be equal for one run to continue another.

    A GPU's numbers do not depend on the threads of its host, so a run may go on beside other cores.
    """
    found = dict(backend.numerics())
    if backend.platform() != "cpu":
        found.pop(THREADS, None)
    return found


def that_change_numbers(xla_flags: str) -> str:
    """Those of XLA's flags, in one order.

    >>> that_change_numbers("--xla_dump_to=/x --xla_b=1 --xla_a=2")
    '--xla_a=2 --xla_b=1'
    """
    return " ".join(sorted(flag for flag in xla_flags.split() if not _NO_NUMBERS.match(flag)))
