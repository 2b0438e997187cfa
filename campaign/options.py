"""How trials are run, not which: the flags of engines, and which of them go with which engine."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from algoperf.spec import UsageError, no_such
from campaign.local import places
from campaign.process import TRIAL_COMMAND

ENGINES = ("local", "ray", "slurm", "files")
CLUSTERS = ("slurm", "local")
OF_ENGINES: Mapping[str, tuple[str, ...]] = {
    "local": ("workers", "gpus"),
    "ray": ("workers", "ray_address", "cpus_per_trial", "gpus_per_trial"),
    "slurm": (
        *("workers", "cpus_per_trial", "gpus_per_trial", "mem_per_trial", "detach"),
        *("slurm_partition", "slurm_account", "slurm_time", "slurm_extra", "slurm_cluster"),
    ),
    "files": (
        *("workers", "cpus_per_trial", "gpus_per_trial", "mem_per_trial"),
        *("engine_dir", "image", "image_root", "volume"),
    ),
}
"""Engine -> the flags that mean something to it."""
INSTEAD = {
    ("ray", "gpus"): "Ray deals out GPUs, --gpus_per_trial to each trial",
    ("slurm", "gpus"): "Slurm deals out GPUs, --gpus_per_trial to each trial",
    ("files", "gpus"): "the scheduler deals out GPUs, --gpus_per_trial to each trial",
    ("local", "cpus_per_trial"): "the local engine has --workers and --gpus",
    ("local", "gpus_per_trial"): "the local engine has --workers and --gpus",
    ("local", "ray_address"): "the local engine has --workers and --gpus",
}
"""(engine, flag of others) -> what to give in its place."""
UNITS_OF_MEM = {"K": 1, "M": 2, "G": 3, "T": 4}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """How trials are run, not which; named like the flags, whose help says what they mean."""

    plan: bool = False
    status: bool = False
    engine: str = "local"
    workers: int | None = None
    """Trials at a time; None: one, or one for each of `gpus`, and as many as a cluster has room for."""
    gpus: tuple[str, ...] = ()
    ray_address: str | None = None
    cpus_per_trial: int | None = None
    gpus_per_trial: int | None = None
    mem_per_trial: str | None = None
    slurm_partition: str | None = None
    slurm_account: str | None = None
    slurm_time: str | None = None
    slurm_extra: tuple[str, ...] = ()
    slurm_cluster: str | None = None
    """None: slurm."""
    detach: bool = False
    engine_dir: str | None = None
    image: str | None = None
    image_root: str | None = None
    volume: str | None = None
    retry_failed: bool = False
    quiet: bool = False
    only_line: bool = False
    """Shows the line that moves, and none for each trial that ends."""
    trial_command: Sequence[str] = TRIAL_COMMAND
    """Tests pass another program."""

    @property
    def num_workers(self) -> int:
        """Of the local engine; of others what a plan reckons with."""
        return self.workers or len(self.gpus) or 1

    @property
    def mem_bytes(self) -> int | None:
        """`mem_per_trial` as a number."""
        return None if self.mem_per_trial is None else bytes_of(self.mem_per_trial)

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise no_such("engine", self.engine, ENGINES)
        if self.plan and self.status:
            raise UsageError("Give --plan or --status, not both.")
        least = {"workers": 1, "cpus_per_trial": 1, "gpus_per_trial": 0}
        for name, lowest in least.items():
            value = getattr(self, name)
            if value is not None and value < lowest:
                raise UsageError(f"--{name} must be at least {lowest}, got {value}.")
        for gpu in self.gpus:
            if not gpu.isdecimal() and not gpu.startswith(("GPU-", "MIG-")):
                raise UsageError(
                    f"--gpus={','.join(self.gpus)}: {gpu!r} is no GPU. Give numbers as in --gpus=0,1, or the names "
                    "that `nvidia-smi -L` shows."
                )
        if len(set(self.gpus)) < len(self.gpus):
            raise UsageError(
                f"--gpus={','.join(self.gpus)} names one twice: give each once, or timings would be shared."
            )
        self._refuse_those_of_others()
        self._check_schedulers()
        if self.engine == "local" and not (self.plan or self.status):
            places(self.num_workers, self.gpus)

    def _refuse_those_of_others(self) -> None:
        """Raises UsageError for a flag that the engine would pass over."""
        for name in dict.fromkeys(name for names in OF_ENGINES.values() for name in names):
            if name in OF_ENGINES[self.engine] or getattr(self, name) in (None, (), False):
                continue
            having = " and ".join(f"--engine={one}" for one, names in OF_ENGINES.items() if name in names)
            other = ", ".join(f"--{one}" for one in OF_ENGINES[self.engine])
            instead = INSTEAD.get((self.engine, name), f"--engine={self.engine} has {other}")
            raise UsageError(f"--{name} is for {having}: {instead}.")

    def _check_schedulers(self) -> None:
        """Raises UsageError for values that a scheduler would refuse, later and in other words."""
        if self.slurm_cluster is not None and self.slurm_cluster not in CLUSTERS:
            raise no_such("value of --slurm_cluster", self.slurm_cluster, CLUSTERS)
        if self.mem_per_trial is not None:
            bytes_of(self.mem_per_trial)
        if self.slurm_time is not None:
            minutes_of(self.slurm_time)
        extra(self.slurm_extra)
        if self.engine == "files" and not (self.engine_dir or self.plan or self.status):
            raise UsageError("--engine=files writes files: say where to, --engine_dir=<folder>.")
        for name in ("volume", "image_root"):
            value = getattr(self, name)
            path = (value or "/").partition(":")[2] or "/" if name == "volume" else value
            if value is not None and not PurePosixPath(path).is_absolute():
                form = "<claim>:<path in the container>" if name == "volume" else "<path in the image>"
                raise UsageError(
                    f"--{name}={value}: give --{name}={form}, with a path that begins with a slash."
                )

    def of_engine(self) -> dict[str, Any]:
        """The engine and its flags that differ from their defaults, as a study file has them."""
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        given = {name: getattr(self, name) for name in OF_ENGINES[self.engine]}
        return {
            "name": self.engine,
            **{name: value for name, value in given.items() if value != defaults[name]},
        }


def bytes_of(text: str) -> int:
    """Bytes from a size as Slurm and Kubernetes write it: a number with K, M, G or T for powers of 1024.

    Raises:
      UsageError: for another form.

    >>> bytes_of("16G"), bytes_of("512MB"), bytes_of("2GiB")
    (17179869184, 536870912, 2147483648)
    """
    found = re.fullmatch(r"(\d+)\s*([KMGT])(?:i?B|i)?", text.strip(), re.IGNORECASE)
    if found is None or not int(found[1]):
        raise UsageError(f"--mem_per_trial={text} is no size: give a number and K, M, G or T, such as 16G.")
    return int(found[1]) * 1024 ** UNITS_OF_MEM[found[2].upper()]


def minutes_of(text: str) -> int:
    """Minutes, rounded up, from a time as Slurm takes it: m, m:s, h:m:s, d-h, d-h:m or d-h:m:s.

    Raises:
      UsageError: for another form, or no time at all.

    >>> [minutes_of(text) for text in ("90", "2:30", "1:30:00", "1-12", "1-0:30")]
    [90, 3, 90, 2160, 1470]
    """
    found = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text.strip())
    if found is not None:
        days, first, second, third = (int(part or 0) for part in found.groups())
        if found[1] is not None or found[4] is not None:
            seconds = days * 86400 + first * 3600 + second * 60 + third
        else:
            seconds = first * 60 + second
        if seconds:
            return -(-seconds // 60)
    raise UsageError(
        f"--slurm_time={text} is no time of Slurm: give minutes, <hours>:<minutes>:<seconds> or "
        "<days>-<hours>, such as 90, 4:00:00 or 1-12."
    )


def extra(given: Sequence[str]) -> dict[str, str | bool]:
    """Option of sbatch -> value; True for one without.

    Raises:
      UsageError: for one that has a flag of its own, an empty name, or a name given twice.

    >>> extra(["qos=long", "exclusive"])
    {'qos': 'long', 'exclusive': True}
    """
    found: dict[str, str | bool] = {}
    for one in given:
        name, equals, value = one.partition("=")
        name = name.strip().lstrip("-").replace("-", "_")
        if not name or (equals and not value):
            raise UsageError(f"--slurm_extra={one}: give an option of sbatch, such as qos=long or exclusive.")
        if name in found:
            raise UsageError(f"--slurm_extra gives {name} twice: leave one of them out.")
        if name in OWN_FLAGS:
            raise UsageError(f"--slurm_extra={one}: {OWN_FLAGS[name]}.")
        found[name] = value if equals else True
    return found


OWN_FLAGS = {
    "partition": "the partition is given by --slurm_partition",
    "account": "the account is given by --slurm_account",
    "time": "the time limit is given by --slurm_time",
    "mem": "memory is given by --mem_per_trial",
    "cpus_per_task": "processors are given by --cpus_per_trial",
    "gpus_per_node": "GPUs are given by --gpus_per_trial",
    "array": "the array has an entry per trial, as many at a time as --workers says",
    "nodes": "a trial has one node",
    "ntasks": "a trial has one task",
    "ntasks_per_node": "a trial has one task",
    "signal": "the signal before the time limit is part of how a trial goes on; signal_delay_s=<seconds> moves it",
    "requeue": "trials are always queued again, from their checkpoints",
    "output": "logs are kept in .campaign/slurm of the experiment folder",
    "error": "logs are kept in .campaign/slurm of the experiment folder",
}
"""Option of sbatch -> why it cannot be among `slurm_extra`."""
