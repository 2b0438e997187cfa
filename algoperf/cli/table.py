"""The subcommands of `algoperf`: name -> where it is, and what it does in one line.

One more command is one more line. What a place names is imported when the command is called, not before:

    module:COMMAND     a `Command`, which has flags of its own
    module:function    a function of the arguments after the name; it returns the exit code, None for 0
    module             what `python -m module` runs
"""

import dataclasses
import importlib
from typing import Any


@dataclasses.dataclass(frozen=True)
class Entry:
    """One subcommand."""

    place: str
    summary: str


TABLE = {
    "run": Entry("algoperf.cli.run:COMMAND", "Train one workload with one submission, on the clock."),
    "compare": Entry("algoperf.cli.compare:COMMAND", "Compare submissions on one workload, in minutes."),
    "benchmark": Entry("algoperf.cli.benchmark:COMMAND", "Run submissions over a suite, then score them."),
    "score": Entry("algoperf.cli.score:COMMAND", "Score folders of results."),
    "report": Entry("algoperf.cli.report:COMMAND", "Write one HTML page about folders of results."),
    "plot": Entry("algoperf.cli.plot:COMMAND", "Draw learning curves of runs."),
    "sweep": Entry(
        "algoperf.cli.sweep:COMMAND", "Try points of an optimizer with the same seeds, outside the rules."
    ),
    "targets": Entry("algoperf.cli.targets:COMMAND", "Set targets from sweeps, and run sweeps."),
    "data": Entry("algoperf.cli.data:COMMAND", "Download, prepare and verify the data of a workload."),
    "check": Entry("algoperf.cli.check:COMMAND", "Check a submission or a workload folder."),
    "doctor": Entry(
        "algoperf.doctor.command:main", "Say what works on this machine, and what mends the rest."
    ),
    "draw": Entry("algoperf.cli.draw:COMMAND", "Draw the held-out workloads of a suite."),
    "list": Entry("algoperf.cli.names:COMMAND", "List workloads, suites and submissions by name."),
    "new": Entry("algoperf.cli.new:COMMAND", "Copy the template of a submission into a folder of your own."),
    "completion": Entry("algoperf.cli.completion:COMMAND", "Print what makes a shell complete this command."),
}


def command_at(place: str) -> Any:
    """What a place names, imported: a `Command` or a function; None for a module that is run as a whole."""
    module, _, member = place.partition(":")
    return getattr(importlib.import_module(module), member) if member else None
