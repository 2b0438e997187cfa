"""Whether a repeated run is equal to the stored one: evaluation by evaluation, to the last digit that is recorded."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

SPLITS = ("train", "validation", "test")
Evaluations = Mapping[int, Mapping[str, float]]
"""Update -> metric with its split, as in 'validation/loss' -> value."""


@dataclass(frozen=True)
class Mismatch:
    """One value that is not what was stored."""

    step: int
    name: str
    """With its split."""
    stored: float
    now: float

    @property
    def size(self) -> float:
        """The difference, as a share of the stored value where that is not 0; infinite beside NaN."""
        difference = abs(self.now - self.stored)
        if not math.isfinite(difference):
            return math.inf
        return difference / abs(self.stored) if self.stored else difference

    def __str__(self) -> str:
        split, _, metric = self.name.partition("/")
        share = f", {self.size:.2g} of it" if self.stored and math.isfinite(self.size) else ""
        return (
            f"step {self.step}, {split} {metric}: {self.stored!r}, now {self.now!r} (by "
            f"{abs(self.now - self.stored):.2g}{share})"
        )


@dataclass(frozen=True)
class Verdict:
    """What the comparison of two runs came to."""

    num_equal: int
    """Evaluations of which every metric is equal."""
    num_evaluations: int
    """Of the stored run."""
    first: Mismatch | None
    """In the order of updates, then train, validation, test."""
    largest: Mismatch | None
    missing: tuple[int, ...]
    """Updates at which the stored run was evaluated and this one was not."""
    not_compared: tuple[str, ...]
    """Metrics that only one of them has."""

    @property
    def is_equal(self) -> bool:
        return self.num_equal == self.num_evaluations

    def text(self) -> str:
        """For a person, its first words the result.

        >>> Verdict(35, 35, None, None, (), ()).text()
        'equal at 35 of 35 evaluations'
        """
        parts = [f"equal at {self.num_equal} of {self.num_evaluations} evaluations"]
        if self.first is not None:
            parts.append(f"the first that differs: {self.first}")
        if self.largest is not None and self.largest != self.first:
            parts.append(f"the largest difference: {self.largest}")
        if self.missing:
            parts.append(
                f"no evaluation now at {len(self.missing)} of the steps, from step {self.missing[0]} on"
            )
        if self.not_compared:
            parts.append(f"only one of the two has {', '.join(self.not_compared)}")
        return "; ".join(parts)


def compare(stored: Evaluations, now: Evaluations) -> Verdict:
    """Compares the evaluations of two runs; NaN is equal to NaN.

    >>> compare({1: {"test/loss": 0.5}}, {1: {"test/loss": 0.25}}).text()
    'equal at 0 of 1 evaluations; the first that differs: step 1, test loss: 0.5, now 0.25 (by 0.25, 0.5 of it)'
    """
    in_stored, in_now = _names(stored.values()), _names(now.values())
    names = sorted(in_stored & in_now, key=_place)
    mismatches = [
        Mismatch(step, name, row[name], now[step][name])
        for step, row in sorted(stored.items())
        if step in now
        for name in names
        if not _same(row[name], now[step][name])
    ]
    unequal = {one.step for one in mismatches}
    missing = tuple(step for step in sorted(stored) if step not in now)
    is_comparable = bool(names)
    return Verdict(
        num_equal=len(stored) - len(unequal) - len(missing) if is_comparable else 0,
        num_evaluations=len(stored),
        first=mismatches[0] if mismatches else None,
        largest=max(mismatches, key=lambda one: one.size, default=None),
        missing=missing,
        not_compared=tuple(sorted(in_stored ^ in_now)) if now else (),
    )


def _names(rows: Iterable[Mapping[str, float]]) -> set[str]:
    return {name for row in rows for name in row}


def _place(name: str) -> tuple[int, str]:
    split = name.partition("/")[0]
    return (SPLITS.index(split) if split in SPLITS else len(SPLITS)), name


def _same(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))
