"""See `algoperf.backends.base.Launch`: JAX runs one process per host; they connect through a coordinator."""

import logging
import os
import re

from algoperf import machine
from algoperf.backends import compile_caches, visible_gpus
from algoperf.hosts import Hosts, Launched
from algoperf.spec import UsageError

THREADS = "PJRT_NPROC"
"""Variable with the number of XLA's threads on a CPU; one a core without it."""
PREALLOCATE = "XLA_PYTHON_CLIENT_PREALLOCATE"
"""Variable: whether JAX takes its share of a GPU's memory at the start, or when it needs it."""
SHARE = "XLA_PYTHON_CLIENT_MEM_FRACTION"
"""Variable: the share of a GPU's memory that JAX takes at most."""
USUAL_SHARE = 0.75
"""What JAX takes where nothing is said."""
LIBRARIES: tuple[str, ...] = ()
"""See `Launch.LIBRARIES`: the harness itself imports what submissions do."""
_chosen: set[str] = set()
"""Values of it that are not the user's."""


def prepare() -> None:
    """Takes JAX's caches on disk away, keeps it from reporting every platform that it looked for, and gives devices
    made of one CPU their threads.

    If XLA makes several devices of one CPU, they share one pool with as many threads as there are cores, and each
    device holds a thread while it waits for the others. With two devices on two cores no thread may be left for the
    work that both wait for, and the run aborts after a minute.
    """
    compile_caches.renew(
        fixed={
            "JAX_ENABLE_COMPILATION_CACHE": "false",
            "JAX_COMPILATION_CACHE_DIR": None,
            "XLA_FLAGS": compile_caches.without_autotune_caches(os.environ.get("XLA_FLAGS", "")),
        }
    )
    logging.getLogger("jax").setLevel(logging.WARNING)
    asked = re.findall(r"--xla_force_host_platform_device_count=(\d+)", os.environ.get("XLA_FLAGS", ""))
    num_devices = int(asked[-1] if asked else os.environ.get("JAX_NUM_CPU_DEVICES", 1))
    if num_devices > 1 and THREADS not in os.environ:
        # Two waiting threads per device on top of one per core: `wmt_mini` on two devices and two cores hung
        # in 3 of 4 runs without this, and in none with it.
        os.environ[THREADS] = str(machine.num_cores() + 2 * num_devices)
        _chosen.add(os.environ[THREADS])


def num_threads() -> int:
    """Threads of XLA on a CPU: as the user says, or one a core; those that wait between devices do not count."""
    threads = os.environ.get(THREADS, "")
    return int(threads) if threads.isdecimal() and threads not in _chosen else machine.num_cores()


def use_threads(count: int) -> None:
    """See `Launch.use_threads`; of no effect once JAX has made its devices."""
    os.environ[THREADS] = str(count)


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


def launched() -> Launched | None:
    """See `Launch.launched`."""
    return None


def in_group(index: int, count: int, port: int) -> dict[str, str | None]:
    """See `Launch.in_group`.

    Raises:
      UsageError: for a group.
    """
    del index, port
    if count > 1:
        raise UsageError(
            f"--num_processes={count} is for PyTorch: one process of JAX uses all devices that it sees. Leave it out."
        )
    return {}


def evaluator_environment(device: str) -> dict[str, str | None]:
    """See `Launch.evaluator_environment`."""
    if device == "same":
        return {PREALLOCATE: "false", SHARE: str(visible_gpus.EVALUATOR_SHARE)}
    if device == "cpu":
        return {"JAX_PLATFORMS": "cpu", visible_gpus.VARIABLE: visible_gpus.NONE}
    return {**visible_gpus.only(int(device))}


def trainee_environment(evaluator_device: str) -> dict[str, str | None]:
    """See `Launch.trainee_environment`: on a shared device, memory is taken when it is needed."""
    if evaluator_device == "same":
        if not visible_gpus.visible():
            return {}
        return {PREALLOCATE: os.environ.get(PREALLOCATE, "false")}
    return {**visible_gpus.all_but(int(evaluator_device))} if evaluator_device.isdecimal() else {}


def cuda_of_build() -> str | None:
    """See `Launch.cuda_of_build`: the newest of JAX's plugins that is installed, whose names say it."""
    names = [f"jax-cuda{major}-plugin" for major in ("13", "12")]
    found = machine.installed_versions(names)
    return next(
        (name.removeprefix("jax-cuda").removesuffix("-plugin") for name in names if name in found), None
    )
