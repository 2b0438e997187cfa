"""See `algoperf.backends.base.Launch`: torchrun starts PyTorch's processes, one per GPU."""

import os

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
YIELDING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
WAITING = (*YIELDING, "KMP_BLOCKTIME")
"""Variables that say how OpenMP's threads wait for each other."""


def prepare() -> None:
    """New caches; threads that wait for each other give up their core at once.

    By default they spin, and on a busy machine they spin in the time of the thread that they wait for: 200 steps of
    `digits` took 1.2 s on free cores, 5.3 s beside two busy processes, and 1.6 s there without spinning, which on free
    cores costs nothing (benchmarks/busy_cores.py). What the user has said about waiting stays.
    """
    compile_caches.renew(CACHE_FOLDERS, dict.fromkeys(REMOTE_CACHES, "0"))
    if not any(name in os.environ for name in WAITING):
        os.environ.update(YIELDING)


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
