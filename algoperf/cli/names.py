"""Lists the names that flags take: workloads, suites, submissions that come with the package.

{command}
{command} workloads
"""

from absl import flags

from algoperf.cli import workload_path
from algoperf.cli.command import Command
from algoperf.spec import no_such


def workloads() -> list[str]:
    """Each base before its variants and twins."""
    from algoperf import registry  # Imports every workload folder.

    return sorted(registry.names(), key=lambda name: (registry.get(name).family, len(name), name))


def suites() -> list[str]:
    """Those of `--suite`; a path of a file stands in its place."""
    from algoperf import suites

    return suites.names()


def submissions() -> list[str]:
    """Names of reference algorithms; a path of a folder or file stands in their place."""
    from algoperf import shipped

    return [*shipped.algorithms(), "template"]


KINDS = {"workloads": workloads, "suites": suites, "submissions": submissions}


def define(into: flags.FlagValues) -> None:
    """Its flags."""
    workload_path.define(into)


def main(given: flags.FlagValues, arguments: list[str]) -> None:
    """Prints the names."""
    workload_path.use(given)
    if arguments and arguments[0] not in KINDS:
        raise no_such("kind of names", arguments[0], KINDS)
    if arguments:
        print("\n".join(KINDS[arguments[0]]()))
        return
    for kind, found in KINDS.items():
        print("\n".join([f"{kind}:", *(f"  {name}" for name in found())]))


COMMAND = Command(
    text=__doc__,
    define=define,
    main=main,
    max_arguments=1,
    arguments=f"one of {', '.join(KINDS)}",
)
