"""How well a subset of a suite's workloads ranks submissions as the whole suite does.

    python -m scoring.agreement --suite=mini --ruleset=self --compare_to=mini
    python -m scoring.agreement --suite=mini --ruleset=self --num_workloads=3 <folder of submissions>
    python -m scoring.agreement --suite=mini --ruleset=self --compare_to=mini --out_of_sample

A row per subset, best first: Kendall's rank correlation (tau-b) of its scores with those of the whole suite, the
submission that is first, and the seconds that one study takes: of all trials, mean over the submissions. The best of
many subsets is best by luck, too; `--out_of_sample` says what is left of that on studies that did not choose it.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from absl import flags

from algoperf import commands, suites
from algoperf.spec import UsageError
from algoperf.suites import Suite
from scoring import leaderboard, out_of_sample, reading, score_report, text
from scoring import published as published_results
from scoring.kendall import check_enough, kendall_tau
from scoring.leaderboard import Settings
from scoring.procedure import CLEAN
from scoring.results import AXES, SUBMISSION_TIME, Results

FLAGS = flags.FLAGS


@dataclass(frozen=True)
class Agreement:
    """One subset beside the whole."""

    workloads: tuple[str, ...]
    tau: float
    """Kendall's tau-b of the scores; NaN where either ranking is one tie."""
    first: tuple[str, ...]
    """Submissions with the highest score on the subset."""
    study_sec: float
    """Seconds on the clock of one study, mean over the submissions; NaN where the results do not say."""


def agreements(results: Results, settings: Settings, num_workloads: int) -> list[Agreement]:
    """All subsets of so many workloads, by agreement and then by time.

    Raises:
      UsageError: for a number of workloads that the suite does not have, or fewer than three submissions.
    """
    suite = settings.suite
    check_enough(results, suite, num_workloads)
    whole = leaderboard.make_leaderboard(results, settings)
    found = []
    for subset in itertools.combinations(suite.workloads, num_workloads):
        board = leaderboard.make_leaderboard(
            results, dataclasses.replace(settings, suite=suites.customize(suite, workloads=subset))
        )
        first = tuple(board.submissions[row] for row in board.order() if board.ranks()[row] == 1)
        found.append(
            Agreement(subset, kendall_tau(whole.scores, board.scores), first, study_sec(results, subset))
        )
    return sorted(found, key=lambda one: (_last(-one.tau), _last(one.study_sec)))


def _last(value: float) -> float:
    """`value` to sort by, NaN after all others."""
    return math.inf if math.isnan(value) else value


def study_sec(results: Results, workloads: Sequence[str]) -> float:
    """Seconds on the clock until the last evaluations of a study's trials: mean over submissions and studies.

    NaN where no trial says when its last evaluation was, as in the published results of AlgoPerf.
    """
    studies = {(trial.submission, trial.study) for trial in results.trials}
    seconds = [trial.last_time_sec for trial in results.trials if trial.workload in workloads]
    known = [value for value in seconds if not math.isnan(value)]
    return sum(known) / len(studies) if known else math.nan


def table(found: Sequence[Agreement], limit: int) -> str:
    rows = [
        [
            f"{one.tau:.3f}",
            score_report.number(one.study_sec, 0),
            ", ".join(one.first),
            ", ".join(one.workloads),
        ]
        for one in found[:limit]
    ]
    header = ["tau", "seconds a study", "first", "workloads"]
    return text.table(header, rows, num_left=len(header), width=text.terminal_width())


def read(suite: Suite, ruleset: str, folder: Path | None, compare_to: str | None) -> Results:
    """Results of a folder, or those that ship with the package.

    Raises:
      UsageError: if not one of the two is given, or those that ship have no studies.
    """
    if (folder is None) == (compare_to is None):
        raise UsageError("Give a folder of submissions or --compare_to, one of the two.")
    if compare_to is not None:
        entries = published_results.load(compare_to, ruleset, suite, SUBMISSION_TIME)
        if entries.medians is not None:
            raise UsageError(
                f"The results of {compare_to} under the {ruleset} ruleset are published as medians over studies, "
                "without updates; studies are needed here. Use --ruleset=external, or give a folder of submissions."
            )
        return entries.results
    assert folder is not None
    return reading.read_submissions(folder, {name: suite.targets(name) for name in suite.scored_names()})


def main(argv: Sequence[str]) -> None:
    if FLAGS.limit < 1:
        raise UsageError(f"--limit must be at least 1, got {FLAGS.limit}: it is the number of rows.")
    suite = suites.customize(suites.load(FLAGS.suite), num_studies=FLAGS.num_studies)
    results = read(suite, FLAGS.ruleset, Path(argv[1]) if len(argv) == 2 else None, FLAGS.compare_to)
    for axis in AXES:
        settings = Settings(suite=suite, ruleset_name=FLAGS.ruleset, procedure=CLEAN, axis=axis)
        title = f"Agreement with suite {suite.name}, {FLAGS.ruleset} ruleset, axis {axis}"
        if FLAGS.out_of_sample:
            found = out_of_sample.out_of_sample(results, settings, FLAGS.num_workloads)
            print(f"{title}, out of sample\n{out_of_sample.report(found, text.terminal_width())}\n")
        else:
            title += ", in sample: of the best subsets a part is luck (--out_of_sample)"
            print(text.paragraph(title, text.terminal_width(), indent=""))
            print(table(agreements(results, settings, FLAGS.num_workloads), FLAGS.limit) + "\n")


if __name__ == "__main__":
    flags.DEFINE_string("suite", "mini", "The whole.")
    flags.DEFINE_string("ruleset", "external", "Tuning ruleset: external or self.")
    flags.DEFINE_string("compare_to", None, "Results that ship with the package instead of a folder: mini.")
    flags.DEFINE_integer("num_workloads", 3, "Size of the subsets.")
    flags.DEFINE_bool("out_of_sample", False, "Choose subsets on one study, and measure them on the others.")
    flags.DEFINE_integer("num_studies", None, "Studies instead of the ruleset's number.")
    flags.DEFINE_integer("limit", 10, "Rows to print.")
    commands.run(main, max_arguments=1, arguments="one folder of submissions")
