"""Scores a folder of submissions: times to target, performance ratios, benchmark scores with intervals.

    {command} --suite=mini ~/experiments
    {command} --suite=algoperf_v05 --ruleset=external --official external_tuning
    {command} --suite=algoperf_v05 --compare_to=algoperf_v05 --output_dir=/tmp/scores
    ~/experiments
    {command} --suite=mini ~/mine ~/from_my_laptop results.tar.xz

A folder holds <submission>/study_<s>/<workload>_<framework>/trial_<t>/eval_measurements.csv, as does an archive
of python -m scoring.archive; several are joined into one field. The rules, the files that are written and the
official procedure's quirks are in scoring/README.md.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from algoperf import files, suites
from algoperf.cli import workload_path
from algoperf.cli.command import JSON, Command, define_json, result_stream
from algoperf.cli.groups import OF_SCORES

if TYPE_CHECKING:
    from scoring import score_field

ARGUMENTS = "folders and archives of submissions"


def define(into: flags.FlagValues) -> None:
    """Its flags."""
    define_what(into)
    flags.DEFINE_string(
        "output_dir",
        None,
        "Write report.html, scores and times as CSV and JSON, and the profile plot, here.",
        flag_values=into,
    )
    define_json(into)


def define_what(into: flags.FlagValues) -> None:
    """The flags that say what is scored, and how."""
    flags.DEFINE_string(
        "suite",
        suites.FULL_SIZE,
        "Workloads and rules: algoperf_a100, algoperf_v06, algoperf_v05, qualification, mini, mini_quick, or a "
        ".json file.",
        flag_values=into,
    )
    flags.DEFINE_string("ruleset", "external", "Tuning ruleset: external or self.", flag_values=into)
    flags.DEFINE_bool(
        "official",
        False,
        "Follow the official AlgoPerf procedure to the letter, with its known quirks.",
        flag_values=into,
    )
    flags.DEFINE_bool(
        "strict",
        False,
        "Refuse results with missing, ignored or damaged parts instead of listing them.",
        flag_values=into,
    )
    flags.DEFINE_string(
        "axis", "submission_time", "What is scored: submission_time (seconds) or steps.", flag_values=into
    )
    flags.DEFINE_alias("time_axis", "axis", flag_values=into)
    flags.DEFINE_string(
        "reference", None, "Submission over which geometric-mean speedups are given.", flag_values=into
    )
    flags.DEFINE_string(
        "compare_to",
        None,
        "Place the submissions among published ones: algoperf_a100, algoperf_v06, algoperf_v05 or mini.",
        flag_values=into,
    )
    flags.DEFINE_bool(
        "calibrate",
        False,
        "Carry times over to the machine of the published ones, by the reference algorithm, which ran here too.",
        flag_values=into,
    )
    flags.DEFINE_integer(
        "bootstrap_samples", 1000, "Draws behind the intervals; 0 leaves intervals out.", flag_values=into
    )
    flags.DEFINE_integer("seed", 0, "Seed of the draws.", flag_values=into)
    flags.DEFINE_list(
        "include", [], "Submissions to score, published ones too; all by default.", flag_values=into
    )
    flags.DEFINE_list("exclude", [], "Submissions to leave out, published ones too.", flag_values=into)
    flags.DEFINE_list("workloads", [], "Score on these workloads instead of the suite's.", flag_values=into)
    define_rules(into)
    workload_path.define(into)


def define_rules(into: flags.FlagValues) -> None:
    """The flags that change how much is scored and by which rules, or look closer."""
    flags.DEFINE_integer("num_studies", None, "Studies instead of the ruleset's number.", flag_values=into)
    flags.DEFINE_integer(
        "num_trials", None, "Trials per study instead of the ruleset's number.", flag_values=into
    )
    flags.DEFINE_bool(
        "sensitivity",
        False,
        "Also score without each entry and each workload, with other r_max, and with relaxed and tightened targets.",
        flag_values=into,
    )
    flags.DEFINE_string(
        "reveal_data_seed",
        None,
        "Compare the data seed of results, which records hold as a hash, with this one or @<file>.",
        flag_values=into,
    )
    flags.DEFINE_bool(
        "step_times",
        False,
        "Show seconds per update of every entry beside those in its framework, also where frameworks do not differ.",
        flag_values=into,
    )
    flags.DEFINE_string(
        "seals", None, "List of seals (seals.json) that refereed trials must have.", flag_values=into
    )
    flags.DEFINE_float(
        "relax_targets",
        0.0,
        "Move all targets by this share of their distance to the end of the metric's range: 0.05 is easier, -0.05 "
        "harder.",
        flag_values=into,
    )


def main(given: flags.FlagValues, arguments: list[str]) -> None:
    """Reads the flags."""
    from scoring import score_field  # numpy; --help does without

    with result_stream(bool(given[JSON].value)) as write:
        folder = files.expanded(given.output_dir) if given.output_dir else None
        scored = score_field.run(
            config(given, arguments, output_dir=folder, with_document=bool(given[JSON].value))
        )
        print(scored.text())
        write(scored.document)


def config(
    given: flags.FlagValues,
    arguments: list[str],
    *,
    output_dir: Path | None = None,
    report: Path | None = None,
    with_document: bool = False,
) -> "score_field.Config":
    """What the scoring is told: the flags, and what is to be made of it.

    Args:
      given: the flags of `define_what`.
      arguments: folders and archives of results.
      output_dir: see `score_field.Config`, as the others.
      report: see there.
      with_document: see there.
    """
    from scoring import score_field  # numpy; --help does without

    workload_path.use(given)
    return score_field.Config(
        submissions_dir=files.expanded(arguments[0]) if arguments else None,
        more_dirs=tuple(map(files.expanded, arguments[1:])),
        suite=given.suite,
        ruleset=given.ruleset,
        official=given.official,
        strict=given.strict,
        axis=given.axis,
        reference=given.reference,
        compare_to=given.compare_to,
        calibrate=given.calibrate,
        bootstrap_samples=given.bootstrap_samples,
        seed=given.seed,
        include=tuple(given.include),
        exclude=tuple(given.exclude),
        workloads=tuple(given.workloads),
        num_studies=given.num_studies,
        num_trials=given.num_trials,
        sensitivity=given.sensitivity,
        reveal_data_seed=given.reveal_data_seed,
        step_times=given.step_times,
        seals=files.expanded(given.seals) if given.seals else None,
        relax_targets=given.relax_targets,
        output_dir=output_dir,
        report=report,
        with_document=with_document,
    )


COMMAND = Command(
    text=__doc__,
    define=define,
    main=main,
    max_arguments=sys.maxsize,
    arguments=ARGUMENTS,
    groups=OF_SCORES,
)
