"""Draws learning curves of runs: the metric, the loss and the learning rate over seconds and updates.

    {command} ~/experiments
    {command} ~/experiments --workloads=ogbg_mini --output=ogbg.svg

Needs matplotlib: pip install 'algoperf[plot]'.
"""

import sys

from absl import flags

from algoperf import files
from algoperf.cli.command import Command
from algoperf.spec import UsageError


def define(into: flags.FlagValues) -> None:
    """Its flags."""
    flags.DEFINE_list("workloads", [], "Only these workloads; by default all, up to 6.", flag_values=into)
    flags.DEFINE_string("output", "curves.png", "File to write: .png, .svg or .pdf.", flag_values=into)


def main(given: flags.FlagValues, arguments: list[str]) -> int:
    """Reads the flags."""
    from algoperf import plots

    if not arguments:
        raise UsageError("Say what to draw: folders with results, as in algoperf plot ~/experiments.")
    output = files.expanded(given.output)
    found = plots.find([files.expanded(one) for one in arguments], given.workloads)
    plots.draw(found, output)
    print(f"Written: {given.output}, {len(found)} runs.")
    return 0


COMMAND = Command(
    text=__doc__,
    define=define,
    main=main,
    max_arguments=sys.maxsize,
    arguments="folders with results",
    groups={"Curves": ("workloads", "output")},
)
