r"""Runs the conformance checks on a workload folder, wherever it lies; nothing in the project has to change for it.

    python check_workload.py ~/my_workloads/diabetes
    python check_workload.py ~/my_workloads/diabetes --framework=jax

Prints one line per check. Exit codes: 0 all pass, 1 some fail, 2 wrong input: no folder, no workload.py, a mistake in
what it declares, a framework that is not installed. See docs/adding_a_workload.md.
"""

import collections
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from algoperf import commands
from algoperf.spec import UsageError

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "framework", None, "jax or pytorch; all that are installed by default, also against each other."
)


def main(argv: Sequence[str]) -> int:
    from audit import workload_check  # numpy; --help does without

    if len(argv) != 2:
        raise UsageError("Give the folder of one workload: check_workload.py ~/my_workloads/diabetes.")
    counts: collections.Counter[str] = collections.Counter()
    for result in workload_check.check(Path(argv[1]), FLAGS.framework):
        print(result.line(), flush=True)
        counts[result.verdict] += 1
    print(
        f"{sum(counts.values())} checks: {', '.join(f'{count} {verdict}' for verdict, count in counts.items())}."
    )
    return commands.EXIT_FAILED if counts[workload_check.Verdict.FAILED] else 0


if __name__ == "__main__":
    commands.run(main, max_arguments=1, arguments="one folder")
