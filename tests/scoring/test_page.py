"""`report.html` in a real browser: what is drawn, what a reader can do, and that rescoring is Python's."""

import csv
import dataclasses
import io
import random
from pathlib import Path

import browsers
import numpy as np
import pytest
from PIL import Image

from algoperf import suites
from scoring import intervals, profiles, published, relaxing, rules, score_field
from scoring.document import axes, content
from scoring.page import render
from scoring.results import Results

pytestmark = pytest.mark.slow

PHONE = {"viewport": {"width": 390, "height": 800}}
VIEWS = (
    "board",
    "workloads",
    "curves",
    "profile",
    "data-profile",
    "pairs",
    "whatif",
    "why",
    "time",
    "steps",
    "memory",
)
CHARTS = ("curves", "profile", "data-profile", "time", "steps", "memory")


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    """The mini leaderboard, scored: what scoring gives, and the folder of its files."""
    folder = tmp_path_factory.mktemp("mini")
    return score_mini(output_dir=folder), folder


def score_mini(**options):
    return score_field.run(
        score_field.Config(
            submissions_dir=published.DATA_DIR / "mini_self.tar.xz",
            suite="mini",
            ruleset="self",
            bootstrap_samples=20,
            **options,
        )
    )


@pytest.fixture(scope="module")
def page(browser, mini):
    """The page of the mini leaderboard, everything drawn; tests leave it as they found it."""
    with browsers.page_of(browser, (mini[1] / "report.html").as_uri()) as page:
        page.evaluate("report.drawAll()")
        yield page


def shown_board(page):
    """Entry -> (rank, score) as the board shows them."""
    found = {}
    for line in page.locator("#board tbody tr").all():
        cells = [cell.strip() for cell in line.locator("td.number").all_inner_texts()]
        found[line.get_attribute("data-entry")] = (cells[0], cells[1])
    return found


def test_every_view_has_marks(page):
    for view in VIEWS:
        assert page.locator(f"#{view} .how").inner_text(), view
        assert page.locator(f"#{view} .body *").count() > 5, view
    for view in CHARTS:
        marks = page.locator(f"#{view} svg[role=img] :is(path, rect, circle)")
        assert marks.count() > 5, view
    assert "NaN" not in page.locator("main").inner_text()
    assert page.locator("path[d*=NaN], [x=NaN], [y=NaN], [cx=NaN]").count() == 0


def test_the_slider_gives_the_table_of_relax_targets(page):
    page.locator("[data-key=share]").fill("0.05")
    board = score_mini(relax_targets=0.05).board
    ranks = board.ranks()
    expected = {
        name: (str(ranks[row]), f"{board.scores[row]:.4f}") for row, name in enumerate(board.submissions)
    }
    assert shown_board(page) == expected
    assert "relaxed by 5 %" in page.locator("#board .banner").inner_text()
    page.get_by_role("button", name="Back to the rules").first.click()
    assert page.locator("#board .banner").count() == 0


def test_a_slider_is_moved_by_keys_and_keeps_its_hand(page):
    page.locator("[data-key=share]").focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    assert page.evaluate("report.store.choice.share") == pytest.approx(0.02)
    assert page.evaluate("document.activeElement.dataset.key") == "share"
    page.locator("[data-key^='workloads-']").first.uncheck()
    page.locator("[data-key^='entries-']").first.uncheck()
    assert page.evaluate("report.store.result.rows.length") == len(page.evaluate("report.field.order")) - 1
    page.locator("[data-key=reset]").click()
    assert page.evaluate("report.isChanged(report.field.document, report.store.choice)") is False
    assert page.locator("[data-key=share]").input_value() == "0"


def test_who_works_by_keys_stays_where_the_board_is_drawn_anew(page):
    box = page.locator("#board tbody tr input").nth(2)
    box.focus()
    key = page.evaluate("document.activeElement.dataset.key")
    page.keyboard.press("Space")
    assert page.evaluate("document.activeElement.dataset.key") == key
    page.keyboard.press("Space")
    assert page.locator("#board .is-hidden").count() == 0


def test_hidden_entries_leave_the_charts(page):
    before = page.locator("#curves svg[role=img] path").count()
    page.locator("#board tbody tr input").first.uncheck()
    page.evaluate("report.drawAll()")
    assert page.locator("#curves svg[role=img] path").count() < before
    assert page.locator("#curves .legend [aria-pressed=false]").count() == 1
    page.locator("#board tbody tr input").first.check()


def test_sorting_turns_the_board_around(page):
    names = list(shown_board(page))
    page.get_by_role("button", name="Rank", exact=False).first.click()
    assert list(shown_board(page)) == names[::-1]
    page.get_by_role("button", name="Rank", exact=False).first.click()


def test_views_are_saved_as_files(page):
    saved = {}
    for kind in ("CSV", "SVG", "PNG"):
        with page.expect_download() as waiting:
            page.get_by_role("button", name=f"Save Performance profile as {kind}").click()
        saved[kind] = Path(waiting.value.path()).read_bytes()
        assert waiting.value.suggested_filename == f"profile.{kind.lower()}"
    assert saved["CSV"].startswith(b"submission,ratio,share_of_workloads\n")
    assert b"<svg" in saved["SVG"]
    assert b"var(--" not in saved["SVG"].replace(b'stroke="var(', b"").replace(b'fill="var(', b"")
    assert saved["PNG"].startswith(b"\x89PNG")
    assert len(saved["PNG"]) > 10_000


@pytest.mark.parametrize("view", ["Board", "Workloads", "Pairs", "What if"])
def test_tables_are_saved_as_pictures_too(page, view, tmp_path):
    with page.expect_download() as waiting:
        page.get_by_role("button", name=f"Save {view} as PNG").click()
    with Image.open(waiting.value.path()) as picture:
        assert picture.width > 300
        assert len(picture.convert("RGB").getcolors(100_000)) > 20, "nothing is drawn on it"


def test_a_cell_leads_to_the_records_behind_it(page):
    page.locator("#workloads td button").first.click()
    detail = page.locator("#workloads .detail")
    detail.get_by_text("study 0").first.wait_for()
    assert "mini_self.tar.xz" in detail.locator("[title]").first.get_attribute("title")
    page.locator("#workloads td button").first.click()


def test_what_was_opened_stays_open_when_entries_are_hidden(page):
    page.locator("#why summary").nth(2).click()
    page.locator("#board tbody tr input").first.uncheck()
    page.evaluate("report.drawAll()")
    assert page.locator("#why details[open]").count() == 1  # The first one has gone.
    page.locator("#board tbody tr input").first.check()
    page.evaluate("report.drawAll()")
    assert page.locator("#why details[open]").count() == 2
    page.locator("#why summary").nth(2).click()


def test_a_score_leads_to_the_card_of_its_entry(browser, mini):
    with browsers.page_of(browser, (mini[1] / "report.html").as_uri()) as page:
        page.locator("#board td.number a").first.click()
        card = page.locator("details.card[open]")
        card.locator("td").first.wait_for()
        assert "cpu (2 cores)" in card.inner_text()


def test_a_page_has_no_serious_fault_for_who_reads_it_otherwise(browser, tmp_path):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    score_mini(
        output_dir=tmp_path, include=("adamw", "lion", "shampoo")
    )  # A smaller page says the same sooner.
    with browsers.page_of(browser, (tmp_path / "report.html").as_uri()) as page:
        page.evaluate("report.drawAll(); document.querySelector('#entries details').open = true")
        context = {"exclude": [["svg[role=img] > *"]]}  # One picture each, with a name of its own.
        for scheme, rules_of in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
            page.emulate_media(color_scheme=scheme)
            options = {"resultTypes": ["violations"], "iframes": False, **rules_of}
            found = axe.Axe().run(page, context, options).response["violations"]
            serious = [one for one in found if one["impact"] in ("serious", "critical")]
            assert serious == [], [(one["id"], one["nodes"][0]["html"]) for one in serious]


@pytest.mark.parametrize("width", [390, 768])
def test_nothing_is_wider_than_the_screen(browser, mini, width):
    with browsers.page_of(
        browser, (mini[1] / "report.html").as_uri(), viewport={"width": width, "height": 800}
    ) as page:
        page.evaluate("report.drawAll()")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_board_is_there_in_a_second_and_the_slider_follows(browser, mini):
    with browsers.page_of(browser, (mini[1] / "report.html").as_uri()) as page:
        timing = """() => {
          const slider = document.querySelector("[data-key=share]");
          const times = [0.02, 0.04, 0.06, 0.08, 0.1].map((value) => {
            const start = performance.now();
            slider.value = value;
            slider.dispatchEvent(new Event("input"));
            document.body.getBoundingClientRect();
            return performance.now() - start;
          });
          return Math.min(...times);
        }"""
        page.locator("#whatif").scroll_into_view_if_needed()
        page.wait_for_selector("[data-key=share]")
        # Ten times what it takes: whoever tests may have other things to do.
        assert page.evaluate(timing) < 100


# ---- rescoring ---------------------------------------------------------------------------------------------------


def choices_for(board, number, seed):
    """Random settings of the sliders."""
    draw = random.Random(seed)
    found = []
    for _ in range(number):
        entries = [name for name in board.submissions if draw.random() < 0.8] or [board.submissions[0]]
        workloads = [name for name in board.workloads if draw.random() < 0.8] or [board.workloads[0]]
        found.append(
            {
                "axis": draw.choice(["submission_time", "steps"]),
                "share": draw.choice([0, 0.05, -0.05, round(draw.uniform(-0.2, 0.2), 3)]),
                "rMax": draw.choice([1.5, 2, 4, 8]),
                "weights": {name: draw.choice([0, 0.5, 1, 3]) for name in board.workloads},
                "entries": entries,
                "workloads": workloads,
            }
        )
    return found


def rescored(board, trials, choice):
    """(scores, ranks, times) by Python's rules."""
    field = Results(board.submissions, tuple(trials))
    settings = board.settings
    if choice["share"]:
        field, _ = relaxing.results_at(field, settings.suite, choice["share"])
        settings = dataclasses.replace(settings, suite=relaxing.suite_at(settings.suite, choice["share"]))
    moved = dataclasses.replace(board, settings=settings)
    moved = axes.scored_by(choice["axis"], moved, field.trials)
    table = moved.table
    workloads = [table.columns.index(name) for name in choice["workloads"]]
    guards = [place for place, base in enumerate(table.bases) if base in workloads]
    columns = [*workloads, *(table.num_workloads + place for place in guards)]
    rows = [table.submissions.index(name) for name in choice["entries"]]
    times = table.values()[np.ix_(rows, columns)]
    bases = tuple(workloads.index(table.bases[place]) for place in guards)
    procedure = settings.procedure
    ratios = rules.performance_ratios(
        times, len(workloads), bases, choice["rMax"], one_best=procedure.one_best
    ).values
    parts = np.stack(
        [
            profiles.score(ratios[:, [place]], choice["rMax"], exact=procedure.exact_integral)
            for place in range(len(workloads))
        ],
        axis=1,
    )
    weights = np.array([choice["weights"][name] for name in choice["workloads"]])
    scores = parts @ weights / weights.sum() if weights.sum() else np.zeros(len(rows))
    return scores, intervals.ranks(scores), np.where(np.isnan(times), np.inf, times)


IN_BROWSER = """([document, choices]) => {
  const field = report.index(document);
  return choices.map((choice) => report.rescore(field, choice).rows.map((row) => (
    { score: row.score, rank: row.rank, times: row.cells.map((cell) => cell.value) }
  )));
}"""


def check_rescoring(page, scored, choices):
    made = document_of(scored)
    for choice, rows in zip(choices, page.evaluate(IN_BROWSER, [made, choices])):
        scores, ranks, times = rescored(scored.board, scored.trials, choice)
        np.testing.assert_allclose([row["times"] for row in rows], times, rtol=1e-12, err_msg=str(choice))
        np.testing.assert_allclose([row["score"] for row in rows], scores, atol=1e-12, err_msg=str(choice))
        assert [row["rank"] for row in rows] == ranks.tolist(), choice


def document_of(scored):
    parts = (scored.findings, scored.differences, scored.notes, scored.trials, scored.variations)
    return content.make(scored.board, *parts, content.Origin())


def test_rescoring_in_the_browser_is_that_of_python(page, mini):
    scored, _ = mini
    check_rescoring(page, scored, choices_for(scored.board, 40, seed=1))


@pytest.mark.parametrize("official", [False, True])
def test_rescoring_knows_held_out_rules_missing_studies_and_ends_of_runs(
    page, tmp_path, suite, monkeypatch, write_trial, official
):
    monkeypatch.setattr(suites, "load", lambda name: suite)
    write_random_field(write_trial, seed=3)
    config = score_field.Config(
        submissions_dir=tmp_path / "submissions", suite="test", bootstrap_samples=0, official=official
    )
    scored = score_field.run(config)
    check_rescoring(page, scored, choices_for(scored.board, 60, seed=4))


def write_random_field(write_trial, seed):
    """Five entries with runs that rise to about their targets, end there, go on, or are missing."""
    draw = random.Random(seed)
    for entry in "abcde":
        for workload, metric, sign in (
            ("down", "loss", -1),
            ("up", "accuracy", 1),
            ("up_variant", "accuracy", 1),
        ):
            target = {"down": 0.2, "up": 0.8, "up_variant": 0.7}[workload]
            for study in range(draw.choice([2, 3, 3, 4])):
                for trial in (1, 2, 3):
                    rows, time, value = [], 0.0, target - sign * 0.15
                    while time < 110 and (value - target) * sign < draw.choice([0, 0.03]):
                        time += draw.uniform(5, 20)
                        value += sign * draw.uniform(-0.02, 0.06)
                        rows.append(
                            (round(time, 3), float("nan") if draw.random() < 0.05 else round(value, 4))
                        )
                    write_trial(entry, f"{workload}_jax", study=study, trial=trial, rows=rows, metric=metric)


# ---- fields of all kinds -----------------------------------------------------------------------------------------


def test_names_from_outside_are_text(browser, tmp_path, mini):
    scored, _ = mini
    made = document_of(scored)
    evil = "<img src=x onerror=alert(1)>"
    text = str(made["submissions"][0]["submission"])
    made["notes"].append(f"Warning: {evil}")
    made["why"][text] = dict.fromkeys(made["why"][text], evil)
    made["infos"][text] = {"name": evil, "description": "</script><script>alert(1)</script>"}
    made["trials"]["record"][0] = {"path": "javascript:alert(1)"}
    made["trials"]["error"][0] = evil
    path = tmp_path / "report.html"
    render.write(path, made)
    with browsers.page_of(browser, path.as_uri()) as page:
        page.evaluate(
            "report.drawAll(); for (const one of document.querySelectorAll('details')) one.open = true"
        )
        page.wait_for_selector("details.card td")
        assert page.locator("main img").count() == 0
        assert evil in page.locator("#why").inner_text()
        assert page.locator("a[href^='javascript']").count() == 0


def test_a_field_without_entries_is_shown(browser, tmp_path, mini):
    made = document_of(mini[0])
    made |= {
        "submissions": [],
        "curves": [],
        "tuning": None,
        "times": {},
        "why": {},
        "infos": {},
        "uncertainty": None,
    }
    made["trials"] = {name: [] for name in made["trials"]}
    made["hits"]["submissions"] = {}
    for axis in made["axes"].values():
        axis["submissions"] = {}
    render.write(tmp_path / "report.html", made)
    with browsers.page_of(browser, (tmp_path / "report.html").as_uri()) as page:
        page.evaluate("report.drawAll()")
        assert "no entries" in page.locator("#board").inner_text()


@pytest.mark.parametrize("kind", ["one", "nothing reached", "long names"])
def test_fields_of_all_kinds_are_shown(browser, tmp_path, suite, monkeypatch, write_trial, kind):
    monkeypatch.setattr(suites, "load", lambda name: suite)
    if kind == "one":
        write_trial("adam", "up_jax", rows=[(10.0, 0.5), (20.0, 0.9)])
    if kind == "nothing reached":
        write_trial("adam", "up_jax", rows=[(10.0, 0.5)])
        write_trial("lion", "up_jax", rows=[(10.0, float("nan"))])
    if kind == "long names":
        for number in range(16):
            name = f"schedule_free_adamw_with_a_very_long_name_that_goes_on_{number}"
            write_trial(name, "up_jax", rows=[(10.0 + number, 0.5), (20.0 + number, 0.9)])
    config = score_field.Config(
        submissions_dir=tmp_path / "submissions",
        suite="test",
        bootstrap_samples=20,
        output_dir=tmp_path / "out",
    )
    score_field.run(config)
    with browsers.page_of(browser, (tmp_path / "out" / "report.html").as_uri(), **PHONE) as page:
        page.evaluate("report.drawAll()")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["viewport"]["width"]
        text = page.locator("main").inner_text()
        assert "NaN" not in text
        assert "undefined" not in text


def test_names_of_a_leaderboard_are_told_apart_where_there_is_little_room(page):
    names = "['algoperf_a100/schedule_free_adamw', 'short', 'much_longer_than_the_room']"
    shown = page.evaluate(f"{names}.map((name) => report.cut(name, 19))")
    assert shown == ["schedule_free_adamw", "short", "much_longer_than_t…"]
    assert page.evaluate("report.breakable('mini/a_b').filter((part) => part.tagName === 'WBR').length") == 2


def test_exported_text_never_becomes_a_formula(page):
    (line,) = csv.reader(io.StringIO(page.evaluate('report.csv([["=1+1", -5, "a,b"]])')))
    assert line == ["'=1+1", "-5", "a,b"]
