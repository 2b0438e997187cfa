"""See `algoperf.backends.base.Launch`: torchrun starts PyTorch's processes, one per GPU."""

import os
import sys

from algoperf.backends import compile_caches
from algoperf.hosts import Hosts
from algoperf.spec import UsageError

CACHE_FOLDERS = ("TORCHINDUCTOR_CACHE_DIR", "TORCH_EXTENSIONS_DIR", "PYTORCH_KERNEL_CACHE_PATH")
"""Graphs and kernels of torch.compile (its FX cache lies there, too), C++ extensions, kernels made at run time."""
REMOTE_CACHES = (
    "TORCHINDUCTOR_FX_GRAPH_REMOTE_CACHE",
    "TORCHINDUCTOR_AUTOGRAD_REMOTE_CACHE",
    "TORCHINDUCTOR_AUTOTUNE_REMOTE_CACHE",
    "TORCHINDUCTOR_BUNDLED_AUTOTUNE_REMOTE_CACHE",
    "TORCH_COMPILE_AUTOMATIC_DYNAMIC_REMOTE_PGO",
)
YIELDING = {"GOMP_SPINCOUNT": "30000"}
"""A tenth of the library's default: long enough to meet the next operation of a small model, which comes at once."""
WAITING = (*YIELDING, "OMP_WAIT_POLICY", "KMP_BLOCKTIME")
"""Variables that say how OpenMP's threads wait for each other."""


def prepare() -> None:
    """New caches; threads that wait for each other give up their core soon.

    By default they spin for long, and on a busy machine they spin in the time of the thread that they wait for: 200
    steps of `digits` took 0.44 s on free cores and 2.2 to 4.8 s beside two busy processes. With a tenth of the spinning
    they take 0.48 s and 1.1 s, and 20 steps of `wmt_mini` 0.49 s and 1.2 s (0.54 s and 2.5 s). Without any, threads
    that sleep are woken for every operation: 1.1 s and 1.6 s on free cores. One thread takes 0.54 s and 0.74 s there,
    so the number of threads stays PyTorch's own (benchmarks/busy_cores.py). What the user has said about waiting stays.
    """
    compile_caches.renew(CACHE_FOLDERS, dict.fromkeys(REMOTE_CACHES, "0"))
    if not any(name in os.environ for name in WAITING):
        os.environ.update(YIELDING)


def use_threads(count: int) -> None:
    """See `Launch.use_threads`."""
    os.environ["OMP_NUM_THREADS"] = str(count)
    if "torch" in sys.modules:  # Then it has read the variable.
        sys.modules["torch"].set_num_threads(count)


def join_hosts(hosts: Hosts) -> None:
    """Always refused: torchrun connects PyTorch's processes.

    Raises:
      UsageError: always.
    """
    raise UsageError(
        f"--coordinator={hosts.coordinator} is for JAX. Start PyTorch on several hosts with `torchrun --nnodes=<hosts> "
        "--nproc_per_node=<GPUs> --rdzv_backend=c10d --rdzv_endpoint=<host:port> submission_runner.py …`."
    )


def is_launched() -> bool:
    """Whether torchrun started this process."""
    return "LOCAL_RANK" in os.environ
