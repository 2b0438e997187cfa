"""The page of a board: who leads, how far, on what; who improved which record when; what can be downloaded."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from scoring.markup import Html, folded, joined, safe, tag
from scoring.site import charts, frame, history
from scoring.site.boards import METHOD, Board
from scoring.site.frame import DASH, counted, link, section, table

MOST_FINDINGS = 200
"""That are listed; scores.json has all."""


def render(board: Board) -> str:
    """The page."""
    parts = [
        tag("h1", board.field.title),
        tag("p", summary(board), of="lead"),
        tag(
            "p",
            link(board.page, board.report, "Curves, what-if, reasons and pictures: the interactive report"),
        ),
        section(
            "Board",
            joined(
                [
                    "The score is 1 for an entry that is fastest on every workload and 0 for one that reaches no "
                    "target in time; bars show it with its 95 % interval. Entries of one tie group are not told "
                    "apart. ",
                    link(board.page, METHOD, "How it is computed", anchor="8-scoring"),
                ]
            ),
            scores(board),
            id="board",
        ),
        section(
            "Times to the target",
            f"Median over {counted(board.document['settings']['num_studies'], 'study', 'studies')}, in seconds on the "
            "submission clock; the fastest of each workload is bold, and words say why there is no time.",
            times(board),
            id="times",
        ),
        section("Records over time", _records_words(board), *_records(board), id="records"),
        section("Downloads", "", _downloads(board), id="downloads"),
        _notes(board),
    ]
    return frame.page(board.page, board.field.title, *parts)


def summary(board: Board) -> str:
    """The field in one line."""
    settings = board.document["settings"]
    parts = (
        counted(len(board.rows), "entry", "entries"),
        counted(len(settings["workloads"]), "workload")
        + (f" and {len(settings['held_out'])} held out" if settings["held_out"] else ""),
        f"{counted(settings['num_studies'], 'study', 'studies')} of {counted(settings['num_trials'], 'trial')}",
        board.field.hardware,
    )
    return " · ".join(parts)


def scores(board: Board) -> Html:
    """The table of scores."""
    optional: dict[str, list[object]] = {
        "tie group": [row.get("tie_group") for row in board.rows],
        "framework": [", ".join(board.values(row["submission"], "framework")) for row in board.rows],
        "refereed": [board.refereed(row["submission"]) for row in board.rows],
        "date": [
            frame.date(board.dates[row["submission"]]) if row["submission"] in board.dates else None
            for row in board.rows
        ],
    }
    shown = [
        name
        for name, column in optional.items()
        if any(column) and not (name == "refereed" and set(column) == {"no"})
    ]
    rows = []
    for place, row in enumerate(board.rows):
        name = row["submission"]
        low, high = row.get("score_low"), row.get("score_high")
        has_interval = low is not None and high is not None
        rows.append(
            [
                DASH if row["rank"] is None else row["rank"],
                frame.entry(board.page, board, name),
                f"{row['score']:.3f}",
                charts.bar(row["score"], low, high),
                Html(f"{low:.2f}&thinsp;&ndash;&thinsp;{high:.2f}") if has_interval else DASH,
                row["num_workloads_reached"],
                *(DASH if optional[key][place] in (None, "") else optional[key][place] for key in shown),
            ]
        )
    header = ["rank", "entry", "score", "", "95 % interval", "workloads", *shown]
    return table(header, rows, numbers=(0, 2, 4, 5), caption=f"Scores: {board.field.title}")


def times(board: Board) -> Html:
    """The table of times: a row for each entry, a column for each workload."""
    workloads = list(board.document["workloads"])
    fastest = {
        workload: min(
            (
                time
                for row in board.rows
                if (time := board.time(row["submission"], workload)["time_to_target"]) is not None
            ),
            default=None,
        )
        for workload in workloads
    }
    header = [
        "entry",
        *(link(board.page, board.workloads[name], frame.breakable(name)) for name in workloads),
    ]
    rows = [
        [
            frame.entry(board.page, board, row["submission"]),
            *(cell(board.time(row["submission"], name), fastest[name]) for name in workloads),
        ]
        for row in board.rows
    ]
    numbers = range(1, len(header))
    return table(
        header, rows, numbers=numbers, caption=f"Times to the target: {board.field.title}", of="times"
    )


def cell(time: Mapping[str, Any], fastest: float | None) -> Html:
    """A time, or why there is none."""
    value = time["time_to_target"]
    if value is None:
        miss = time["miss"]
        words = frame.SHORT_REASONS.get(miss["reason"], "missed") if miss else "missed"
        return tag("span", words, of="miss", title=miss["detail"] if miss else None)
    return tag("strong" if value == fastest else "span", frame.seconds(value))


def _records_words(board: Board) -> str:
    if not board.dates:
        return "No entry has a date: records hold one, or submission_info.yml (date: 2026-03-05)."
    without = len(board.rows) - sum(row["submission"] in board.dates for row in board.rows)
    words = (
        "Who improved the best score, or the fastest time on a workload, when it came. "
        "Scores are those of today's field."
    )
    if len(set(board.dates.values())) == 1:
        words += f" All dated entries are of {next(iter(board.dates.values()))}."
    return words + (f" {counted(without, 'entry', 'entries')} without a date." if without else "")


def _records(board: Board) -> Sequence[Html]:
    best = {one.submission for one in board.improvements if one.score is not None}
    points = [
        (board.dates[name], row["score"], board.name_of(name), name in best)
        for row in board.rows
        if (name := row["submission"]) in board.dates
    ]
    rows = [
        [
            frame.date(one.date),
            frame.entry(board.page, board, one.submission),
            _score_record(one.score, one.score_before),
            _faster_words(board, one.faster),
        ]
        for one in newest_first(board.improvements)
    ]
    header = ("date", "entry", "best score", "fastest on")
    caption = f"Records: {board.field.title}"
    return [
        charts.over_time(points, f"Scores over time: {board.field.title}"),
        table(header, rows, caption=caption),
    ]


def newest_first(improvements: Sequence[history.Improvement]) -> list[history.Improvement]:
    """Of one date, that of the best score before those on workloads."""
    return sorted(
        sorted(improvements, key=lambda one: one.score is None), key=lambda one: one.date, reverse=True
    )


def _score_record(score: float | None, before: float | None) -> object:
    if score is None:
        return DASH
    return f"{score:.3f}" + (f" (before: {before:.3f})" if before is not None else "")


def _faster_words(board: Board, faster: Sequence[Any]) -> Html:
    words = []
    for one in faster:
        before = f", before {frame.seconds(one.before)}" if one.before is not None else ""
        name = link(board.page, board.workloads[one.workload], one.workload)
        words.append(tag("li", name, Html(f" {frame.seconds(one.seconds)} s{before}")))
    return tag("ul", *words, of="plain wide-list") if words else DASH


def _downloads(board: Board) -> Html:
    items = [
        tag("li", link(board.page, f"{board.folder}/{name}", name), f" ({frame.size(num_bytes)})")
        for name, num_bytes in board.downloads
    ]
    return tag("ul", *items, of="plain")


def _notes(board: Board) -> Html:
    notes, findings = board.document["notes"], board.document["findings"]
    if not notes and not findings:
        return Html("")
    lines = [tag("li", board.short(note)) for note in notes]
    for one in itertools.islice(findings, MOST_FINDINGS):
        where = " ".join(one[key] for key in ("submission", "workload", "place") if one[key])
        lines.append(
            tag("li", f"{where or 'field'}: {one['kind']}{': ' if one['detail'] else ''}{one['detail']}")
        )
    if len(findings) > MOST_FINDINGS:
        lines.append(tag("li", f"and {len(findings) - MOST_FINDINGS} more, in scores.json"))
    title = f"{counted(len(notes), 'note')} and {counted(len(findings), 'finding')} about the results"
    return section("Notes", "", folded(title, tag("ul", *lines)), id="notes")


def title_of(board: Board) -> Html:
    """A board's name with its hardware, for lists of boards."""
    return safe(f"{board.field.title} on {board.field.hardware}")
