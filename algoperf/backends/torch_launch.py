"""See `algoperf.backends.base.Launch`: torchrun starts PyTorch's processes, one per GPU."""

import os
import sys

from algoperf.backends import compile_caches, visible_gpus
from algoperf.hosts import Hosts, Launched
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
LIBRARIES = ("torch._dynamo",)
"""See `Launch.LIBRARIES`: an optimizer of torch.optim imports it when it is made."""
OF_LAUNCHER = ("LOCAL_RANK", "RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Variables by which processes of one run find each other."""
OF_TORCHRUN = ("TORCHELASTIC_", "TORCH_NCCL_ASYNC", "GROUP_", "ROLE_")
"""How the names of others begin, which torchrun sets for its own processes."""
INTERFACES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")
"""Variables that name the network over which the libraries meet."""
LOOPBACK = "lo"
"""That of one host, on Linux: all that confined processes have."""
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


def launched() -> Launched | None:
    """See `Launch.launched`."""
    if not is_launched():
        return None
    index, count = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    return Launched(index, count, int(os.environ.get("LOCAL_WORLD_SIZE", count)))


def in_group(index: int, count: int, port: int) -> dict[str, str | None]:
    """See `Launch.in_group`: what torchrun would set for a group on one host."""
    variables: dict[str, str | None] = dict.fromkeys(OF_LAUNCHER)
    variables.update(dict.fromkeys(name for name in os.environ if name.startswith(OF_TORCHRUN)))
    if count == 1:
        return variables
    variables.update(
        LOCAL_RANK=str(index),
        RANK=str(index),
        WORLD_SIZE=str(count),
        LOCAL_WORLD_SIZE=str(count),
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
        OMP_NUM_THREADS=os.environ.get("OMP_NUM_THREADS", "1"),  # As torchrun does.
        **dict.fromkeys(INTERFACES, LOOPBACK),
    )
    return variables


def evaluator_environment(device: str) -> dict[str, str | None]:
    """See `Launch.evaluator_environment`."""
    if device == "same":
        return {}
    return (
        {visible_gpus.VARIABLE: visible_gpus.NONE} if device == "cpu" else {**visible_gpus.only(int(device))}
    )


def trainee_environment(evaluator_device: str) -> dict[str, str | None]:
    """See `Launch.trainee_environment`."""
    return {**visible_gpus.all_but(int(evaluator_device))} if evaluator_device.isdecimal() else {}


def cuda_of_build() -> str | None:
    """See `Launch.cuda_of_build`."""
    import torch  # Only asked where it is imported anyway.

    return torch.version.cuda
