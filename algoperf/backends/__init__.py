"""Everything that differs between frameworks, behind one small interface; `get_backend` chooses by name."""

import functools
import importlib
import os

from algoperf import frameworks
from algoperf.backends.base import Backend, Launch
from algoperf.frameworks import Framework
from algoperf.spec import UsageError


def get_backend(name: str) -> Backend:
    """The backend of a framework; imports that framework and no other."""
    return _made(frameworks.get(name))


# One backend per process: it owns the process group and compiles what `wait` needs.
@functools.cache
def _made(framework: Framework) -> Backend:
    framework.check_installed()
    # Before the import of the backend: JAX reads its environment variables when it creates its devices.
    launch(framework.name).prepare()
    return importlib.import_module(framework.backend).make()


def launch(name: str) -> Launch:
    """How processes of a framework start; imports nothing of it."""
    module: Launch = importlib.import_module(frameworks.get(name).launch)
    return module


def has_nvidia_gpu() -> bool:
    """Whether this machine shows an NVIDIA device that was not hidden on purpose."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1") or os.environ.get("JAX_PLATFORMS") == "cpu"
    # The device file exists as soon as the driver is loaded, and looking for it starts neither a process nor a
    # framework.
    return os.path.exists("/dev/nvidia0") and not hidden


def check_device(found: str, wanted: str, framework: str) -> None:
    """Raises UsageError if a run would fall back from GPU to CPU although nobody asked for the CPU.

    Args:
      found: platform that the framework picked, 'cpu', 'gpu' or another.
      wanted: 'auto', 'cpu' or 'gpu'.
      framework: its name, for the message.
    """
    if wanted == "auto" and found == "cpu" and has_nvidia_gpu():
        raise UsageError(
            f"This machine has an NVIDIA GPU, but {framework} found only the CPU. Install its CUDA build, "
            "or say --device=cpu to run on the CPU."
        )
    if wanted not in ("auto", found):
        raise UsageError(
            f"--device={wanted} was asked for, but {framework} runs on {found!r} here: leave it out, or install the "
            f"build of {framework} for it."
        )
