"""Compares submissions on one workload: some studies of each, then times to the target, side by side.

    {command} nadamw nesterov --workload=digits
    {command} torch.optim.AdamW torch.optim.NAdam --workload=digits --set lr=1e-3
    {command} my_algorithm nadamw --workload=ogbg_mini --framework=jax --num_studies=5

Submissions are folders, Python files, names that `algoperf list submissions` shows, or optimizers. Each study
is a process of its own; the same command again continues, and with more submissions runs only those. By default
nobody tunes (--ruleset=self): each runs with the values that it comes with. The page about it, report.html, is in the
folder of the results. Exit codes are those of `algoperf benchmark`.
"""

import sys

from absl import flags

from algoperf import settings, settings_flags
from algoperf.adapter import flags as adapter
from algoperf.cli.command import JSON, Command, define_json, result_stream
from campaign import flags as campaign_flags

LEFT_OUT = ("referee", "confine", "num_processes", "evaluator_device", "data_seed", "max_global_steps")
"""Settings of campaigns that a first comparison does without."""
SETTINGS = tuple(name for name in settings.OF_CAMPAIGNS if name not in LEFT_OUT)
GROUPS = {
    "What to run": ("workload", "workload_path", "framework", "num_studies", "set"),
    "Tuning": ("tuning_ruleset", "num_trials", "tuning_search_space"),
    "Results": ("experiment_dir", "retry_failed", "accept_changes", "quiet", "json"),
    "Where": ("workers", "gpus", "device", "data_dir"),
}


def define(into: flags.FlagValues) -> None:
    """Its flags."""
    flags.DEFINE_string(
        "workload", None, "Name of the workload, for example digits.", required=True, flag_values=into
    )
    flags.DEFINE_integer(
        "num_studies", 3, "Repetitions of each, with seeds of their own.", lower_bound=1, flag_values=into
    )
    flags.DEFINE_integer(
        "num_trials", None, "With --ruleset=external: points per study; the suite's number.", flag_values=into
    )
    flags.DEFINE_string(
        "experiment_dir", None, "Root of the results; comparisons/<workload>_<framework>.", flag_values=into
    )
    settings_flags.define(SETTINGS, into=into, tuning_ruleset="self")
    adapter.define(ejects=False, into=into)
    campaign_flags.define_local(into)
    define_json(into)


def main(given: flags.FlagValues, arguments: list[str]) -> int:
    """Reads the flags."""
    from campaign import benchmark, comparison

    with result_stream(bool(given[JSON].value)) as write:
        asked = comparison.settled(settings_flags.read(SETTINGS, given), given.workload, arguments)
        folder = comparison.folder_of(given.experiment_dir, asked)
        submissions, asked = adapter.settled_all(arguments, asked, folder, given)
        campaign = comparison.campaign_of(
            submissions,
            asked,
            folder,
            num_studies=given.num_studies,
            num_trials=given.num_trials,
        )
        config = benchmark.Config(**campaign_flags.local_values(given), only_line=True)
        return comparison.run(campaign, config, write if given[JSON].value else None)


COMMAND = Command(
    text=__doc__,
    define=define,
    main=main,
    lasts=True,
    max_arguments=sys.maxsize,
    arguments="submissions",
    groups=GROUPS,
)
