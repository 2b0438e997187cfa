"""Which files a Python process needs: those of the system, of Python and its packages, and devices."""

import contextlib
import glob
import os
import site
import sys
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

PROGRAMS = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"),
    *("/opt/rocm*", "/opt/nvidia*", "/nix/store", "/gnu/store"),
)
SETTINGS = (
    *(
        "ld.so.cache",
        "ld.so.conf",
        "ld.so.conf.d",
        "ld.so.preload",
        "localtime",
        "timezone",
        "passwd",
        "group",
    ),
    *("nsswitch.conf", "host.conf", "hosts", "os-release", "debian_version", "lsb-release", "alternatives"),
    *(
        "nvidia",
        "OpenCL",
        "vulkan",
        "fonts",
        "locale.alias",
        "locale.conf",
        "mime.types",
        "security/limits.conf",
    ),
)
"""Of /etc."""
SYSTEM = (
    *("cpuinfo", "meminfo", "stat", "loadavg", "uptime", "version", "filesystems", "devices", "modules"),
    *("driver", "sys", "vmstat", "zoneinfo", "interrupts", "cgroups", "cmdline"),
)
"""Of /proc; of processes only the own: command lines of others tell of a run what a submission need not know."""
DEVICES = ("null", "zero", "full", "random", "urandom", "nvidia*", "dri", "kfd", "accel*", "vfio")
"""Of /dev."""
LIBRARIES = ("CUDA_HOME", "CUDA_PATH", "ROCM_PATH", "CUDNN_PATH")
"""Variables that name a folder with libraries."""


def programs(leave_out: Collection[str] = ()) -> list[str]:
    """Folders with programs, libraries and packages: of the system, and all from which this process imports.

    Args:
      leave_out: folders of `sys.path` that hold other things, too.
    """
    found = [*PROGRAMS, sys.prefix, sys.base_prefix, sys.exec_prefix]
    found += [path for path in sys.path if os.path.isabs(path) and not any(map(_is_in(path), leave_out))]
    found += [os.environ[name] for name in LIBRARIES if os.environ.get(name)]
    found += [path for path in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if os.path.isabs(path)]
    if site.ENABLE_USER_SITE:
        found.append(site.getusersitepackages())
    return _there(found)


def settings() -> list[str]:
    """Files of the system that libraries read."""
    found = [f"/etc/{name}" for name in SETTINGS] + [f"/proc/{name}" for name in SYSTEM]
    return _there([*found, "/sys", "/run/current-system"])


def devices() -> list[str]:
    """Devices that a framework uses."""
    return _there([f"/dev/{name}" for name in DEVICES])


def num_gpus() -> int:
    """Of this machine, as far as devices tell."""
    of_amd = glob.glob("/dev/dri/renderD*") if os.path.exists("/dev/kfd") else []
    return len(glob.glob("/dev/nvidia[0-9]*")) or len(of_amd)


def _is_in(folder: str) -> Callable[[str], bool]:
    """Whether a path is a folder, or lies below it."""
    real = os.path.realpath(folder)
    return lambda path: real in (os.path.realpath(path), *map(str, Path(os.path.realpath(path)).parents))


def _there(patterns: Iterable[str]) -> list[str]:
    """The paths that there are, without links, each once."""
    paths = [path for pattern in patterns for path in glob.glob(pattern)]
    return list(dict.fromkeys(os.path.realpath(path) for path in paths))


def around(paths: Iterable[str | Path], hidden: Collection[Path]) -> tuple[list[str], list[str]]:
    """What covers these paths and nothing that is hidden.

    Args:
      paths: files and folders.
      hidden: files and folders, without links. One that holds a path of `paths` does not take it away.

    Returns:
      (paths that cover everything, folders above hidden files, of which the names alone are covered).
    """
    whole: dict[str, None] = {}
    above: dict[str, None] = {}
    waiting = [Path(os.path.realpath(path)) for path in paths]
    while waiting:
        path = waiting.pop()
        if path in hidden or str(path) in whole or str(path) in above:
            continue
        if not any(path in other.parents for other in hidden):
            whole[str(path)] = None
            continue
        above[str(path)] = None
        with contextlib.suppress(OSError):
            # A link leads to something that is covered elsewhere, or is not to be.
            waiting += [child for child in path.iterdir() if not child.is_symlink()]
    return [path for path in whole if not any(str(p) in whole for p in Path(path).parents)], list(above)
