"""A field of published entries alone, without the leaderboard's name before each of theirs.

The name tells them from the user's own ones; where there are none it fills the tables. Reports drop it then; files and
`--include` keep it.
"""

import dataclasses
from collections.abc import Sequence

from scoring.bounds import Bounds
from scoring.differences import Differences
from scoring.leaderboard import Leaderboard
from scoring.results import Trial
from scoring.sensitivity import Variation


def prefix_of(submissions: Sequence[str]) -> str:
    """What all names begin with, up to a slash; '' where they do not share it.

    >>> prefix_of(["mini/adam", "mini/lion"]), prefix_of(["mini/adam", "lion"])
    ('mini/', '')
    """
    leaderboards = {name.partition("/")[0] for name in submissions if "/" in name}
    is_shared = len(leaderboards) == 1 and all("/" in name for name in submissions)
    return f"{leaderboards.pop()}/" if is_shared else ""


def board(of: Leaderboard, prefix: str) -> Leaderboard:
    """The scored field with shorter names."""
    table = dataclasses.replace(
        of.table,
        submissions=_names(of.table.submissions, prefix),
        cells={(name.removeprefix(prefix), column): cell for (name, column), cell in of.table.cells.items()},
    )
    reference = of.speedups and dataclasses.replace(
        of.speedups, reference=of.speedups.reference.removeprefix(prefix)
    )
    return dataclasses.replace(
        of,
        table=table,
        misses={(name.removeprefix(prefix), column): miss for (name, column), miss in of.misses.items()},
        speedups=reference,
        bounds=of.bounds and _bounds(of.bounds, prefix),
        display_names={name.removeprefix(prefix): shown for name, shown in of.display_names.items()},
    )


def _bounds(of: Bounds, prefix: str) -> Bounds:
    gaps = (dataclasses.replace(gap, submission=gap.submission.removeprefix(prefix)) for gap in of.gaps)
    return dataclasses.replace(of, gaps=tuple(gaps))


def differences(of: Differences | None, prefix: str) -> Differences | None:
    """Those from the official scores."""
    if of is None:
        return None
    steps = (
        dataclasses.replace(step, notes=tuple(note.removeprefix(prefix) for note in step.notes))
        for step in of.steps
    )
    return dataclasses.replace(of, submissions=_names(of.submissions, prefix), steps=tuple(steps))


def trials(of: Sequence[Trial], prefix: str) -> tuple[Trial, ...]:
    return tuple(dataclasses.replace(trial, submission=trial.submission.removeprefix(prefix)) for trial in of)


def variations(of: Sequence[Variation], prefix: str) -> tuple[Variation, ...]:
    """What --sensitivity tried."""
    return tuple(
        dataclasses.replace(
            one, what=one.what.removeprefix(prefix), submissions=_names(one.submissions, prefix)
        )
        for one in of
    )


def _names(names: Sequence[str], prefix: str) -> tuple[str, ...]:
    return tuple(name.removeprefix(prefix) for name in names)
