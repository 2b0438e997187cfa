r"""Runs submissions over a suite: every trial in a process of its own, then the scores.

    python run_benchmark.py --suite=mini --ruleset=self --experiment_dir=<folder>
    --submissions=reference_algorithms/nadamw,reference_algorithms/nesterov --framework=jax --plan

Killed or stopped, the same command goes on where it was; on several machines over one shared folder, they share the
trials. Exit codes: 0 done, 1 some trials failed, 2 wrong input, 74 the disk is full or broken, 128 + n
stopped by signal n.
"""

from collections.abc import Sequence

from absl import flags

from algoperf import commands, files, settings
from algoperf.adapter import flags as adapter
from campaign import flags as campaign_flags

FLAGS = flags.FLAGS
settings.define_flags(settings.OF_CAMPAIGNS, suite="mini")
flags.DEFINE_list("submissions", [], "Folders or Python files of the submissions, or optimizers.")
adapter.define(ejects=False)
flags.DEFINE_list("workloads", [], "Workloads instead of the suite's.")
flags.DEFINE_integer("num_studies", None, "Studies instead of the ruleset's number.")
flags.DEFINE_integer("num_trials", None, "Trials per study instead of the ruleset's number.")
flags.DEFINE_string("experiment_dir", None, "Root of the results.", required=True)
flags.DEFINE_string("compare_to", None, "Leaderboard among whose entries the scores place yours: mini.")
flags.DEFINE_bool(
    "calibrate",
    False,
    "Run the leaderboard's reference algorithm in turn with yours, to carry times over to its machine.",
)
flags.DEFINE_bool(
    "frugal",
    None,
    "Stop trials that can no longer change a score; by default on for mini suites, off for official ones.",
)
flags.DEFINE_bool(
    "report",
    False,
    "Keep <experiment_dir>/report.html current while trials run; it is written at the end in any case.",
)
campaign_flags.define(needs="experiment_dir")


def main(argv: Sequence[str]) -> int:
    from algoperf.data import sealed
    from campaign import benchmark, job_plan

    del argv
    folder = files.expanded(FLAGS.experiment_dir).resolve()
    if FLAGS.status and not FLAGS.submissions:
        campaign = benchmark.saved_campaign(folder)
    else:
        submissions, given = adapter.settled_all(
            FLAGS.submissions, settings.from_flags(settings.OF_CAMPAIGNS), folder
        )
        campaign = job_plan.Campaign(
            experiment_dir=folder,
            settings=given,
            submissions=submissions,
            workloads=tuple(FLAGS.workloads),
            num_studies=FLAGS.num_studies,
            num_trials=FLAGS.num_trials,
            compare_to=FLAGS.compare_to,
            calibrate=FLAGS.calibrate,
        ).anchored()
        only_looks = FLAGS.plan or FLAGS.status
        names = campaign.cut_suite().scored_names()
        campaign = campaign.with_settings(sealed.settled(campaign.settings, names, makes_data=not only_looks))
        sealed.start_again(campaign.settings)
    config = benchmark.Config(**campaign_flags.values(), frugal=FLAGS.frugal, report=FLAGS.report)
    return benchmark.run(campaign, config)


if __name__ == "__main__":
    # Trials go on when whoever reads the output has gone.
    commands.run(main, ends_with_its_reader=False)
