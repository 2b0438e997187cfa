"""Lists of seals: the last hashes of refereed trials, published at the end of a campaign and compared later.

A chain alone (`algoperf.run.chain`) is no help against somebody who makes it anew; a seal that others have is.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from algoperf import files, records, typed_json
from algoperf.run import summary as summaries
from algoperf.spec import UsageError
from scoring.results import Finding, Kind, Trial

FILE = "seals.json"


def of_folder(root: Path) -> dict[str, str]:
    """Trial -> its seal, of all refereed trials below a folder of submissions that have ended."""
    found = {}
    for folder in sorted(root.glob("*/study_*/*/trial_*")):
        summary = summaries.read(folder)
        if summary is not None and summary.seal:
            found[folder.relative_to(root).as_posix()] = summary.seal
    return found


def write(root: Path) -> Path | None:
    """Writes the list into the folder of submissions; None where nothing was refereed."""
    found = of_folder(root)
    if not found:
        return None
    records.write_json(root / FILE, found)
    return root / FILE


def findings(
    path: Path, trials: Collection[Trial], submissions: Collection[str], workloads: Collection[str]
) -> list[Finding]:
    """Where the seals of trials are not those of a list.

    Args:
      path: of the list.
      trials: all that were read.
      submissions: that are scored; others may stand in the list.
      workloads: likewise.

    Raises:
      UsageError: if there is no list.
    """
    content = files.read_users_json(
        path, f"--seals={path}", f"No list of seals at {path}: run_benchmark.py writes {FILE} at its end."
    )
    try:
        listed: dict[str, Any] = dict(typed_json.value_of(dict[str, str], content))
    except ValueError as error:
        raise UsageError(f"--seals={path} is no list of trials and seals: {error}.") from None
    found = []
    for trial in trials:
        place = f"study_{trial.study}/trial_{trial.trial}"
        folder = f"study_{trial.study}/{trial.workload}_{trial.framework}/trial_{trial.trial}"
        wanted = listed.pop(f"{trial.submission}/{folder}", None)
        if wanted != (trial.seal or None):
            detail = f"{trial.seal or 'none'}, published {wanted or 'none'}"
            found.append(Finding(trial.submission, trial.workload, Kind.OTHER_SEAL, place, detail))
    for name in listed:
        submission, _, rest = name.partition("/")
        study, _, rest = rest.partition("/")
        entry, _, trial_name = rest.partition("/")
        workload = entry.rpartition("_")[0]
        if submission in submissions and workload in workloads:
            place = f"{study}/{trial_name}"
            found.append(Finding(submission, workload, Kind.OTHER_SEAL, place, "published, and not here"))
    return found
