"""What all pages of a site share: head, way back, foot; and the words for numbers."""

import functools
import importlib.resources
from collections.abc import Iterable, Sequence

from scoring import rules
from scoring.markup import Html, joined, safe, tag
from scoring.markup import page as whole_page
from scoring.site.boards import INDEX, METHOD, Board, relative

Trail = Sequence[tuple[str, str]]
"""(text, path) of the pages above one, outermost first."""
DASH = Html("&ndash;")
SHORT_REASONS = {
    "target_not_reached": "not reached",
    "over_budget": "too late",
    "trial_failed": "failed",
    "ended_early": "broke off",
    "budget_before_evaluation": "no evaluation",
    "study_missing": "study missing",
    "workload_missing": "not run",
    "held_out_missing": "variant not run",
    "held_out_target_not_reached": "variant missed",
    "held_out_too_slow": "variant slow",
    "base_not_reached": "base missed",
    "slower_than_r_max": "too slow",
}
"""Reason of a miss -> what fits into a cell."""


def page(path: str, title: str, *parts: object, trail: Trail = ()) -> str:
    """A whole page.

    Args:
      path: of it within the site.
      title: of the window.
      *parts: of its body.
      trail: pages above it; the index is always there.
    """
    head = (
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html('<meta name="color-scheme" content="light dark">'),
        Html('<link rel="icon" href="data:,">'),
    )
    above = [("All boards", INDEX), *trail]
    items = [tag("li", link(path, target, text)) for text, target in above if target != path]
    items.append(tag("li", link(path, METHOD, "Method"))) if path != METHOD else None
    foot = f"Scores compare the entries of one board, and change with its field. Rules {rules.VERSION} for scoring."
    return whole_page(
        title,
        Html('<a class="skip" href="#main">To the content</a>'),
        tag("nav", tag("ul", *items), aria_label="Pages") if items else "",
        tag("main", *parts, id="main"),
        tag("footer", tag("p", foot)),
        style=style(),
        head=head,
    )


@functools.cache
def style() -> str:
    """That of the report, and what these pages need besides."""
    report = importlib.resources.files("scoring.page") / "assets" / "page.css"
    own = importlib.resources.files("scoring.site") / "assets" / "site.css"
    return report.read_text(encoding="utf-8") + own.read_text(encoding="utf-8")


def link(path: str, target: str, text: object, anchor: str = "") -> Html:
    """A link from a page to another of the site.

    Args:
      path: of the page that it stands on.
      target: path of the other one.
      text: that is seen.
      anchor: within the other one, without '#'.
    """
    return tag("a", text, href=relative(target, path) + (f"#{anchor}" if anchor else ""))


def section(title: str, how: object, *parts: object, id: str) -> Html:
    """A part of a page with a heading, and a sentence that says how to read it."""
    heading = tag("h2", title, id=f"{id}-title")
    return tag(
        "section",
        heading,
        tag("p", how, of="how") if how else "",
        *parts,
        id=id,
        aria_labelledby=f"{id}-title",
    )


def table(
    header: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    numbers: Sequence[int] = (),
    caption: str,
    of: str = "",
) -> Html:
    """A table that scrolls by itself where the screen is narrow; '' without rows.

    Args:
      header: of its columns.
      rows: the first cell of each is its heading.
      numbers: columns that hold numbers, which stand to the right.
      caption: for who hears it; not seen.
      of: class of the table.
    """
    body = []
    for row in rows:
        first, *rest = row
        cells = [
            tag("td", cell, of="number" if place in numbers else "")
            for place, cell in enumerate(rest, start=1)
        ]
        body.append(tag("tr", tag("th", first, scope="row", of="number" if 0 in numbers else ""), *cells))
    if not body:
        return Html("")
    head = [
        tag("th", cell, scope="col", of="number" if place in numbers else "")
        for place, cell in enumerate(header)
    ]
    whole = tag(
        "table",
        tag("caption", caption, of="hidden"),
        tag("thead", tag("tr", *head)),
        tag("tbody", joined(body)),
        of=of,
    )
    return tag("div", whole, of="scroll", tabindex="0", role="group", aria_label=caption)


def facts(pairs: Iterable[tuple[str, object]]) -> Html:
    """A list of what is known; '' where nothing is."""
    known = [tag("dt", name) + tag("dd", value) for name, value in pairs if value not in ("", None)]
    return tag("dl", *map(Html, known), of="facts") if known else Html("")


def breakable(name: str) -> Html:
    """A name that may go on in the next line after each of its words.

    >>> breakable("schedule_free")
    'schedule_<wbr>free'
    """
    return Html(safe(name).replace("_", "_<wbr>"))


def entry(path: str, board: Board, submission: str) -> Html:
    """A link from a page to that of an entry of a board."""
    return tag(
        "a", breakable(board.name_of(submission)), of="name", href=relative(board.entries[submission], path)
    )


def date(text: str) -> Html:
    """A date, or the beginning of one, which no line breaks."""
    return tag("time", text, datetime=text)


def seconds(value: float | None) -> Html:
    """A time, with digits that say something.

    >>> seconds(1234.5), seconds(12.344), seconds(None)
    ('1,234', '12.34', '&ndash;')
    """
    return DASH if value is None else safe(f"{value:,.0f}" if value >= 100 else f"{value:,.2f}")


def share(value: float | None) -> Html:
    """A share in percent."""
    return DASH if value is None else safe(f"{100 * value:.0f} %")


def size(num_bytes: int) -> str:
    """Of a file.

    >>> size(900), size(48_213), size(2_345_678)
    ('1 KB', '48 KB', '2.3 MB')
    """
    return f"{num_bytes / 1e6:.1f} MB" if num_bytes >= 1e6 else f"{max(1, round(num_bytes / 1000))} KB"


def counted(number: int, one: str, many: str = "") -> str:
    """A number of things.

    >>> counted(1, "entry", "entries"), counted(3, "workload")
    ('1 entry', '3 workloads')
    """
    return f"{number} {one if number == 1 else many or one + 's'}"
