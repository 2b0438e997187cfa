"""Two small pictures as SVG within a page: a score with its interval, and how a record moved over time."""

import datetime
import itertools
from collections.abc import Sequence

from scoring.markup import Html, safe, tag

WIDTH, HEIGHT = 130, 14
"""Pixels of a bar."""


def bar(score: float, low: float | None, high: float | None) -> Html:
    """A score in [0, 1], and its interval where it has one."""
    parts = [
        Html(f'<rect class="track" width="{WIDTH}" height="{HEIGHT}" rx="2"></rect>'),
        Html(f'<rect class="value" width="{WIDTH * score:.1f}" height="{HEIGHT}" rx="2"></rect>'),
    ]
    words = f"score {score:.3f}"
    if low is not None and high is not None:
        middle = HEIGHT / 2
        ends = f"M{WIDTH * low:.1f} {middle}H{WIDTH * high:.1f}"
        caps = "".join(f"M{WIDTH * end:.1f} {middle - 4}V{middle + 4}" for end in (low, high))
        parts += [
            Html(f'<path class="{name}" d="{ends}{caps}"></path>') for name in ("whisker-back", "whisker")
        ]
        words += f", 95 % interval {low:.2f} to {high:.2f}"
    return tag(
        "svg",
        *parts,
        of="bar",
        role="img",
        aria_label=words,
        width=WIDTH,
        height=HEIGHT,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
    )


LEFT, TOP, PLOT_WIDTH, PLOT_HEIGHT = 44, 12, 620, 190
LETTER = 6.4
"""Width of a letter at 12 pixels, for names that are not to overlap."""

Point = tuple[str, float, str, bool]
"""(ISO date or its beginning, score, name, whether it was a record)."""


def over_time(points: Sequence[Point], title: str) -> Html:
    """Entries by date and score, and the line of the best so far; '' where all have one date.

    Args:
      points: with dates, in any order.
      title: for who hears it.
    """
    days = {point[0]: _day(point[0]) for point in points}
    first, last = min(days.values(), default=0), max(days.values(), default=0)
    if first == last:
        return Html("")

    def x(date: str) -> float:
        return LEFT + PLOT_WIDTH * (days[date] - first) / (last - first)

    def y(score: float) -> float:
        return TOP + PLOT_HEIGHT * (1 - score)

    parts = [
        Html(
            f'<path class="grid" d="M{LEFT} {y(level):.1f}h{PLOT_WIDTH}"></path>'
            f'<text x="{LEFT - 8}" y="{y(level) + 4:.1f}" text-anchor="end">{level:g}</text>'
        )
        for level in (0, 0.25, 0.5, 0.75, 1)
    ]
    records = sorted((point for point in points if point[3]), key=lambda point: (days[point[0]], point[1]))
    steps = "".join(
        f"{'H' if number else 'M'}{x(date):.1f}{'V' if number else ' '}{y(score):.1f}"
        for number, (date, score, _, _) in enumerate(records)
    )
    parts.append(Html(f'<path class="record" d="{steps}H{LEFT + PLOT_WIDTH}"></path>'))
    for date, score, name, is_record in sorted(points):
        mark = (
            f'<circle class="mark-record" cx="{x(date):.1f}" cy="{y(score):.1f}" r="5">'
            if is_record
            else f'<circle class="mark-other" cx="{x(date):.1f}" cy="{y(score):.1f}" r="3.5">'
        )
        parts.append(Html(f"{mark}<title>{safe(f'{name}, {date}: {score:.3f}')}</title></circle>"))
    parts += _labels([(x(date), y(score), name) for date, score, name, _ in records])
    below = TOP + PLOT_HEIGHT + 22
    parts += [
        tag("text", date, x=f"{x(date):.1f}", y=below, text_anchor=anchor)
        for date, anchor in (
            (min(days, key=days.__getitem__), "start"),
            (max(days, key=days.__getitem__), "end"),
        )
    ]
    width, height = LEFT + PLOT_WIDTH + 16, TOP + PLOT_HEIGHT + 30
    picture = tag("svg", *parts, role="img", aria_label=title, viewBox=f"0 0 {width} {height}", width=width)
    return tag("div", picture, of="chart over-time", tabindex="0", role="group", aria_label=title)


def _labels(marks: Sequence[tuple[float, float, str]]) -> list[Html]:
    """Names beside their marks, the newest first; one that would cover another is left out, as the table has it."""
    taken: list[tuple[float, float, float, float]] = []
    found = []
    for x, y, name in reversed(marks):
        shown = name if len(name) <= 28 else f"{name[:27]}…"
        width = LETTER * len(shown)
        for is_right, down in itertools.product((True, False), (-8, 19)):
            left = x + 9 if is_right else x - 9 - width
            box = (left, y + down - 11, left + width, y + down + 3)
            is_inside = box[0] >= LEFT and box[2] <= LEFT + PLOT_WIDTH + 12 and box[1] >= 0
            if is_inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                anchor, at = ("start", x + 9) if is_right else ("end", x - 9)
                found.append(tag("text", shown, x=f"{at:.1f}", y=f"{y + down:.1f}", text_anchor=anchor))
                break
    return found


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _day(date: str) -> int:
    """A date, or the first day of a month or year, as a number.

    >>> _day("2026-07") - _day("2026-06-30")
    1
    """
    year, month, day = (*(int(part) for part in date.split("-")), 1, 1)[:3]
    return datetime.date(year, month, day).toordinal()
