"""The first page: all boards with who leads them, and which records were improved when."""

from collections.abc import Sequence

from scoring.markup import Html, tag
from scoring.site import board_page, frame
from scoring.site.boards import INDEX, METHOD, Board
from scoring.site.frame import DASH, link, section, table

TITLE = "Training algorithms: leaderboards"
MOST_RECORDS = 50
LIST = "boards.json"


def render(boards: Sequence[Board]) -> str:
    """The page.

    Args:
      boards: all of the site, newest first.
    """
    words = (
        "How fast training algorithms bring neural networks to a fixed quality, tuning included. A board compares "
        "entries that ran the same suite of workloads under the same ruleset on the same kind of machine; times and "
        "scores of two boards do not compare."
    )
    parts = [
        tag("h1", TITLE),
        tag("p", words, of="how"),
        section("Boards", "Newest first.", _boards(boards), id="boards"),
        section(
            "Records",
            "Entries that had the best score of their board when they came, newest first; scores are those of today's "
            "field.",
            _records(boards) or tag("p", "No entry has a date.", of="how"),
            id="records",
        ),
        tag(
            "p",
            link(INDEX, METHOD, "The rules"),
            Html(" &middot; "),
            link(INDEX, LIST, "This list as JSON"),
        ),
    ]
    return frame.page(INDEX, TITLE, *parts)


def _boards(boards: Sequence[Board]) -> Html:
    rows = []
    for board in boards:
        leaders = [row["submission"] for row in board.rows if row["rank"] == 1]
        names = [frame.entry(INDEX, board, name) for name in leaders]
        rows.append(
            [
                link(INDEX, board.page, board.field.title),
                Html(", ".join(names)) if names else DASH,
                f"{board.rows[0]['score']:.3f}" if names else DASH,
                len(board.rows),
                len(board.document["settings"]["workloads"]),
                frame.date(max(board.dates.values())) if board.dates else DASH,
                board.field.hardware,
                link(INDEX, board.report, "report"),
            ]
        )
    header = ("board", "leads", "score", "entries", "workloads", "last entry", "hardware", "")
    return table(header, rows, numbers=(2, 3, 4), caption="Boards")


def _records(boards: Sequence[Board]) -> Html:
    found = [
        (one.date, board, one) for board in boards for one in board.improvements if one.score is not None
    ]
    found.sort(key=lambda each: each[0], reverse=True)
    rows = [
        [
            frame.date(date),
            frame.entry(INDEX, board, one.submission),
            f"{one.score:.3f}",
            DASH if one.score_before is None else f"{one.score_before:.3f}",
            link(INDEX, board.page, board_page.title_of(board)),
        ]
        for date, board, one in found[:MOST_RECORDS]
    ]
    header = ("date", "entry", "score", "before", "board")
    return table(header, rows, numbers=(2, 3), caption="Records")
