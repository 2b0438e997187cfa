"""Checks a contributed folder of results: prints every fault with the next step.

    python -m scoring.validate results/
    python -m scoring.validate --suite=mini --ruleset=self --refereed results.tar.xz

Complete (workloads, studies, trials, all of them ended), consistent (evaluations against summary, ledger, and the
chain of a referee), plausible (clocks, ranges, no copies, own seeds), described (submission_info.yml), and refereed
where the suite or --refereed demands it. Suite and ruleset are those that the records name, unless flags do.
Exit codes: 0 nothing to repair, 2 faults, or no results at all. What is for people to look at is a note, no fault.
"""

import json
from collections.abc import Sequence

from absl import flags

from algoperf import commands, files
from algoperf.spec import UsageError
from scoring import validation

FLAGS = flags.FLAGS


def main(argv: Sequence[str]) -> int:
    if len(argv) != 2:
        raise UsageError("Give one folder of results, as in python -m scoring.validate results/.")
    found = validation.validate(
        files.expanded(argv[1]), FLAGS.suite, FLAGS.ruleset, demands_referee=FLAGS.refereed
    )
    print(json.dumps(found.content(), indent=2) if FLAGS.json else found.text())
    return 0 if found.is_valid else commands.EXIT_USAGE


if __name__ == "__main__":
    flags.DEFINE_string("suite", None, "Under whose rules; that of the records by default.")
    flags.DEFINE_string("ruleset", None, "Tuning ruleset, external or self; that of the records by default.")
    flags.DEFINE_bool("refereed", False, "Demand that every trial was refereed, whatever the suite says.")
    flags.DEFINE_bool("json", False, "Print what was found as JSON.")
    commands.run(main, max_arguments=1, arguments="one folder of results")
