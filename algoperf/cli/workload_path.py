"""--workload_path, for the commands whose flags are not those of a run."""

from absl import flags

from algoperf.settings import marks

NAME = "workload_path"


def define(into: flags.FlagValues) -> None:
    """Defines the flag."""
    flags.DEFINE_string(NAME, None, marks()[NAME].help, flag_values=into)


def use(given: flags.FlagValues) -> None:
    """Makes the workloads known that the flag names.

    Raises:
      UsageError: if there are none.
    """
    if given[NAME].value is not None:
        from algoperf import registry  # Imports every workload folder.

        registry.add_place(given[NAME].value)
