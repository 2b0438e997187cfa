r"""Reads a submission's source, without running it, and says what of it the rules forbid; --run also runs it.

    python check_submission.py submissions/my_method
    python check_submission.py submissions/my_method --json
    python check_submission.py submissions/my_method --run

Findings have the number of a rule in RULES.md, a place, and a grade: forbidden, for review, note. Exit codes:
0 nothing is forbidden, 1 something is, 2 there is no submission to read. See docs/checking_a_submission.md.
"""

import json
from collections.abc import Sequence

from absl import flags

from algoperf import commands
from algoperf.spec import UsageError

FLAGS = flags.FLAGS
flags.DEFINE_bool("json", False, "Print the findings as JSON.")
flags.DEFINE_bool("notes", True, "Print notes, too.")
flags.DEFINE_bool("run", False, "Then run short trials and watch them.")
flags.DEFINE_string(
    "framework", None, "Framework of these trials; all that the submission offers by default."
)
flags.DEFINE_string("workload", "digits", "Workload of these trials.")


def main(argv: Sequence[str]) -> int:
    from audit.audit import audit  # numpy; --help does without

    if len(argv) != 2:
        raise UsageError(
            "Give the folder of one submission, or its file: check_submission.py submissions/my_method."
        )
    report = audit(argv[1], with_run=FLAGS.run, framework=FLAGS.framework, workload=FLAGS.workload)
    print(json.dumps(report.as_json(), indent=1) if FLAGS.json else report.text(FLAGS.notes))
    return report.exit_code


if __name__ == "__main__":
    commands.run(main, max_arguments=1, arguments="one folder or file")
