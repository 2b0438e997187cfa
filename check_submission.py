r"""Reads a submission's source, without running it, and says what of it the rules forbid; --run also runs it.

    python check_submission.py submissions/my_method
    python check_submission.py submissions/my_method --json
    python check_submission.py submissions/my_method --run
    python check_submission.py torch.optim.AdamW --set lr=1e-3
    python check_submission.py --bundle <results> [--output=review.html] [--submissions=<folder>]

Findings have the number of a rule in RULES.md, a place, and a grade: forbidden, for review, note. Exit codes:
0 nothing is forbidden, 1 something is, 2 there is no submission to read. See docs/checking_a_submission.md.
--bundle writes a page about results, with source, runs and records, for the people who decide.
"""

import json
from collections.abc import Sequence

from absl import flags

from algoperf import commands, files
from algoperf.adapter import flags as adapter
from algoperf.spec import UsageError

FLAGS = flags.FLAGS
adapter.define(ejects=False)
flags.DEFINE_bool("json", False, "Print the findings as JSON.")
flags.DEFINE_bool("notes", True, "Print notes, too.")
flags.DEFINE_bool("run", False, "Then run short trials and watch them.")
flags.DEFINE_string(
    "framework", None, "Framework of these trials; all that the submission offers by default."
)
flags.DEFINE_string("workload", "digits", "Workload of these trials.")
flags.DEFINE_bool("bundle", False, "Write one HTML page about a folder of results, or an archive of one.")
flags.DEFINE_string("output", None, "File of that page; review.html by default.")
flags.DEFINE_string("submissions", None, "Folder of submissions, for results without copies of their source.")


def main(argv: Sequence[str]) -> int:
    if FLAGS.bundle:
        return _bundle(argv)
    from audit.audit import audit  # numpy; --help does without

    if len(argv) != 2:
        raise UsageError(
            "Give the folder of one submission, or its file: check_submission.py submissions/my_method."
        )
    with adapter.for_a_while(argv[1], FLAGS.framework) as path:
        report = audit(path, with_run=FLAGS.run, framework=FLAGS.framework, workload=FLAGS.workload)
    print(json.dumps(report.as_json(), indent=1) if FLAGS.json else report.text(FLAGS.notes))
    return report.exit_code


def _bundle(argv: Sequence[str]) -> int:
    from review import bundle

    if len(argv) != 2:
        raise UsageError(
            "Give a folder of results, or an archive of one: check_submission.py --bundle ~/experiments."
        )
    output, source = (files.expanded(one) if one else None for one in (FLAGS.output, FLAGS.submissions))
    print(f"Written to {bundle.write(files.expanded(argv[1]), output, source)}")
    return 0


if __name__ == "__main__":
    commands.run(main, max_arguments=1, arguments="one folder, file or archive")
