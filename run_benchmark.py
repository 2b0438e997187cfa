r"""Runs submissions over a suite: every trial in a process of its own, then the scores.

    python run_benchmark.py --suite=mini --ruleset=self --experiment_dir=<folder>
    --submissions=reference_algorithms/nadamw,reference_algorithms/nesterov --framework=jax --plan

Killed or stopped, the same command goes on where it was; on several machines over one shared folder, they share the
trials. Exit codes: 0 done, 1 some trials failed, 2 wrong input, 128 + n stopped by signal n.
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from algoperf import commands
from algoperf.spec import UsageError
from campaign import flags as campaign_flags

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "suite",
    "mini",
    "Workloads and rules: mini, mini_quick, algoperf_v06, algoperf_v05, qualification, or a .json file.",
)
flags.DEFINE_string("ruleset", "external", "Tuning ruleset: external or self.")
flags.DEFINE_list("submissions", [], "Folders or Python files of the submissions.")
flags.DEFINE_string("framework", None, "jax or pytorch; inferred where the submissions offer only one.")
flags.DEFINE_list("workloads", [], "Workloads instead of the suite's.")
flags.DEFINE_integer("num_studies", None, "Studies instead of the ruleset's number.")
flags.DEFINE_integer("num_trials", None, "Trials per study instead of the ruleset's number.")
flags.DEFINE_string("experiment_dir", None, "Root of the results.", required=True)
flags.DEFINE_string("data_dir", None, "Root of prepared data; $ALGOPERF_DATA_DIR, else ~/data/algoperf.")
flags.DEFINE_string(
    "tuning_search_space",
    None,
    "JSON file for all submissions, or the name of one beside each; tuning_search_space.json there by default.",
)
flags.DEFINE_integer("rng_seed", 0, "Fixes points, data order, initialisation and submissions.")
flags.DEFINE_integer("max_steps", None, "Stop trials after this many updates; not for scoring.")
flags.DEFINE_string("device", "auto", "auto, cpu or gpu.")
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
campaign_flags.define(needs="experiment_dir")


def main(argv: Sequence[str]) -> int:
    from campaign import benchmark, job_plan

    if len(argv) > 1:
        raise UsageError(f"Unexpected argument {argv[1]!r}: settings are given as --name=value; see --help.")
    folder = Path(FLAGS.experiment_dir).expanduser().resolve()
    if FLAGS.status and not FLAGS.submissions:
        campaign = benchmark.saved_campaign(folder)
    else:
        campaign = job_plan.Campaign(
            experiment_dir=folder,
            suite=FLAGS.suite,
            ruleset=FLAGS.ruleset,
            submissions=tuple(FLAGS.submissions),
            framework=FLAGS.framework,
            workloads=tuple(FLAGS.workloads),
            num_studies=FLAGS.num_studies,
            num_trials=FLAGS.num_trials,
            rng_seed=FLAGS.rng_seed,
            data_dir=FLAGS.data_dir,
            tuning_search_space=FLAGS.tuning_search_space,
            max_steps=FLAGS.max_steps,
            device=FLAGS.device,
            compare_to=FLAGS.compare_to,
            calibrate=FLAGS.calibrate,
        ).anchored()
    config = benchmark.Config(**campaign_flags.values(), frugal=FLAGS.frugal)
    return commands.continuable(lambda: benchmark.run(campaign, config))


if __name__ == "__main__":
    commands.run(main)
