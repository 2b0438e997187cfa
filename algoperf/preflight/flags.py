"""The flags of a preflight, which all commands have that run trials."""

import math

from absl import flags

from algoperf.spec import UsageError

flags.disclaim_key_flags()


def define(into: flags.FlagValues = flags.FLAGS) -> None:
    """Defines them."""
    flags.DEFINE_bool(
        "preflight",
        False,
        "Only try each workload: an update, a batch of an evaluation, an update. Says what they take of memory and "
        "time, and what the whole will; records nothing.",
        flag_values=into,
    )
    flags.DEFINE_float(
        "preflight_memory_gib",
        None,
        "With --preflight: memory that one trial may take, of the GPU where it trains on one; by default all that is "
        "free, shared by the --workers.",
        flag_values=into,
    )


def wanted(values: flags.FlagValues = flags.FLAGS) -> bool:
    """Whether a preflight is asked for.

    Raises:
      UsageError: for a limit without it, or one that is none.
    """
    limit = values["preflight_memory_gib"].value
    if limit is not None and not values["preflight"].value:
        raise UsageError(
            f"--preflight_memory_gib={limit:g} means nothing without --preflight: add it, or leave it out."
        )
    if limit is not None and not (math.isfinite(limit) and limit > 0):
        raise UsageError(f"--preflight_memory_gib must be a positive number of GiB, got {limit:g}.")
    return bool(values["preflight"].value)


def memory_bytes(values: flags.FlagValues = flags.FLAGS) -> int | None:
    """The limit on the memory of one trial; None where none was given."""
    limit = values["preflight_memory_gib"].value
    return None if limit is None else round(limit * 2**30)
