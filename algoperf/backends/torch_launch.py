"""See `algoperf.backends.base.Launch`: torchrun starts PyTorch's processes, one per GPU."""

import os

from algoperf.hosts import Hosts
from algoperf.spec import UsageError


def prepare() -> None:
    """Nothing has to be set."""


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
