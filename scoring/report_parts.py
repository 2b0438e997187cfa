"""Parts of the report: who is told apart, figures that do not depend on the field, what the ranking hangs on."""

import math
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from scoring import absolute, intervals, sensitivity, text
from scoring.leaderboard import Leaderboard
from scoring.sensitivity import Variation

MAX_PAIRS = 10
MAX_FIRST_CHANGES = 3
KINDS = {
    "entry": "without the entry",
    "workload": "without the workload",
    "r_max": "with r_max",
    "target": "with targets",
}


def unclear_pairs(board: Leaderboard) -> Iterator[tuple[int, int]]:
    """(row, row) of pairs that the studies do not tell apart, the better score first, neighbours before others."""
    spread = board.uncertainty
    assert spread is not None
    order = [row for row in board.order() if board.has_interval(row)]
    for distance in range(1, len(order)):
        for high, low in zip(order, order[distance:]):
            if not (spread.clear[high, low] or spread.clear[low, high]):
                yield high, low


def pairs_part(board: Leaderboard, width: int) -> str:
    """The chance that each of the pairs that are not clear is in the right order, and what would settle it."""
    spread = board.uncertainty
    if spread is None or len(board.submissions) < 2 or not (board.has_ranks or board.bounds):
        return ""
    if sum(map(board.has_interval, board.order())) < 2:  # Nobody's studies are known.
        return ""
    groups = intervals.tie_groups(spread.clear, board.order())
    pairs = list(unclear_pairs(board))
    position = {row: place for place, row in enumerate(filter(board.has_interval, board.order()))}
    near = [(a, b) for a, b in pairs if position[b] - position[a] == 1 or groups[a] == groups[b]]
    if not pairs:
        return "The studies tell all submissions apart."
    rows = [
        [
            board.submissions[a],
            board.submissions[b],
            f"{spread.above[a, b]:.0%}",
            f"{intervals.magnitude(spread.studies_to_tell[a, b])} studies",
        ]
        for a, b in near[:MAX_PAIRS]
    ]
    studies = "1 study" if spread.num_studies == 1 else f"{spread.num_studies} studies"
    title = f"Not told apart by {studies}: chance that A is truly above B, and how many studies would tell"
    more = len(pairs) - len(rows)
    lines = [text.paragraph(title, width, indent="")]
    lines += [text.table(["A", "B", "chance", "told apart by"], rows, num_left=2, width=width)]
    if more:
        others = f"{more} more pair{'s' if more > 1 else ''}"
        words = f"... and {others}, further apart; scores.json of --output_dir has all."
        lines.append(text.paragraph(words, width))
    return "\n".join(lines)


def absolute_part(board: Leaderboard, width: int) -> str:
    """Restricted speedups over the pinned reference, and the data profile."""
    figures = board.absolute
    if figures is None:
        return ""
    header = ["submission"]
    reference = figures.reference
    header += ["speedup", "95% interval"] if reference else []
    header += [f"{fraction:.0%}" for fraction in absolute.FRACTIONS]
    shares = [figures.solved(fraction) for fraction in absolute.FRACTIONS]
    rows = []
    for row in board.order():
        cells = [board.label(row)]
        if reference is not None and figures.restricted is not None:
            cells += [f"{figures.restricted[row]:.3f}", "-"]
            if board.uncertainty and board.uncertainty.restricted and board.has_interval(row):
                own = board.uncertainty.restricted
                cells[-1] = f"{own.low[row]:.3f} - {own.high[row]:.3f}"
        rows.append([*cells, *(f"{share[row]:.0%}" for share in shares)])
    words = (
        "Figures that do not depend on the field (no held-out or r_max rule): share of workloads solved within a "
        "fraction of the budget"
    )
    if reference is not None:
        known = int(np.isfinite(reference.restricted).sum())
        where = "" if known == len(board.workloads) else f" on {known} of {len(board.workloads)} workloads"
        words += (
            f"; speedup over {reference.leaderboard}'s {reference.name}{where}, a miss counting as the budget. It ran "
            f"on {reference.hardware}: where yours ran elsewhere, that is the speedup of machine and algorithm together"
        )
    return f"{text.paragraph(words + '.', width, indent='')}\n{text.table(header, rows, width=width)}"


def first_place_lines(board: Leaderboard) -> list[str]:
    """A sentence where first place changes when one entry or workload is left out."""
    changes = sensitivity.changes_of_first(board)
    if not changes:
        return []
    words = "; ".join(_change_of_first(one) for one in changes[:MAX_FIRST_CHANGES])
    if len(changes) > MAX_FIRST_CHANGES:
        words += f"; it also changes without {', '.join(one.what for one in changes[MAX_FIRST_CHANGES:])}"
    return [f"What first place hangs on: {words} (--sensitivity says more)."]


def _change_of_first(one: Variation) -> str:
    new = [one.submissions.index(name) for name in one.first]
    old = [one.submissions.index(name) for name in one.first_before if name not in one.first]
    digits, beside = 3, max((float(one.scores[row]) for row in old), default=math.nan)
    best = float(one.scores[new[0]])
    while digits < 9 and old and f"{best:.{digits}f}" == f"{beside:.{digits}f}":
        digits += 1
    scores = f": {best:.{digits}f} to {beside:.{digits}f}" if old else f", tied with {len(new) - 1} more"
    return f"without {one.what}, {' and '.join(one.first)} {'is' if len(new) == 1 else 'are'} first{scores}"


def field_of_one_note(board: Leaderboard) -> list[str]:
    """What the number means where nobody else is in the field."""
    if len(board.submissions) != 1:
        return []
    return [
        "A field of one: its submission is the fastest wherever it reached the target, so its score is the share of "
        "workloads that it reached, and says nothing about speed."
    ]


def sensitivity_part(variations: Collection[Variation], notes: Sequence[str], width: int) -> str:
    """One line per change that moves a rank; the others by name."""
    lines = ["What the ranking hangs on (--sensitivity): submission rank before -> after"]
    for kind, words in KINDS.items():
        own = [one for one in variations if one.kind == kind]
        still = [one.what for one in own if not one.moves()]
        for one in own:
            if one.moves():
                moved = "; ".join(f"{name} {old} -> {new}" for name, old, new in one.moves())
                lines.append(text.paragraph(f"{words} {one.what}: {moved}", width))
        if still:
            lines.append(text.paragraph(f"no rank changes {words} {', '.join(still)}", width))
        bounds = [f"{one.what}: {one.note}" for one in own if one.note]
        if bounds:
            lines.append(text.paragraph("; ".join(bounds) + ".", width))
    lines += [text.paragraph(note, width) for note in notes]
    return "\n".join(lines)
