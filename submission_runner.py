"""Run a submission on a workload.

For example:
  python submission_runner.py --workload=digits --submission=reference_algorithms/nadamw --framework=jax

Results go to <experiment_dir>/<submission>/study_<s>/<workload>_<framework>/trial_<t>; the same command again
continues a run that was interrupted. Exit codes: 0 done (target reached or not), 1 the submission failed, 2 wrong
input or a trial that another process runs, 74 the disk is full or broken (mend it: the same command continues), 128 + n
stopped by signal n with a checkpoint written.
"""

import time

START_NS = time.perf_counter_ns()  # Before anything else is imported.

from collections.abc import Sequence  # noqa: E402

from algoperf import commands, settings  # noqa: E402
from algoperf.adapter import flags as adapter  # noqa: E402

settings.define_flags()
adapter.define()


def main(argv: Sequence[str]) -> int:
    """Reads the flags; below this line functions depend on their arguments only."""
    from algoperf.data import sealed  # --help does without.
    from algoperf.referee import start
    from algoperf.run import clock

    del argv
    settled = sealed.settled(given := settings.from_flags(), filter(None, [given.workload]))
    sealed.start_again(settled)
    ledger = clock.Ledger(start_ns=START_NS)
    return 0 if adapter.ejected(settled) else start.run(adapter.settled(settled), ledger)


if __name__ == "__main__":
    # A trial goes on when whoever reads its output has gone.
    commands.run(main, ends_with_its_reader=False)
