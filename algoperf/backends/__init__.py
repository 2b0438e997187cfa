"""What differs between frameworks, behind one small interface; the choice is made once, by name."""

import functools
import importlib
import importlib.util
import os
import re
from typing import Any

from algoperf import machine
from algoperf.backends.base import Backend
from algoperf.spec import UsageError, no_such

BACKENDS = {"jax": "jax_backend", "pytorch": "torch_backend"}
PACKAGES = {"jax": ("jax", "flax", "optax"), "pytorch": ("torch",)}
EXTRAS = {"jax": "jax", "pytorch": "torch"}


def canonical(name: str) -> str:
    """'jax' or 'pytorch'; 'torch' is accepted for 'pytorch'.

    Raises:
      UsageError: for any other name.
    """
    name = {"torch": "pytorch"}.get(name, name)
    if name not in BACKENDS:
        raise no_such("framework", name, list(BACKENDS))
    return name


def missing_packages(name: str) -> list[str]:
    """Packages that a framework needs and that are not installed; imports nothing."""
    return [package for package in PACKAGES[name] if importlib.util.find_spec(package) is None]


def check_installed(name: str) -> None:
    """Raises UsageError with the command that installs what is missing."""
    missing = missing_packages(name)
    if missing:
        others = [other for other in BACKENDS if other != name and not missing_packages(other)]
        advice = f" or use --framework={others[0]}, which is installed" if others else ""
        raise UsageError(
            f"Framework {name!r} needs {', '.join(missing)}, not installed here: "
            f"run `pip install -e .[{EXTRAS[name]}]`{advice}."
        )


@functools.cache
def get_backend(name: str) -> Backend:
    """The backend of a framework; imports that framework and no other."""
    name = canonical(name)
    check_installed(name)
    give_host_devices_threads()
    return importlib.import_module(f"algoperf.backends.{BACKENDS[name]}").make()


def give_host_devices_threads() -> None:
    """For devices that XLA makes of one CPU, to be called before it does; imports nothing.

    They compute in one pool of as many threads as there are cores, and keep a thread while they wait for each other. So
    with two devices on two cores there may be none left for what they wait for, and the run aborts after a minute.
    """
    asked = re.findall(r"--xla_force_host_platform_device_count=(\d+)", os.environ.get("XLA_FLAGS", ""))
    num_devices = int(asked[-1] if asked else os.environ.get("JAX_NUM_CPU_DEVICES", 1))
    if num_devices > 1:
        os.environ.setdefault("PJRT_NPROC", str(machine.num_cores() + 2 * num_devices))


def join_hosts(name: str, hosts: Any) -> None:
    """Meets the other hosts of a run (`algoperf.run.processes.Hosts`), before anything that uses a device.

    Raises:
      UsageError: if they do not come, or the framework has a launcher of its own.
    """
    name = canonical(name)
    check_installed(name)
    importlib.import_module(f"algoperf.backends.{BACKENDS[name]}").join(hosts)


def has_nvidia_gpu() -> bool:
    """Whether this machine shows an NVIDIA device that was not hidden on purpose."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1") or os.environ.get("JAX_PLATFORMS") == "cpu"
    return os.path.exists("/dev/nvidia0") and not hidden


def check_device(found: str, wanted: str, framework: str) -> None:
    """Raises UsageError where a run would fall back from GPU to CPU without having been told to.

    Args:
      found: platform that the framework picked, 'cpu', 'gpu' or another.
      wanted: 'auto', 'cpu' or 'gpu'.
      framework: for the message.
    """
    if wanted == "auto" and found == "cpu" and has_nvidia_gpu():
        raise UsageError(
            f"This machine has an NVIDIA GPU, but {framework} found only the CPU. Install its CUDA build, "
            "or say --device=cpu to run on the CPU."
        )
    if wanted not in ("auto", found):
        raise UsageError(f"--device={wanted} was asked for, but {framework} runs on {found!r} here.")
