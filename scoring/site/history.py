"""When entries came, and which records each of them improved: best score of a field, fastest time on each workload.

Scores are those of today's field, so the line of records says how the best entry of today's field so far has moved;
times to the target do not depend on the field.
"""

import collections
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Faster:
    """A record on one workload."""

    workload: str
    seconds: float
    before: float | None
    """The fastest until then; None where nobody had reached the target."""


@dataclass(frozen=True)
class Improvement:
    """What one entry improved when it came."""

    date: str
    submission: str
    score: float | None
    """The new best score; None where it did not improve it."""
    score_before: float | None
    """None for the first entries of a field."""
    faster: tuple[Faster, ...]


def improvements(document: Mapping[str, Any], dates: Mapping[str, str]) -> list[Improvement]:
    """Those that improved something, oldest first; of entries of one date the best one of each kind did.

    Args:
      document: of a scored field.
      dates: submission -> ISO date, or the beginning of one; others than these have no place in time.
    """
    of_date: dict[str, list[str]] = collections.defaultdict(list)
    for row in document["submissions"]:
        if dates.get(row["submission"]):
            of_date[dates[row["submission"]]].append(row["submission"])
    scores = {row["submission"]: row["score"] for row in document["submissions"]}
    best_score: float | None = None
    best_time: dict[str, float] = {}
    found = []
    for date, names in sorted(of_date.items()):
        leader = max(names, key=lambda name: (scores[name], -names.index(name)))
        is_best = scores[leader] > (best_score if best_score is not None else 0.0)
        faster: dict[str, list[Faster]] = collections.defaultdict(list)
        for workload, facts in document["workloads"].items():
            if facts["guards"] is None:
                name, one = _fastest(document, names, workload, best_time.get(workload))
                if one is not None:
                    faster[name].append(one)
        best_time.update({one.workload: one.seconds for own in faster.values() for one in own})
        for name in names:
            is_leader = is_best and name == leader
            if is_leader or name in faster:
                score = scores[name] if is_leader else None
                found.append(Improvement(date, name, score, best_score, tuple(faster.get(name, ()))))
        best_score = scores[leader] if is_best else best_score
    return found


def _fastest(
    document: Mapping[str, Any], names: list[str], workload: str, before: float | None
) -> tuple[str, Faster | None]:
    """(the fastest of some entries on a workload, its record); ('', None) where none is faster than before."""
    times = {name: document["times"][name][workload]["time_to_target"] for name in names}
    known = {name: time for name, time in times.items() if time is not None}
    if not known:
        return "", None
    name = min(known, key=lambda name: known[name])
    if before is not None and known[name] >= before:
        return "", None
    return name, Faster(workload, known[name], before)
