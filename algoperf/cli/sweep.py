"""Trains one workload at each of several points, all with the same seeds, and ends with a table of them.

    {command} torch.optim.AdamW --workload=digits --over lr=1e-4,1e-3,1e-2
    {command} nadamw --workload=ogbg_mini --framework=jax --over learning_rate=1e-3,3e-3 --over beta2=0.99,0.999

Several --over make a grid. It is outside the rules and gives no score: a search space of the external tuning ruleset
gives every trial seeds of its own. The same command again continues.
"""

import itertools
from typing import Any

from absl import flags

from algoperf.cli.command import JSON, Command, define_json, result_stream
from algoperf.spec import UsageError

GROUPS = {
    "What is tried": ("workload", "over", "set", "framework", "studies", "seed"),
    "Results": ("results", "json"),
    "Where trials run": ("workers", "gpus"),
}


def define(into: flags.FlagValues) -> None:
    """Its flags."""
    flags.DEFINE_string("workload", None, "Workload that is trained.", required=True, flag_values=into)
    flags.DEFINE_multi_string(
        "over",
        [],
        "A hyperparameter and its values, as in lr=1e-4,1e-3; may be given again.",
        flag_values=into,
    )
    flags.DEFINE_multi_string(
        "set",
        [],
        "A fixed value, as in weight_decay=0.1 (docs/optimizers.md); may be given again.",
        flag_values=into,
    )
    flags.DEFINE_string(
        "framework", None, "jax or pytorch; by default the one it is written for.", flag_values=into
    )
    flags.DEFINE_integer(
        "studies", 1, "Repetitions of each point, with other seeds.", lower_bound=1, flag_values=into
    )
    flags.DEFINE_integer("seed", 0, "Of all points.", lower_bound=0, flag_values=into)
    flags.DEFINE_string(
        "results", None, "Folder of the results; by default one below algoperf_results.", flag_values=into
    )
    flags.DEFINE_integer("workers", None, "Trials at a time.", lower_bound=1, flag_values=into)
    flags.DEFINE_list("gpus", [], "GPUs of workers, one each.", flag_values=into)
    define_json(into)


def main(given: flags.FlagValues, arguments: list[str]) -> int:
    """Reads the flags."""
    from algoperf.adapter import given as given_values
    from algoperf.api import calls

    if len(arguments) != 1:
        raise UsageError(
            "Give one optimizer or submission: algoperf sweep torch.optim.AdamW --workload=digits --over lr=1e-4,1e-3."
        )
    if not given.over:
        raise UsageError("Say what to sweep, and over which values: --over lr=1e-4,1e-3,1e-2.")
    lists = values_of(given.over)
    points = [dict(zip(lists, one)) for one in itertools.product(*lists.values())]
    with result_stream(bool(given[JSON].value)) as write:
        swept = calls.sweep(
            arguments[0],
            workload=given.workload,
            hyperparameters=given_values.parse(given["set"].value or ()),
            framework=given.framework,
            studies=given.studies,
            seed=given.seed,
            results=given.results,
            workers=given.workers,
            gpus=given.gpus,
            points=points,
        )
        print(swept)
        write({"rows": list(swept.table())})
    return 0


def values_of(texts: list[str]) -> dict[str, list[Any]]:
    """Hyperparameter -> values.

    Raises:
      UsageError: for a text of another form, or a name that is given twice.

    >>> values_of(["lr=1e-4,1e-3", "betas=(0.9, 0.99),(0.9, 0.999)"])
    {'lr': [0.0001, 0.001], 'betas': [(0.9, 0.99), (0.9, 0.999)]}
    """
    from algoperf.adapter import given as given_values

    found: dict[str, list[Any]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        if not (equals and name.strip() and values.strip()):
            raise UsageError(f"--over {text}: give a name and its values, as in --over lr=1e-4,1e-3.")
        if name in found:
            raise UsageError(f"--over gives {name!r} twice: give all its values once.")
        found[name.strip()] = given_values.parse([f"values=[{values}]"])["values"]
    return found


COMMAND = Command(
    text=__doc__,
    define=define,
    main=main,
    lasts=True,
    max_arguments=1,
    arguments="one optimizer or submission",
    groups=GROUPS,
)
