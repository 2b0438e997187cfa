"""Runs submissions over a suite: every trial in a process of its own, then the scores.

    {command} study.yaml            # from a file: docs/campaigns.md
    {command} --suite=mini --ruleset=self --experiment_dir=<folder>
    --submissions=nadamw,nesterov --framework=jax --plan

Killed or stopped, the same command goes on where it was; on several machines over one shared folder, they share the
trials. Exit codes: 0 done, 1 some trials failed, 2 wrong input, 74 the disk is full or broken, 128 + n
stopped by signal n.
"""

import dataclasses

from absl import flags

from algoperf import files, settings, settings_flags
from algoperf.adapter import flags as adapter
from algoperf.cli.command import JSON, Command, define_json, result_stream
from algoperf.cli.groups import OF_CAMPAIGNS
from algoperf.preflight import flags as preflight_flags
from campaign import flags as campaign_flags


def define(into: flags.FlagValues) -> None:
    """Its flags: those of settings that all trials share, and its own."""
    settings_flags.define(settings.OF_CAMPAIGNS, into=into, suite="mini")
    flags.DEFINE_list(
        "submissions",
        [],
        "Folders or Python files of submissions, names of reference algorithms, or optimizers: torch.optim.AdamW.",
        flag_values=into,
    )
    flags.DEFINE_list("workloads", [], "Workloads instead of the suite's.", flag_values=into)
    flags.DEFINE_integer("num_studies", None, "Studies instead of the ruleset's number.", flag_values=into)
    flags.DEFINE_integer(
        "num_trials", None, "Trials per study instead of the ruleset's number.", flag_values=into
    )
    flags.DEFINE_string("experiment_dir", None, "Root of the results.", flag_values=into)
    flags.DEFINE_string(
        "compare_to", None, "Leaderboard among whose entries the scores place yours: mini.", flag_values=into
    )
    flags.DEFINE_bool(
        "calibrate",
        False,
        "Run the leaderboard's reference algorithm in turn with yours, to carry times over to its machine.",
        flag_values=into,
    )
    flags.DEFINE_bool(
        "frugal",
        None,
        "Stop trials that can no longer change a score; by default on for mini suites, off for official ones.",
        flag_values=into,
    )
    flags.DEFINE_bool(
        "report",
        False,
        "Keep <experiment_dir>/report.html current while trials run; it is written at the end in any case.",
        flag_values=into,
    )
    adapter.define(ejects=False, into=into)
    campaign_flags.define(needs="experiment_dir", into=into)
    preflight_flags.define(into)
    define_json(into)


def main(given: flags.FlagValues, arguments: list[str]) -> int:
    """Reads the flags."""
    from algoperf.data import sealed
    from campaign import benchmark, job_plan, study_flags

    study_flags.settle(arguments, given)
    folder = files.expanded(given.experiment_dir).resolve()
    with result_stream(bool(given[JSON].value)) as write:
        if given.status and not given.submissions:
            campaign = benchmark.saved_campaign(folder)
        else:
            asked = settings_flags.read(settings.OF_CAMPAIGNS, given)
            campaign = job_plan.Campaign(
                experiment_dir=folder,
                settings=asked,
                submissions=tuple(given.submissions),
                workloads=tuple(given.workloads),
                num_studies=given.num_studies,
                num_trials=given.num_trials,
                compare_to=given.compare_to,
                calibrate=given.calibrate,
            )
            campaign.cut_suite()  # Wrong names are told before optimizers are tried, which imports a framework.
            submissions, settled = adapter.settled_all(given.submissions, asked, folder, given)
            campaign = dataclasses.replace(campaign, submissions=submissions, settings=settled).anchored()
            only_looks = given.plan or given.status
            names = campaign.cut_suite().scored_names()
            campaign = campaign.with_settings(
                sealed.settled(campaign.settings, names, makes_data=not only_looks)
            )
            sealed.start_again(campaign.settings)
        config = benchmark.Config(**campaign_flags.values(given), frugal=given.frugal, report=given.report)
        if preflight_flags.wanted(given):
            from campaign import preflight

            return preflight.run(campaign, config, preflight_flags.memory_bytes(given))
        return benchmark.run(campaign, config, write if given[JSON].value else None)


COMMAND = Command(
    text=__doc__,
    define=define,
    main=main,
    lasts=True,  # Trials go on when whoever reads the output has gone.
    max_arguments=1,
    arguments="one study file",
    groups=OF_CAMPAIGNS,
)
