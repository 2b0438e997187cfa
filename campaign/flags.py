"""The flags that say how trials are run, not which; shared by all commands that run many."""

from typing import Any

from absl import flags

SCHEDULERS = {
    "mem_per_trial": "Memory of a trial of Slurm, Kubernetes or SkyPilot, such as 16G.",
    "slurm_partition": "Partition of Slurm that trials go to.",
    "slurm_account": "Account of Slurm that trials are charged to.",
    "slurm_time": "Time limit of a Slurm job, as sbatch takes it; a trial that meets it goes on in the next. By "
    "default 1.5 times the largest budget and 30 minutes.",
    "slurm_cluster": "slurm; or local: submitit starts the jobs on this machine, to try them without Slurm.",
    "engine_dir": "Folder in which --engine=files writes a Kubernetes Job, a SkyPilot task and a list of commands.",
    "image": "Container image with this project, for --engine=files; by default algoperf.",
    "image_root": "Where this project is in that image; by default /opt/algoperf.",
    "volume": "Shared volume of --engine=files as <claim>:<path in the container>; by default algoperf, at "
    "--experiment_dir.",
}
"""Texts for what schedulers are told: flag -> help."""
NAMES = (
    *("plan", "status", "engine", "workers", "gpus"),
    *("ray_address", "cpus_per_trial", "gpus_per_trial", *SCHEDULERS, "slurm_extra", "detach"),
    *("retry_failed", "quiet"),
)
TUPLES = ("gpus", "slurm_extra")


def define(needs: str, prefix: str = "", into: flags.FlagValues = flags.FLAGS) -> None:
    """Defines them.

    Args:
      needs: the flag that --status needs alone.
      prefix: before each help text, such as the name of a subcommand.
      into: what gets the flags; those of this process by default.
    """
    flags.DEFINE_bool(
        "plan",
        False,
        f"{prefix}Only print the table of trials, with what is done and what the rest takes.",
        flag_values=into,
    )
    flags.DEFINE_bool(
        "status",
        False,
        f"{prefix}Only print where things stand, wherever they run; needs --{needs} alone.",
        flag_values=into,
    )
    flags.DEFINE_string(
        "engine",
        "local",
        f"{prefix}local: workers on this machine; ray: tasks of a running Ray cluster; slurm: a job array; files: only "
        "writes what Kubernetes and SkyPilot take.",
        flag_values=into,
    )
    flags.DEFINE_integer(
        "workers",
        None,
        f"{prefix}Trials at a time, each on its share of the cores or its own GPU; by default 1, or one for each of "
        "--gpus, and all that a Ray cluster holds.",
        flag_values=into,
    )
    flags.DEFINE_list(
        "gpus",
        [],
        f"{prefix}GPUs of local workers, one each, as CUDA_VISIBLE_DEVICES counts them.",
        flag_values=into,
    )
    flags.DEFINE_string(
        "ray_address",
        None,
        f"{prefix}host:port of the cluster's head; $RAY_ADDRESS, else this machine's.",
        flag_values=into,
    )
    flags.DEFINE_integer(
        "cpus_per_trial",
        None,
        f"{prefix}CPUs of a trial; by default all of Ray's smallest node, or its share for a GPU; what Slurm gives.",
        flag_values=into,
    )
    flags.DEFINE_integer(
        "gpus_per_trial",
        None,
        f"{prefix}GPUs of a trial; by default 1 if a Ray cluster has any or with --device=gpu.",
        flag_values=into,
    )
    for name, text in SCHEDULERS.items():
        flags.DEFINE_string(name, None, f"{prefix}{text}", flag_values=into)
    flags.DEFINE_multi_string(
        "slurm_extra",
        [],
        f"{prefix}Another option of sbatch, such as qos=long or exclusive; may be given again.",
        flag_values=into,
    )
    flags.DEFINE_bool(
        "detach", False, f"{prefix}Leave the Slurm jobs alone once they are submitted.", flag_values=into
    )
    flags.DEFINE_bool(
        "retry_failed",
        False,
        f"{prefix}Run trials again that failed, once the cause is mended: from their checkpoint, or afresh where the "
        "submission has changed.",
        flag_values=into,
    )
    flags.DEFINE_bool("quiet", False, f"{prefix}Print only the end.", flag_values=into)


def values(given: flags.FlagValues = flags.FLAGS) -> dict[str, Any]:
    """Their values, as `campaign.execution.Options` takes them."""
    found: dict[str, Any] = {name: given[name].value for name in NAMES}
    return {**found, **{name: tuple(found[name] or ()) for name in TUPLES}}


LOCAL_NAMES = ("workers", "gpus", "retry_failed", "quiet")


def define_local(into: flags.FlagValues) -> None:
    """Defines those of the flags that the local engine needs."""
    every = flags.FlagValues()
    define(needs="experiment_dir", into=every)
    for name in LOCAL_NAMES:
        into[name] = every[name]


def local_values(given: flags.FlagValues) -> dict[str, Any]:
    """The values of `define_local`."""
    found: dict[str, Any] = {name: given[name].value for name in LOCAL_NAMES}
    return {**found, "gpus": tuple(found["gpus"])}
