"""What becomes of verdicts, and of the number of studies that they say would tell, on fields whose truth is known.

    python -m benchmarks.verdict_studies --fields=300

Fields are simulated after measured ones, as in `interval_coverage.py`; each gives one random pair of submissions, alone
(a field of two, as `algoperf.compare` of two optimizers) or within its whole field. First n studies are run. Where they
tell the pair apart, the verdict is held against the truth. Where they do not, as many more are run as the verdict said,
and a quarter and four times as many: `POWER` of the pairs should be told apart then, few before, most after.

Columns: share of pairs that n studies tell apart, and of these verdicts the share that is wrong; of the others, the
middle number that is said, and the share for which none is said; of those with one, the share told apart by a quarter
of the studies that were said, by as many, by four times as many, and the share of the verdicts then (as many) that is
wrong.
"""

import argparse
from dataclasses import dataclass

import numpy as np

from benchmarks import interval_coverage
from benchmarks.interval_coverage import FIELDS, Measured, Truth
from scoring import intervals, text, verdicts
from scoring.intervals import Scorers, Uncertainty
from scoring.leaderboard import ratios_of, scores_of
from scoring.uncertainty import Studies

MOST = 150
"""Studies that are run at most; pairs of which four times what is said would be more are left out of what follows."""


@dataclass(frozen=True)
class Pair:
    """Two submissions of one simulated field, and the studies of all of it, more than are looked at."""

    first: int
    second: int
    is_above: bool
    """Whether the first is above the second in truth."""
    times: np.ndarray
    """(submissions, columns, studies)."""


def parser() -> argparse.ArgumentParser:
    """Of the command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--studies", default="1,3,5", help="studies that are run first, a row each")
    parser.add_argument("--fields", type=int, default=400, help="simulated fields behind each row")
    parser.add_argument("--samples", type=int, default=400, help="draws behind each verdict")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def make_pair(field: Measured, is_alone: bool, rng: np.random.Generator) -> Pair:
    """One random pair of a field around the measured one."""
    truth = interval_coverage.make_truth(field, rng)
    rows = np.arange(len(truth.mean))
    pair = rng.choice(rows, 2, replace=False)
    if is_alone:
        rows, pair = pair, np.array([0, 1])
    own = Truth(truth.chance[rows], truth.mean[rows], truth.deviation[rows])
    medians, _ = interval_coverage.true_times(own, field.residuals, field.limits)
    exact = scores(field, medians)
    times = interval_coverage.run_studies(own, field.residuals, field.limits, MOST, rng)
    return Pair(int(pair[0]), int(pair[1]), bool(exact[pair[0]] > exact[pair[1]]), times)


def scores(field: Measured, times: np.ndarray) -> np.ndarray:
    """(..., submissions) of true or drawn times."""
    table, settings = field.board.table, field.board.settings
    return scores_of(ratios_of(times, table, settings), settings)


def after(field: Measured, pair: Pair, number: int, num_samples: int) -> Uncertainty:
    """What the first `number` studies leave open."""
    times = pair.times[..., :number]
    counts = np.full(times.shape[:2], number)
    studies = Studies(times, counts, np.zeros(counts.shape, bool))
    points = scores(field, interval_coverage.medians_of(times))
    scorers = Scorers(lambda drawn: scores(field, drawn))
    return intervals.estimate(studies, field.limits, scorers, points, num_samples=num_samples, seed=number)


def answer(found: Uncertainty, pair: Pair) -> bool | None:
    """Whether a verdict is right; None where the studies cannot tell."""
    if found.clear[pair.first, pair.second]:
        return pair.is_above
    return not pair.is_above if found.clear[pair.second, pair.first] else None


def simulate(field: Measured, number: int, is_alone: bool, arguments: argparse.Namespace) -> list[str]:
    """The cells of one row."""
    rng = np.random.default_rng([arguments.seed, number, is_alone])
    first: list[bool | None] = []
    said: list[int | None] = []
    later: list[list[bool | None]] = []
    for _ in range(arguments.fields):
        pair = make_pair(field, is_alone, rng)
        found = after(field, pair, number, arguments.samples)
        first.append(answer(found, pair))
        if first[-1] is not None:
            continue
        num_pairs = len(pair.times) * (len(pair.times) - 1) // 2
        more = verdicts.more_studies(
            float(found.above[pair.first, pair.second]), number, arguments.samples, num_pairs
        )
        said.append(more)
        if more is not None and number + 4 * more <= MOST:
            later.append(
                [
                    answer(after(field, pair, number + max(1, round(more * share)), arguments.samples), pair)
                    for share in (0.25, 1, 4)
                ]
            )
    told = [one for one in first if one is not None]
    known = [one for one in said if one is not None]
    at = [[row[index] for row in later] for index in range(3)]
    right = [one for one in at[1] if one is not None]
    return [
        f"{len(told) / len(first):.2f}",
        _share([not one for one in told]),
        f"{np.median(known):.0f}" if known else "-",
        _share([one is None for one in said]),
        *(_share([one is not None for one in column]) for column in at),
        _share([not one for one in right]),
    ]


def _share(values: list[bool]) -> str:
    return f"{np.mean(values):.2f}" if values else "-"


def main() -> None:
    arguments = parser().parse_args()
    rows = []
    for name in FIELDS:
        field = interval_coverage.measured(name)
        for is_alone in (True, False):
            for number in map(int, arguments.studies.split(",")):
                cells = simulate(field, number, is_alone, arguments)
                rows.append([name, "two" if is_alone else "all", str(number), *cells])
    header = [
        "field",
        "of",
        "studies",
        "told",
        "wrong",
        "more said",
        "none said",
        "by 1/4",
        "by 1",
        "by 4",
        "wrong then",
    ]
    print(text.table(header, rows, num_left=2))


if __name__ == "__main__":
    main()
