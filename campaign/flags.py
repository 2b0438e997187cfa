"""The flags that say how trials are run, not which; shared by all commands that run many."""

from typing import Any

from absl import flags

NAMES = (
    *("plan", "status", "engine", "workers", "gpus"),
    *("ray_address", "cpus_per_trial", "gpus_per_trial", "retry_failed", "quiet"),
)


def define(needs: str, prefix: str = "") -> None:
    """Defines them.

    Args:
      needs: the flag that --status needs alone.
      prefix: before each help text, such as the name of a subcommand.
    """
    flags.DEFINE_bool(
        "plan", False, f"{prefix}Only print the table of trials, with what is done and what the rest takes."
    )
    flags.DEFINE_bool(
        "status", False, f"{prefix}Only print where things stand, wherever they run; needs --{needs} alone."
    )
    flags.DEFINE_string(
        "engine", "local", f"{prefix}local: workers on this machine; ray: tasks of a running Ray cluster."
    )
    flags.DEFINE_integer(
        "workers",
        None,
        f"{prefix}Trials at a time, each on its share of the cores or its own GPU; by default 1, or one for each of "
        "--gpus, and all that a Ray cluster holds.",
    )
    flags.DEFINE_list(
        "gpus", [], f"{prefix}GPUs of local workers, one each, as CUDA_VISIBLE_DEVICES counts them."
    )
    flags.DEFINE_string(
        "ray_address", None, f"{prefix}host:port of the cluster's head; $RAY_ADDRESS, else this machine's."
    )
    flags.DEFINE_integer(
        "cpus_per_trial",
        None,
        f"{prefix}CPUs of a Ray task; by default all of the smallest node, or its share for a GPU.",
    )
    flags.DEFINE_integer(
        "gpus_per_trial", None, f"{prefix}GPUs of a Ray task; by default 1 if the cluster has any, else 0."
    )
    flags.DEFINE_bool(
        "retry_failed",
        False,
        f"{prefix}Run trials again that failed, once the cause is mended: from their checkpoint, or afresh where the "
        "submission has changed.",
    )
    flags.DEFINE_bool("quiet", False, f"{prefix}Print only the end.")


def values() -> dict[str, Any]:
    """Their values, as `campaign.execution.Options` takes them."""
    found: dict[str, Any] = {name: flags.FLAGS[name].value for name in NAMES}
    return {**found, "gpus": tuple(found["gpus"])}
