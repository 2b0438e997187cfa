"""See `algoperf.backends.base.Launch`: JAX's processes, one a host, meet at a coordinator."""

import logging
import os
import re

from algoperf import machine
from algoperf.hosts import Hosts


def prepare() -> None:
    """Keeps JAX from reporting every platform that it looked for, and gives devices made of one CPU their threads.

    XLA's devices of one CPU compute in one pool of as many threads as there are cores, and keep a thread while they
    wait for each other. So with two devices on two cores there may be none left for what they wait for, and the run
    aborts after a minute.
    """
    logging.getLogger("jax").setLevel(logging.WARNING)
    asked = re.findall(r"--xla_force_host_platform_device_count=(\d+)", os.environ.get("XLA_FLAGS", ""))
    num_devices = int(asked[-1] if asked else os.environ.get("JAX_NUM_CPU_DEVICES", 1))
    if num_devices > 1:
        os.environ.setdefault("PJRT_NPROC", str(machine.num_cores() + 2 * num_devices))


def join_hosts(hosts: Hosts) -> None:
    """Meets the other hosts; imports JAX.

    Raises:
      UsageError: if they do not come.
    """
    from algoperf.backends import jax_processes

    jax_processes.join(hosts)


def is_launched() -> bool:
    """False: who starts JAX on several hosts says so with --coordinator."""
    return False
