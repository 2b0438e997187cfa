"""The audit of one submission."""

from pathlib import Path

from audit import trial_run
from audit.checks import all_findings
from audit.folder import Folder
from audit.reading import read
from audit.report import Report


def audit(
    path: Path | str, *, with_run: bool = False, framework: str | None = None, workload: str = "digits"
) -> Report:
    """What the source of a submission gives reason to say; it is read, and run only where that is asked for.

    Args:
      path: its folder, or its file.
      with_run: whether short trials follow; see `audit.trial_run`.
      framework: that they run in; all that the submission offers by default.
      workload: that they run on.

    Raises:
      UsageError: if there is no submission to read.
    """
    folder = Folder(path)
    found = list(all_findings(read(folder)))
    if with_run:
        found += trial_run.run(folder, framework, workload)
    return Report.of(folder, found)
