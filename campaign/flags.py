"""The flags that say how trials are run, not which; shared by all commands that run many."""

from typing import Any

from absl import flags

NAMES = (
    *("plan", "status", "engine", "workers", "gpus"),
    *("ray_address", "cpus_per_trial", "gpus_per_trial", "retry_failed", "quiet"),
)


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
        f"{prefix}local: workers on this machine; ray: tasks of a running Ray cluster.",
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
        f"{prefix}CPUs of a Ray task; by default all of the smallest node, or its share for a GPU.",
        flag_values=into,
    )
    flags.DEFINE_integer(
        "gpus_per_trial",
        None,
        f"{prefix}GPUs of a Ray task; by default 1 if the cluster has any, else 0.",
        flag_values=into,
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
    return {**found, "gpus": tuple(found["gpus"])}


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
