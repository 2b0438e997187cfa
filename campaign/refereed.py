"""What a person sees of the referees of a campaign: how many trials had one, and what they noticed."""

import collections
from collections.abc import Iterable
from pathlib import Path

from algoperf.run.summary import Summary
from campaign.job_plan import Job
from campaign.store import Store
from scoring import refereed, seals

MAX_NAMES = 3
"""Trials that are named for a grade."""


def lines(jobs: Iterable[Job], store: Store) -> list[str]:
    """A line on how many trials were refereed and one for each grade of findings; none where nobody was."""
    ended: list[tuple[str, Summary]] = []
    for job in jobs:
        summary = store.summary(job)
        if summary is not None:
            ended.append((job.key, summary))
    number = sum(bool(summary.refereed) for _, summary in ended)
    if not number:
        return []
    found = [f"  refereed: {number} of {len(ended)} trials that have ended"]
    noticed: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for key, summary in ended:
        for kind, _ in refereed.noticed(summary):
            noticed[str(kind)][key] += 1
    for what, counts in noticed.items():
        named = ", ".join(list(counts)[:MAX_NAMES])
        more = f" and {len(counts) - MAX_NAMES} more trials" if len(counts) > MAX_NAMES else ""
        found.append(f"  {what}: {counts.total()} findings in {named}{more}")
    return found


def sealed(root: Path) -> list[str]:
    """Writes the list of seals of a campaign that has ended; says where."""
    path = seals.write(root)
    if path is None:
        return []
    return [
        f"  seals of refereed trials: {path}; whoever publishes it can show later that nothing was changed"
    ]
