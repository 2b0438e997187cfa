"""The page of an entry: what it is, how it did on each workload and why, and every trial of it."""

from collections.abc import Sequence
from typing import Any

from scoring.markup import Html, folded, tag
from scoring.site import board_page, charts, frame
from scoring.site.boards import Board, others_with
from scoring.site.frame import DASH, link, section, table


def render(board: Board, submission: str, boards: Sequence[Board]) -> str:
    """The page.

    Args:
      board: that the entry is on.
      submission: its name there.
      boards: all of the site, for entries of the same name.
    """
    path, name = board.entries[submission], board.name_of(submission)
    place = next(number for number, row in enumerate(board.rows) if row["submission"] == submission)
    row = board.rows[place]
    parts = [
        tag("h1", name),
        tag("p", _standing(board, row), of="lead"),
        charts.bar(row["score"], row.get("score_low"), row.get("score_high")),
        tag("p", link(path, board.report, "In the interactive report", anchor=f"entry-{place}")),
        section("What it is", "", _facts(board, submission, path, boards), id="facts"),
        section(
            "Workloads",
            "Time to the target as a median over studies, its share of the budget, studies that reached it, and in "
            "words what made the result.",
            _workloads(board, submission, path),
            id="workloads",
        ),
        section("Records that it improved", "", _records(board, submission, path), id="records"),
        section("Trials", "", _trials(board, submission), id="trials"),
    ]
    return frame.page(path, f"{name}, {board.field.title}", *parts, trail=[(board.field.title, board.page)])


def _standing(board: Board, row: Any) -> str:
    rank = f"rank {row['rank']} of {len(board.rows)}" if row["rank"] is not None else "rank still open"
    return f"{rank} · score {row['score']:.3f} · {board.field.title} · {board.field.hardware}"


def _facts(board: Board, submission: str, path: str, boards: Sequence[Board]) -> Html:
    info = board.document["infos"].get(submission, {})

    def values(column: str) -> str:
        return "; ".join(board.values(submission, column))

    others = [
        tag("li", link(path, target, board_page.title_of(other)))
        for other, target in others_with(board, boards, board.folder_name(submission))
    ]
    return frame.facts(
        [
            ("Authors", info.get("authors")),
            ("Description", info.get("description")),
            ("Folder", board.folder_name(submission)),
            ("Date", board.dates.get(submission)),
            (
                "Published with",
                board.field.leaderboard if board.folder_name(submission) != submission else "",
            ),
            ("Framework", values("framework")),
            ("Refereed", board.refereed(submission)),
            ("Machine", values("device")),
            ("Host", values("host")),
            ("Versions", values("versions")),
            ("Project's commit", values("commit")),
            ("Hash of its source", values("source")),
            ("Seeds", values("seed")),
            ("Errors", values("error")),
            ("Also on", tag("ul", *others, of="plain") if others else ""),
        ]
    )


def _workloads(board: Board, submission: str, path: str) -> Html:
    own = next(row for row in board.rows if row["submission"] == submission)["workloads"]
    reasons = board.document["why"].get(submission, {})
    rows = []
    for workload, target in board.workloads.items():
        time = board.time(submission, workload)
        ratio = own[workload]["ratio"] if workload in own else None
        studies = (
            f"{time['num_reached']} of {time['num_studies']}" if time["num_studies"] is not None else DASH
        )
        rows.append(
            [
                link(path, target, frame.breakable(workload)),
                board_page.cell(time, None),
                frame.share(time["budget_share"]),
                DASH if ratio is None else f"{ratio:.2f}",
                studies,
                tag("span", board.short(reasons.get(workload, "")), of="words"),
            ]
        )
    header = ("workload", "seconds", "of budget", "over fastest", "studies", "why")
    return table(header, rows, numbers=(1, 2, 3), caption="Workloads")


def _records(board: Board, submission: str, path: str) -> Html:
    for one in board.improvements:
        if one.submission == submission:
            items = [tag("li", f"{one.date}: best score, {one.score:.3f}")] if one.score is not None else []
            items += [
                tag(
                    "li",
                    f"{one.date}: fastest on ",
                    link(path, board.workloads[each.workload], each.workload),
                    Html(f", {frame.seconds(each.seconds)} s"),
                )
                for each in one.faster
            ]
            return tag("ul", *items, of="plain")
    return tag("p", "None, by the dates that are known.", of="how")


def _trials(board: Board, submission: str) -> Html:
    trials = board.trials[submission]
    if not trials:
        return tag("p", "Known by its medians only.", of="how")
    has_points = any(trial["hyperparameters"] for trial in trials)
    rows: list[list[object]] = []
    for trial in trials:
        record = trial["record"] or {}
        cells: list[object] = [
            frame.breakable(f"{trial['workload']}, study {trial['study']}, trial {trial['trial']}"),
            trial["status"] or DASH,
            frame.seconds(trial["hit_time_sec"]),
            DASH if trial["hit_step"] is None else f"{trial['hit_step']:,.0f}",
            DASH if trial["best"] is None else f"{trial['best']:.6g}",
            frame.seconds(trial["last_time_sec"]),
        ]
        if has_points:
            point = trial["hyperparameters"] or {}
            words = ", ".join(f"{key} {_short(value)}" for key, value in point.items())
            cells.append(tag("span", words, of="words"))
        cells.append(tag("span", frame.breakable(record.get("path", "")), of="words") if record else DASH)
        rows.append(cells)
    header = ["trial", "ended", "reached at", "updates", "best metric", "ran for"]
    header += ["hyperparameters"] if has_points else []
    header.append("record in the archive")
    # Records of published entries are known in parts.
    kept = [place for place in range(len(header)) if any(row[place] is not DASH for row in rows)]
    rows = [[row[place] for place in kept] for row in rows]
    numbers = [new for new, place in enumerate(kept) if 2 <= place <= 5]
    whole = table([header[place] for place in kept], rows, numbers=numbers, caption="Trials")
    return folded(frame.counted(len(trials), "trial"), whole, is_open=len(trials) <= 30)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
