r"""Scores a folder of submissions: times to target, performance ratios, benchmark scores with intervals.

    python score_submissions.py --suite=mini ~/experiments
    python score_submissions.py --suite=algoperf_v05 --ruleset=external --official external_tuning
    python score_submissions.py --suite=algoperf_v05 --compare_to=algoperf_v05 --output_dir=/tmp/scores
    ~/experiments
    python score_submissions.py --suite=mini ~/mine ~/from_my_laptop results.tar.xz

A folder holds <submission>/study_<s>/<workload>_<framework>/trial_<t>/eval_measurements.csv, as does an archive
of python -m scoring.archive; several are joined into one field. The rules, the files that are written and the
official procedure's quirks are in scoring/README.md.
"""

import sys
from collections.abc import Sequence

from absl import flags

from algoperf import commands, files, suites

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "suite",
    suites.FULL_SIZE,
    "Workloads and rules: algoperf_a100, algoperf_v06, algoperf_v05, qualification, mini, mini_quick, or a .json file.",
)
flags.DEFINE_string("ruleset", "external", "Tuning ruleset: external or self.")
flags.DEFINE_bool(
    "official", False, "Follow the official AlgoPerf procedure to the letter, with its known quirks."
)
flags.DEFINE_bool(
    "strict", False, "Refuse results with missing, ignored or damaged parts instead of listing them."
)
flags.DEFINE_string("axis", "submission_time", "What is scored: submission_time (seconds) or steps.")
flags.DEFINE_alias("time_axis", "axis")
flags.DEFINE_string("reference", None, "Submission over which geometric-mean speedups are given.")
flags.DEFINE_string(
    "compare_to",
    None,
    "Place the submissions among published ones: algoperf_a100, algoperf_v06, algoperf_v05 or mini.",
)
flags.DEFINE_bool(
    "calibrate",
    False,
    "Carry times over to the machine of the published ones, by the reference algorithm, which ran here too.",
)
flags.DEFINE_integer("bootstrap_samples", 1000, "Draws behind the intervals; 0 leaves intervals out.")
flags.DEFINE_integer("seed", 0, "Seed of the draws.")
flags.DEFINE_list("include", [], "Submissions to score, published ones too; all by default.")
flags.DEFINE_list("exclude", [], "Submissions to leave out, published ones too.")
flags.DEFINE_list("workloads", [], "Score on these workloads instead of the suite's.")
flags.DEFINE_integer("num_studies", None, "Studies instead of the ruleset's number.")
flags.DEFINE_integer("num_trials", None, "Trials per study instead of the ruleset's number.")
flags.DEFINE_bool(
    "sensitivity",
    False,
    "Also score without each entry and each workload, with other r_max, and with relaxed and tightened targets.",
)
flags.DEFINE_string(
    "reveal_data_seed",
    None,
    "Compare the data seed of results, which records hold as a hash, with this one or @<file>.",
)
flags.DEFINE_bool(
    "step_times",
    False,
    "Show seconds per update of every entry beside those in its framework, also where frameworks do not differ.",
)
flags.DEFINE_string("seals", None, "List of seals (seals.json) that refereed trials must have.")
flags.DEFINE_float(
    "relax_targets",
    0.0,
    "Move all targets by this share of their distance to the end of the metric's range: 0.05 is easier, -0.05 harder.",
)
flags.DEFINE_string(
    "output_dir", None, "Write report.html, scores and times as CSV and JSON, and the profile plot, here."
)


def main(argv: Sequence[str]) -> None:
    from scoring import score_field  # numpy; --help does without

    config = score_field.Config(
        submissions_dir=files.expanded(argv[1]) if len(argv) > 1 else None,
        more_dirs=tuple(map(files.expanded, argv[2:])),
        suite=FLAGS.suite,
        ruleset=FLAGS.ruleset,
        official=FLAGS.official,
        strict=FLAGS.strict,
        axis=FLAGS.axis,
        reference=FLAGS.reference,
        compare_to=FLAGS.compare_to,
        calibrate=FLAGS.calibrate,
        bootstrap_samples=FLAGS.bootstrap_samples,
        seed=FLAGS.seed,
        include=tuple(FLAGS.include),
        exclude=tuple(FLAGS.exclude),
        workloads=tuple(FLAGS.workloads),
        num_studies=FLAGS.num_studies,
        num_trials=FLAGS.num_trials,
        sensitivity=FLAGS.sensitivity,
        reveal_data_seed=FLAGS.reveal_data_seed,
        step_times=FLAGS.step_times,
        seals=files.expanded(FLAGS.seals) if FLAGS.seals else None,
        relax_targets=FLAGS.relax_targets,
        output_dir=files.expanded(FLAGS.output_dir) if FLAGS.output_dir else None,
    )
    print(score_field.run(config).text())


if __name__ == "__main__":
    commands.run(main, max_arguments=sys.maxsize, arguments="folders and archives of submissions")
