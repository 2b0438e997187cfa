"""What a field says about two of its submissions: better, worse or cannot tell, and how many more studies would.

The answer is the field's own claim (`intervals.tell_apart`), so that it never contradicts a report. How many studies
would lead to one follows from the chance p that the first is above the second, as the draws have it. In units of the
deviation that N0 studies leave to their difference, the difference is t = quantile(p). With N studies in all, as far as
is known now, the new estimate is normal around t with variance 1 - N0 / N, its own deviation is sqrt(N0 / N), and it is
claimed where it exceeds z times that. The number that is said is the smallest N at which that happens with a chance of
`POWER`. It cannot know about a difference of zero: then no number of studies tells the two apart, and what is said
grows from one study to the next. `benchmarks/verdict_studies.py` measures what becomes of the promise.
"""

import math
import statistics
from dataclasses import dataclass

from algoperf.spec import UsageError, no_such
from scoring.intervals import CLAIMS
from scoring.leaderboard import Leaderboard

POWER = 0.5
"""Chance of a claim at the number that is said: *about so many* is the middle."""
MAX_STUDIES = 1000
"""Beyond this nobody runs studies, and the number is not said."""
NORMAL = statistics.NormalDist()
BETTER, WORSE, CANNOT_TELL = "better", "worse", "cannot tell"


@dataclass(frozen=True, repr=False)
class Verdict:
    """About the first of two submissions, in comparison with the second."""

    first: str
    second: str
    answer: str
    """'better', 'worse' or 'cannot tell'."""
    chance: float
    """That the first is above the second; equal scores count one half."""
    num_studies: int
    """Behind each time."""
    more_studies: int | None
    """About how many more would tell them apart; 0 where they are told apart, None for more than anybody runs."""

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        chance = f"chance that {self.first!r} is above {self.second!r}: {self.chance:.2f}"
        after = f"after {self.num_studies} {'study' if self.num_studies == 1 else 'studies'}"
        if self.answer != CANNOT_TELL:
            return f"{self.first!r} is {self.answer} than {self.second!r} ({chance}, {after})."
        more = "more studies than anybody runs would"
        if self.more_studies is not None:
            more = f"about {self.more_studies} more {'study' if self.more_studies == 1 else 'studies'} would"
            more += ", if the difference is as it looks now"
        return (
            f"Cannot tell whether {self.first!r} is better than {self.second!r} ({chance}, {after}); {more}."
        )


def of(board: Leaderboard, first: str, second: str) -> Verdict:
    """The verdict of a scored field on two of its submissions.

    Args:
      board: with intervals.
      first: name of a submission.
      second: name of another one.

    Raises:
      UsageError: for a name that is not in the field, twice the same, or a field without any study.
    """
    names = board.submissions
    for name in (first, second):
        if name not in names:
            raise no_such("submission in this field", name, names)
    if first == second:
        raise UsageError(f"{first!r} cannot be compared with itself: name two of {', '.join(names)}.")
    spread = board.uncertainty
    if spread is None or spread.num_studies == 0:
        raise UsageError("There are no studies with results: run some first.")
    row, column = names.index(first), names.index(second)
    chance, studies = float(spread.above[row, column]), spread.num_studies
    pairs = len(names) * (len(names) - 1) // 2
    answer = BETTER if spread.clear[row, column] else WORSE if spread.clear[column, row] else CANNOT_TELL
    more = 0 if answer != CANNOT_TELL else more_studies(chance, studies, spread.num_samples, pairs)
    return Verdict(first, second, answer, chance, studies, more)


def more_studies(chance: float, num_studies: int, num_samples: int = 1000, num_pairs: int = 1) -> int | None:
    """About how many more studies a claim about two submissions needs; None for more than `MAX_STUDIES`.

    Args:
      chance: that one is above the other, from the draws.
      num_studies: behind each time so far.
      num_samples: draws, which cannot show a chance nearer to 0 or 1 than half of one of them.
      num_pairs: of submissions in the field, whose claims hold together.

    >>> more_studies(0.9, 3), more_studies(0.7, 3), more_studies(0.5, 3)
    (2, 13, 18)
    """
    edge = 0.5 / num_samples
    t = NORMAL.inv_cdf(min(max(chance, edge), 1 - edge))
    for studies in range(num_studies + 1, num_studies + MAX_STUDIES + 1):
        level = CLAIMS[max(number for number in CLAIMS if number <= studies)]
        z = NORMAL.inv_cdf(1 - (1 - level) / num_pairs)
        if chance_to_claim(t, studies / num_studies, z) >= POWER:
            return studies - num_studies
    return None


def chance_to_claim(t: float, factor: float, z: float) -> float:
    """How likely a claim is with `factor` times the studies, where the difference is `t` deviations now.

    >>> round(chance_to_claim(1.0, 4.0, 1.645), 2)
    0.6
    """
    bound, deviation = z / math.sqrt(factor), math.sqrt(1 - 1 / factor)
    above = 1 - NORMAL.cdf((bound - t) / deviation)
    below = NORMAL.cdf((-bound - t) / deviation)
    return above + below
