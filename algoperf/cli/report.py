"""Writes one HTML page about folders of results: scores, curves, times, what is missing.

    {command} ~/experiments --suite=mini --ruleset=self
    {command} ~/mine from_my_laptop.tar.xz --suite=mini --output=/tmp/report.html

It scores as `algoperf score` does, and has its flags.
"""

import sys

from absl import flags

from algoperf import files
from algoperf.cli import score
from algoperf.cli.command import Command
from algoperf.cli.groups import OF_SCORES
from algoperf.spec import UsageError

NAME = "report.html"


def define(into: flags.FlagValues) -> None:
    """Its flags."""
    score.define_what(into)
    flags.DEFINE_string(
        "output",
        None,
        f"File of the page; {NAME} in the first folder of results by default.",
        flag_values=into,
    )


def main(given: flags.FlagValues, arguments: list[str]) -> None:
    """Reads the flags."""
    from scoring import score_field  # numpy; --help does without

    if given.output:
        path = files.expanded(given.output)
    elif not arguments or not files.expanded(arguments[0]).is_dir():
        raise UsageError("Say where the page is to be: --output=report.html.")
    else:
        path = files.expanded(arguments[0]) / NAME
    files.make_folder(path.absolute().parent, "--output")
    score_field.run(score.config(given, arguments, report=path))
    print(f"Written: {path}.")


COMMAND = Command(
    text=__doc__,
    define=define,
    main=main,
    max_arguments=sys.maxsize,
    arguments=score.ARGUMENTS,
    groups={**{name: own for name, own in OF_SCORES.items() if name != "Output"}, "Output": ("output",)},
)
