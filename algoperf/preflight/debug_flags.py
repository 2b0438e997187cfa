"""The flags of a look into a submission that is being written."""

from absl import flags

from algoperf.spec import UsageError

flags.disclaim_key_flags()


def define(into: flags.FlagValues = flags.FLAGS) -> None:
    """Defines them."""
    flags.DEFINE_bool(
        "debug",
        False,
        "Only a few updates (5, or --max_global_steps) and one evaluation, of few examples that are kept in memory. "
        "Loss, gradients and parameters are checked for NaN after each update; records nothing.",
        flag_values=into,
    )
    flags.DEFINE_integer(
        "batch_size",
        None,
        "With --debug: examples per update over all devices, instead of what get_batch_size returns.",
        flag_values=into,
    )


def wanted(values: flags.FlagValues = flags.FLAGS) -> bool:
    """Whether such a look is asked for.

    Raises:
      UsageError: for a batch size without it, or one that is none; for --debug with --preflight.
    """
    size, is_debug = values["batch_size"].value, bool(values["debug"].value)
    if size is not None and not is_debug:
        raise UsageError(
            f"--batch_size={size} is for --debug alone: elsewhere get_batch_size of the submission decides. "
            "Add --debug, or leave it out."
        )
    if size is not None and size < 1:
        raise UsageError(f"--batch_size must be a positive number of examples, got {size}.")
    if is_debug and values["preflight"].value:
        raise UsageError("--debug and --preflight are two things: leave one of them out.")
    return is_debug


def batch_size(values: flags.FlagValues = flags.FLAGS) -> int | None:
    """The batch size that was given; None for the submission's own."""
    return values["batch_size"].value
