"""The page of a workload on a board: what is to be reached, who reached it how fast, who improved the record when."""

from scoring.markup import Html, safe, tag
from scoring.site import board_page, frame
from scoring.site.boards import Board
from scoring.site.frame import DASH, link, section, table


def render(board: Board, workload: str) -> str:
    """The page of a workload, or of a held-out variant."""
    path = board.workloads[workload]
    parts = [
        tag("h1", workload),
        tag("p", f"{board.field.title} · {board.field.hardware}", of="lead"),
        tag("p", link(path, board.report, "Its curves in the interactive report", anchor="curves")),
        section("What is to be reached", "", _facts(board, workload), id="facts"),
        section(
            "Entries",
            "Fastest first: median over studies of the submission time to the target, before the held-out and r_max "
            "rules.",
            _entries(board, workload),
            id="entries",
        ),
    ]
    if board.document["workloads"][workload]["guards"] is None:
        parts.append(section("Record over time", "", _records(board, workload), id="records"))
    return frame.page(
        path, f"{workload}, {board.field.title}", *parts, trail=[(board.field.title, board.page)]
    )


def _facts(board: Board, workload: str) -> Html:
    facts = board.document["workloads"][workload]
    sign = "at least" if facts["higher_is_better"] else "at most"
    guards = facts["guards"]
    return frame.facts(
        [
            (
                "Target",
                f"{facts['metric']} of {sign} {facts['validation_target']:.6g} on the validation split",
            ),
            ("Budget", Html(f"{frame.seconds(facts['budget_sec'])} s on the submission clock")),
            ("Evaluations", f"every {facts['eval_period_sec']:g} s"),
            ("Step hint", "" if facts["step_hint"] is None else f"{facts['step_hint']:,.0f} updates"),
            (
                "Held out for",
                link(board.workloads[workload], board.workloads[guards], guards) if guards else "",
            ),
        ]
    )


def _entries(board: Board, workload: str) -> Html:
    names = [row["submission"] for row in board.rows]
    times = {name: board.time(name, workload) for name in names}

    def key(name: str) -> tuple[bool, float]:
        value = times[name]["time_to_target"]
        return value is None, 0.0 if value is None else value

    fastest = min(
        (value for name in names if (value := times[name]["time_to_target"]) is not None), default=None
    )
    updates = board.document["axes"].get("steps", {}).get("submissions", {})
    rows = []
    for name in sorted(names, key=key):
        time = times[name]
        value = time["time_to_target"]
        steps = updates.get(name, {}).get("times", {}).get(workload)
        why = board.short(board.document["why"].get(name, {}).get(workload, ""))
        rows.append(
            [
                frame.entry(board.workloads[workload], board, name),
                board_page.cell(time, fastest),
                DASH if value is None or not fastest else f"{value / fastest:.2f}",
                frame.share(time["budget_share"]),
                DASH if steps is None else f"{steps:,.0f}",
                f"{time['num_reached']} of {time['num_studies']}"
                if time["num_studies"] is not None
                else DASH,
                tag("span", why, of="words"),
            ]
        )
    header = ("entry", "seconds", "over fastest", "of budget", "updates", "studies", "why")
    return table(header, rows, numbers=(1, 2, 3, 4), caption=f"Entries on {workload}")


def _records(board: Board, workload: str) -> Html:
    rows = [
        [
            frame.date(one.date),
            frame.entry(board.workloads[workload], board, one.submission),
            frame.seconds(each.seconds),
            frame.seconds(each.before),
        ]
        for one in board_page.newest_first(board.improvements)
        for each in one.faster
        if each.workload == workload
    ]
    header = ("date", "entry", "seconds", "before")
    found = table(header, rows, numbers=(2, 3), caption=safe(f"Records on {workload}"))
    return found or tag("p", "Nobody with a date has reached the target.", of="how")
