"""See `algoperf.backends.base.Launch`: JAX runs one process per host; they connect through a coordinator."""

import logging
import os
import re

from algoperf import machine
from algoperf.hosts import Hosts


def prepare() -> None:
    """Silences JAX's log of platforms that it did not find, and sets the threads for several devices on one CPU.

    If XLA makes several devices of one CPU, they share one pool with as many threads as there are cores, and each
    device holds a thread while it waits for the others. With two devices on two cores no thread may be left for the
    work that both wait for, and the run aborts after a minute.
    """
    logging.getLogger("jax").setLevel(logging.WARNING)
    asked = re.findall(r"--xla_force_host_platform_device_count=(\d+)", os.environ.get("XLA_FLAGS", ""))
    num_devices = int(asked[-1] if asked else os.environ.get("JAX_NUM_CPU_DEVICES", 1))
    if num_devices > 1:
        # Two waiting threads per device on top of one per core: `wmt_mini` on two devices and two cores hung
        # in 3 of 4 runs without this, and in none with it.
        os.environ.setdefault("PJRT_NPROC", str(machine.num_cores() + 2 * num_devices))


def join_hosts(hosts: Hosts) -> None:
    """Connects to the other hosts; imports JAX.

    Raises:
      UsageError: if they do not connect in time.
    """
    from algoperf.backends import jax_processes

    jax_processes.join(hosts)


def is_launched() -> bool:
    """Always False: a run on several hosts is recognised by --coordinator, not by a launcher."""
    return False
