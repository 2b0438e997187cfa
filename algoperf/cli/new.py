"""Copies the template of a submission into a folder of your own: it runs as it is.

{command} my_algorithm
algoperf run --workload=digits --submission=my_algorithm --framework=pytorch
"""

from absl import flags

from algoperf import files
from algoperf.cli.command import Command
from algoperf.spec import UsageError


def define(into: flags.FlagValues) -> None:
    """It has none."""


def main(given: flags.FlagValues, arguments: list[str]) -> None:
    """Writes the folder."""
    from algoperf import shipped

    del given
    if not arguments:
        raise UsageError("Give the folder that is to be made: algoperf new my_algorithm.")
    folder = files.expanded(arguments[0])
    written = shipped.copy_of_template(folder)
    print("\n".join([f"Written to {folder}:", *(f"  {path.name}" for path in written)]))
    print(f"To run it: algoperf run --workload=digits --submission={arguments[0]} --framework=jax|pytorch")


COMMAND = Command(text=__doc__, define=define, main=main, max_arguments=1, arguments="one folder")
