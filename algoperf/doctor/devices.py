"""NVIDIA's GPUs: which this machine has, and what keeps a framework from using them."""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from algoperf.backends import visible_gpus
from algoperf.doctor.line import DEVICES, Line, Mark
from algoperf.doctor.software import State

LEAST_DRIVER = {"11": 450, "12": 525, "13": 580}
"""Major version of CUDA -> the oldest branch of the driver that runs it (NVIDIA, "CUDA Compatibility", table 1)."""
_NVIDIA = "0x10de"
_DISPLAY = "0x03"
"""How the class of a graphics card begins on the PCI bus."""
SMI_SEC = 20.0


@dataclass(frozen=True, kw_only=True)
class Gpus:
    """What the system says of NVIDIA's GPUs."""

    num_cards: int = 0
    """On the PCI bus."""
    driver: str | None = None
    """Version of the loaded driver."""
    files: tuple[str, ...] = ()
    """Device files, /dev/nvidia0 and so on."""
    forbidden: tuple[str, ...] = ()
    """Those that this user may not read and write, with /dev/nvidiactl and /dev/nvidia-uvm."""
    names: tuple[str, ...] = ()
    """As nvidia-smi calls them."""
    has_mig: bool = False
    """Whether one is split into instances (MIG)."""
    mig_instances: tuple[str, ...] = ()
    """The names of those instances, MIG-…"""


def found(root: Path = Path("/")) -> Gpus:
    """What this machine has.

    Args:
      root: of the file system; tests have another.
    """
    cards = [
        folder
        for folder in sorted((root / "sys/bus/pci/devices").glob("*"))
        if _text(folder / "vendor") == _NVIDIA and _text(folder / "class").startswith(_DISPLAY)
    ]
    version = re.search(
        r"Kernel Module.*?\s(\d+\.[\d.]+)\s", _text(root / "proc/driver/nvidia/version") + " "
    )
    files = sorted(path for path in (root / "dev").glob("nvidia*") if re.fullmatch(r"nvidia\d+", path.name))
    more = [path for path in (root / "dev/nvidiactl", root / "dev/nvidia-uvm") if path.exists()]
    forbidden = [path for path in (*files, *more) if not os.access(path, os.R_OK | os.W_OK)]
    listed = _asked(["nvidia-smi", "-L"]) if files and root == Path("/") else ""
    instances = re.findall(r"UUID: (MIG-[^)\s]+)", listed)
    modes = _asked(["nvidia-smi", "--query-gpu=mig.mode.current", "--format=csv,noheader"]) if listed else ""
    return Gpus(
        num_cards=len(cards),
        driver=version and version[1],
        files=tuple(map(str, files)),
        forbidden=tuple(map(str, forbidden)),
        names=tuple(re.findall(r"^GPU \d+: (.*?) \(UUID", listed, re.MULTILINE)),
        has_mig="Enabled" in modes or bool(instances),
        mig_instances=tuple(instances),
    )


def lines(gpus: Gpus, states: Sequence[State], environment: Mapping[str, str] = os.environ) -> Iterator[Line]:
    """What there is, what hides it, and for each framework why it uses none of it."""
    if not (gpus.num_cards or gpus.files or gpus.driver):
        yield _line("gpu", Mark.OK, "no NVIDIA GPU: everything runs on the processors")
        return
    reason = hindrance(gpus, environment)
    names = ", ".join(gpus.names) or f"{max(gpus.num_cards, len(gpus.files))} of NVIDIA"
    words = names + (f", driver {gpus.driver}" if gpus.driver else "")
    if reason is not None:
        yield _line("gpu", Mark.WARN, f"{words}, and not used: {reason[0]}", reason[1])
        return
    if gpus.has_mig:
        words += f", split into {len(gpus.mig_instances)} MIG instances, of which a process uses one"
    yield _line("gpu", Mark.OK, words)
    for state in states:
        why = why_unused(gpus, state)
        if why is not None:
            yield _line(state.framework.name, Mark.WARN, f"does not use the GPU: {why[0]}", why[1])


def hindrance(gpus: Gpus, environment: Mapping[str, str] = os.environ) -> tuple[str, str] | None:
    """(what keeps every framework from the GPUs of this machine, what mends it); None where nothing does."""
    if not gpus.driver and not gpus.files:
        return "its driver is not loaded", "install NVIDIA's driver (`nvidia-smi` must work), and restart"
    if not gpus.files:
        return (
            "there are no device files /dev/nvidia*",
            "in a container: start it with --gpus=all (Docker, Podman) or --nv (Apptainer); else: "
            "`nvidia-modprobe -c 0 -u`",
        )
    if gpus.forbidden:
        return (
            f"no permission on {', '.join(gpus.forbidden)}",
            "add this user to the group that owns them (`ls -l /dev/nvidia*`), and log in anew",
        )
    said = environment.get(visible_gpus.VARIABLE)
    if said is not None:
        first = next((name.strip() for name in said.split(",")), "")
        if first in ("", "-1"):
            return (
                f"{visible_gpus.VARIABLE}={said!r} hides them",
                f"unset {visible_gpus.VARIABLE}, or name some: 0,1",
            )
        if first.isdecimal() and not gpus.has_mig and int(first) >= len(gpus.files):
            return (
                f"{visible_gpus.VARIABLE}={said} names none of the {len(gpus.files)}",
                f"name those that `nvidia-smi -L` shows, from 0 to {len(gpus.files) - 1}",
            )
    if environment.get("NVIDIA_VISIBLE_DEVICES") in ("void", "none"):
        return "NVIDIA_VISIBLE_DEVICES hides them in this container", "start the container with --gpus=all"
    if gpus.has_mig and not gpus.mig_instances:
        return (
            "MIG is on and no instance is made",
            "make one (`nvidia-smi mig -cgi 0 -C`), or let an administrator switch MIG off",
        )
    return None


def why_unused(gpus: Gpus, state: State) -> tuple[str, str] | None:
    """(why a framework that works does not use a GPU that is there, what mends it); None where it does."""
    looked = state.looked
    if looked is None or looked.error is not None or looked.platform == "gpu":
        return None
    name, extra = state.framework.name, state.framework.extra
    if looked.cuda is None:
        return (
            "its build is for processors alone",
            f"install its CUDA build: see the installation page of {name} ({extra})",
        )
    major, branch = looked.cuda.split(".")[0], (gpus.driver or "").split(".")[0]
    least = LEAST_DRIVER.get(major)
    if least is not None and branch.isdecimal() and int(branch) < least:
        return (
            f"its build is for CUDA {looked.cuda}, which needs driver {least} or newer, and {gpus.driver} is here",
            f"install a newer driver, or a build of {name} for an older CUDA",
        )
    hidden = os.environ.get("JAX_PLATFORMS")
    if hidden is not None and "cuda" not in hidden and "gpu" not in hidden:
        return f"JAX_PLATFORMS={hidden} may say so", "unset JAX_PLATFORMS"
    return (
        f"its build is for CUDA {looked.cuda}, and it does not say why",
        "run `nvidia-smi`; a restart often helps after the driver was updated",
    )


def _line(name: str, mark: Mark, words: str, next_step: str | None = None) -> Line:
    return Line(group=DEVICES, name=name, mark=mark, words=words, next_step=next_step)


def _asked(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SMI_SEC, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
