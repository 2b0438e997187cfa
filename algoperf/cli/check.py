"""Checks a folder: a submission, whose source is read and not run, or a workload (it holds workload.py).

    {command} submissions/my_method
    {command} submissions/my_method --json
    {command} submissions/my_method --run
    {command} ~/my_workloads/diabetes --framework=jax
    {command} --bundle <results> [--output=review.html] [--submissions=<folder>]

Of a submission: what the rules forbid. Findings have the number of a rule in RULES.md, a place, and a grade:
forbidden, for review, note; --run also runs short trials. See docs/checking_a_submission.md. Of a workload: one line
per conformance check. See docs/adding_a_workload.md. --bundle writes a page about results, with source, runs and
records, for the people who decide. Exit codes: 0 nothing is forbidden and no check fails, 1 something is or does, 2
wrong input: nothing there to check, a framework that is not installed.
"""

import collections
import dataclasses
import json
from pathlib import Path

from absl import flags

from algoperf import commands, files
from algoperf.adapter import flags as adapter
from algoperf.cli.command import JSON, Command, result_stream
from algoperf.spec import UsageError

GROUPS = {
    "Submissions": ("run", "workload", "notes"),
    "Both": ("framework", "json"),
    "A page about results": ("bundle", "output", "submissions"),
}


def define(into: flags.FlagValues) -> None:
    """Its flags."""
    adapter.define(ejects=False, into=into)
    flags.DEFINE_bool(
        "json", False, "Print the findings as JSON; everything else goes to stderr.", flag_values=into
    )
    flags.DEFINE_bool("notes", True, "Print notes, too.", flag_values=into)
    flags.DEFINE_bool("run", False, "Then run short trials and watch them.", flag_values=into)
    flags.DEFINE_string(
        "framework",
        None,
        "Framework of these trials; all that the submission offers by default.",
        flag_values=into,
    )
    flags.DEFINE_string("workload", "digits", "Workload of these trials.", flag_values=into)
    flags.DEFINE_bool(
        "bundle",
        False,
        "Write one HTML page about a folder of results, or an archive of one.",
        flag_values=into,
    )
    flags.DEFINE_string("output", None, "File of that page; review.html by default.", flag_values=into)
    flags.DEFINE_string(
        "submissions",
        None,
        "Folder of submissions, for results without copies of their source.",
        flag_values=into,
    )


def main(given: flags.FlagValues, arguments: list[str]) -> int:
    """Reads the flags."""
    is_workload = len(arguments) == 1 and (files.expanded(arguments[0]) / "workload.py").is_file()
    return check_workload(given, arguments) if is_workload else check_submission(given, arguments)


# ---- submissions -----------------------------------------------------------------------------------------------------


def check_submission(given: flags.FlagValues, arguments: list[str]) -> int:
    """Reads a submission's source, or writes the page of --bundle; returns the exit code."""
    if given.bundle:
        return _bundle(given, arguments)
    from audit.audit import audit  # numpy; --help does without

    if len(arguments) != 1:
        raise UsageError(
            "Give the folder of one submission, or its file: algoperf check submissions/my_method."
        )
    with (
        result_stream(bool(given[JSON].value)),
        adapter.for_a_while(arguments[0], given.framework, given) as path,
    ):
        report = audit(path, with_run=given.run, framework=given.framework, workload=given.workload)
    print(json.dumps(report.as_json(), indent=1) if given[JSON].value else report.text(given.notes))
    return report.exit_code


def _bundle(given: flags.FlagValues, arguments: list[str]) -> int:
    from review import bundle

    if len(arguments) != 1:
        raise UsageError(
            "Give a folder of results, or an archive of one: algoperf check --bundle ~/experiments."
        )
    output, source = (files.expanded(one) if one else None for one in (given.output, given.submissions))
    print(f"Written to {bundle.write(files.expanded(arguments[0]), output, source)}")
    return 0


# ---- workloads -------------------------------------------------------------------------------------------------------


def define_framework(into: flags.FlagValues) -> None:
    """The flags of the check of a workload alone."""
    flags.DEFINE_string(
        "framework",
        None,
        "jax or pytorch; all that are installed by default, also against each other.",
        flag_values=into,
    )
    flags.DEFINE_bool(JSON, False, "Print the checks as JSON, once all are done.", flag_values=into)


def check_workload(given: flags.FlagValues, arguments: list[str]) -> int:
    """Runs the conformance checks on a workload folder; returns the exit code."""
    from audit import workload_check  # numpy; --help does without

    if len(arguments) != 1:
        raise UsageError("Give the folder of one workload: check_workload.py ~/my_workloads/diabetes.")
    counts: collections.Counter[str] = collections.Counter()
    results = []
    with result_stream(bool(given[JSON].value)) as write:
        for result in workload_check.check(Path(arguments[0]), given.framework):
            print(result.line(), flush=True)
            counts[result.verdict] += 1
            results.append(dataclasses.asdict(result))
        counted = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        print(f"{sum(counts.values())} checks: {counted}.")
        write({"counts": counts, "checks": results})
    return commands.EXIT_FAILED if counts[workload_check.Verdict.FAILED] else 0


COMMAND = Command(
    text=__doc__,
    define=define,
    main=main,
    max_arguments=1,
    arguments="one folder, file or archive",
    groups=GROUPS,
)
SUBMISSION = dataclasses.replace(COMMAND, main=check_submission)
"""Under its older name, for submissions alone."""
WORKLOAD = Command(
    text="""Runs the conformance checks on a workload folder, wherever it lies; nothing in the project has to change.

    {command} ~/my_workloads/diabetes
    {command} ~/my_workloads/diabetes --framework=jax

Prints one line per check. Exit codes: 0 all pass, 1 some fail, 2 wrong input: no folder, no workload.py, a mistake in
what it declares, a framework that is not installed. See docs/adding_a_workload.md.
""",
    define=define_framework,
    main=check_workload,
    max_arguments=1,
    arguments="one folder",
)
"""Under its older name, for workloads alone."""
