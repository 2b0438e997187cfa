"""`python -m scoring.site`: the boards that ship, and a small board of entries whose text comes from anybody."""

import importlib.util
import json
import posixpath
import re
import sys
import tarfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "helpers"))
import browsers
from refereed import write_refereed

from algoperf import suites
from algoperf.spec import UsageError
from scoring import published, sources
from scoring.site import __main__ as command
from scoring.site import build, charts, fields, history, method_page
from scoring.site.boards import slug
from scoring.site.fields import Told

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = '<script>alert("x")</script></style>\u202eR'
DATES = {"first": "2026-01-05", "second": "2026-02", "<img src=x>": "2026-03-01"}
DEVICE = "2 x Something"


def write_entries(root, device=DEVICE, names=tuple(DATES)):
    """Entries of mini_quick, each a second faster than the one before, that call themselves hostile things."""
    suite = suites.load("mini_quick")
    for place, name in enumerate(names):
        for study in range(3):
            for workload in suite.workloads:
                targets = suite.targets(workload)
                write_refereed(
                    root / name / f"study_{study}" / f"{workload}_jax" / "trial_1",
                    [
                        (1.0, targets.validation_target / 2),
                        (9.1 - place + study / 7, targets.validation_target),
                    ],
                    metric=targets.metric_name,
                    meta_data={
                        "suite": "mini_quick",
                        "ruleset": "self",
                        "device": device,
                        "started": "2025-12-31T",
                    },
                    device=device,
                )
        info = (
            f"submission_name: {json.dumps(name + HOSTILE)}\nauthors: '{HOSTILE}'\ndescription: '{HOSTILE}'\n"
        )
        date = f"date: {DATES[name]}\n" if name in DATES else ""
        (root / name / "submission_info.yml").write_text(info + date, encoding="utf-8")
    return root


def make(folder, results=(), leaderboards=(), **options):
    return build.build(list(results), folder, leaderboards=leaderboards, bootstrap_samples=10, **options)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    return write_entries(tmp_path_factory.mktemp("own") / "results")


@pytest.fixture(scope="module")
def site(tmp_path_factory, own):
    """All that ships, and the small board."""
    folder = tmp_path_factory.mktemp("site") / "site"
    make(folder, [own], published.VERSIONS)
    return folder


class Seen(HTMLParser):
    """Elements, anchors and links of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.links, self.attributes = set(), set(), [], set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        known = dict(attrs)
        self.tags.add(tag)
        self.attributes |= known.keys()
        self.ids.add(known.get("id"))
        if tag == "a":
            self.links.append(known["href"])


@pytest.fixture(scope="module")
def pages(site):
    """Path within the site -> its page, without the reports, which have tests of their own."""
    return {
        path.relative_to(site).as_posix(): Seen(path.read_text(encoding="utf-8"))
        for path in sorted(site.rglob("*.html"))
        if path.name != "report.html"
    }


@pytest.mark.slow
def test_there_is_a_board_for_each_suite_ruleset_and_machine(site, pages):
    listed = json.loads((site / "boards.json").read_text())["boards"]
    assert [(one["suite"], one["ruleset"], len(one["entries"])) for one in listed] == [
        ("mini", "self", 8),
        ("mini_quick", "external", 3),
        ("algoperf_a100", "self", 16),
        ("mini_quick", "self", 3),
        ("algoperf_v06", "external", 2),
        ("algoperf_v06", "self", 1),
        ("algoperf_v05", "external", 11),
        ("algoperf_v05", "self", 6),
    ]
    for one in listed:
        assert one["page"] in pages
        assert {entry["page"] for entry in one["entries"]} <= pages.keys()
        assert json.loads((site / one["document"]).read_text())["suite"] == one["suite"]
        workloads = [
            path for path in pages if path.startswith(posixpath.dirname(one["page"]) + "/workloads/")
        ]
        assert len(workloads) >= len(suites.load(one["suite"]).workloads)


@pytest.mark.slow
def test_all_links_lead_somewhere_within_the_site(site, pages):
    assert sum(len(page.links) for page in pages.values()) > 1000
    for path, page in pages.items():
        for link in page.links:
            target, _, anchor = link.partition("#")
            assert ":" not in target
            full = (
                posixpath.normpath(posixpath.join(posixpath.dirname(path), unquote(target)))
                if target
                else path
            )
            assert not full.startswith(".."), (path, link)
            assert (site / full).is_file(), (path, link)
            if anchor and full in pages:
                assert anchor in pages[full].ids, (path, link)


@pytest.mark.slow
def test_pages_load_nothing_run_nothing_and_hold_nobodys_markup(pages):
    for path, page in pages.items():
        assert not page.tags & {"script", "img", "iframe", "object", "form", "base"}, path
        assert not page.attributes & {"src", "style", "onerror", "onload", "srcset"}, path


@pytest.mark.slow
def test_hostile_text_is_shown_as_text(site):
    (folder,) = site.glob("boards/mini_quick-self-*")
    texts = [
        path.read_text(encoding="utf-8") for path in folder.rglob("*.html") if path.name != "report.html"
    ]
    assert all("\u202e" not in text and "<script" not in text for text in texts)
    entry = next(text for text in texts if "Authors" in text)
    assert "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&lt;/style&gt;R" in entry
    assert {path.name for path in (folder / "entries").iterdir()} >= {"first.html", "second.html"}


@pytest.mark.slow
def test_pages_of_every_kind_are_valid_html(site):
    html5lib = pytest.importorskip("html5lib", reason="no html5lib is installed: pip install 'algoperf[dev]'")
    (small,) = site.glob("boards/mini_quick-self-*")
    for path in {*some_pages(site), *small.rglob("*.html")}:
        if path.name != "report.html":
            html5lib.HTMLParser(strict=True).parse(path.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_a_board_says_who_leads_when_it_was_improved_and_what_can_be_had(site):
    (folder,) = site.glob("boards/mini_quick-self-*")
    text = (folder / "index.html").read_text(encoding="utf-8")
    for words in ("2026-01-05", "2026-02", "2026-03-01", "report.html", "results.tar.xz", "scores.csv"):
        assert words in text
    with tarfile.open(folder / "results.tar.xz") as archive:
        assert any(name.endswith("submission_info.yml") for name in archive.getnames())
    document = json.loads((folder / "scores.json").read_text())
    assert {record["archive"] for record in document["trials"]["record"]} == {"results.tar.xz"}


def test_what_has_not_changed_is_not_scored_or_written_again(tmp_path, own):
    folder = tmp_path / "site"
    assert len(make(folder, [own]).scored) == 1
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*.*")}
    again = make(folder, [own])
    assert (again.scored, again.removed) == ((), ())
    changed = {path.name for path in folder.rglob("*.*") if path.stat().st_mtime_ns != times.get(path)}
    assert changed == {"site.json"}
    assert again.text().endswith("pages, 0 boards scored, 1 unchanged.")


@pytest.mark.slow
def test_the_report_of_the_largest_board_can_be_sent_by_mail(site):
    (report,) = site.glob("boards/algoperf_a100-*/report.html")
    assert report.stat().st_size < 1_500_000


def test_a_list_of_files_takes_nothing_away_outside_of_the_site(tmp_path, own):
    kept = tmp_path / "thesis.tex"
    kept.write_text("x")
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / build.MANIFEST).write_text(json.dumps({"files": [str(kept), "../thesis.tex"]}))
    make(folder, [own])
    assert kept.exists()


def test_changed_results_are_scored_again_and_pages_of_gone_entries_go(tmp_path):
    root, folder = write_entries(tmp_path / "results"), tmp_path / "site"
    make(folder, [root])
    (page,) = folder.glob("boards/*/entries/second.html")
    kept = folder / "notes.txt"
    kept.write_text("Not ours.")
    (root / "second").rename(tmp_path / "second")
    built = make(folder, [root])
    assert (len(built.scored), len(built.boards[0].rows)) == (1, 2)
    assert [Path(path).name for path in built.removed] == ["second.html"]
    assert not page.exists()
    assert kept.exists()


def test_a_folder_that_is_no_site_is_refused_and_left_alone(tmp_path, own):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match="is not empty and no site"):
        make(tmp_path, [own])
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(UsageError, match="Nothing to show"):
        make(tmp_path / "new")


def test_results_go_by_what_their_records_say(tmp_path, own):
    other = write_entries(tmp_path / "other", device="1 x Other", names=("third",))
    with sources.opened([own, other]) as places:
        found = fields.of_places(places, Told())
    assert [(one.suite, one.ruleset, one.hardware, len(one.members[0][1])) for one in found] == [
        ("mini_quick", "self", "1 x Other", 1),
        ("mini_quick", "self", DEVICE, 3),
    ]
    assert found[0].started == {"third": "2025-12-31"}


def test_records_without_a_suite_want_it_said(tmp_path):
    root = write_entries(tmp_path / "results", names=("first",))
    for path in root.rglob("meta_data_0.json"):
        path.write_text("{}")
    with sources.opened([root]) as places:
        with pytest.raises(UsageError, match="name no suite: give --suite"):
            fields.of_places(places, Told())
        (field,) = fields.of_places(places, Told(suite="mini_quick", ruleset="self", hardware="1 x New"))
    assert field.title == "mini_quick, self-tuning"


def test_own_results_join_the_published_board_of_their_machine():
    device = published.DEVICES[published.A100]
    own = [
        fields.Field(
            suite="algoperf_a100", ruleset="self", hardware=device, members=((Path("a"), ("new",)),)
        ),
        fields.Field(suite="algoperf_a100", ruleset="self", hardware="1 x Other"),
    ]
    other, board = fields.joined(own, fields.shipped([published.A100]))
    assert (other.hardware, other.leaderboard) == ("1 x Other", None)
    assert (board.leaderboard, board.members) == ("algoperf_a100", ((Path("a"), ("new",)),))
    with tarfile.open(published.file_of(published.A100, "self", published.TRIALS)) as archive:
        member = next(one for one in archive if one.name.endswith("meta_data_0.json"))
        facts = json.load(archive.extractfile(member))
    assert f"{facts['gpu_count']} x {facts['gpu_model_name']}" == device
    with pytest.raises(UsageError, match="No published leaderboard"):
        fields.shipped(["algoperf_v99"])


def document(scores, times):
    return {
        "submissions": [
            {"submission": name, "score": score}
            for name, score in sorted(scores.items(), key=lambda one: -one[1])
        ],
        "workloads": {"up": {"guards": None}, "variant": {"guards": "up"}},
        "times": {
            name: {workload: {"time_to_target": times[name]} for workload in ("up", "variant")}
            for name in scores
        },
    }


def test_a_record_is_what_was_best_when_it_came():
    made = document({"a": 0.5, "b": 0.4, "c": 0.9, "d": 1.0}, {"a": 20.0, "b": 10.0, "c": None, "d": 5.0})
    found = history.improvements(made, {"a": "2026-01", "b": "2026-02-01", "c": "2026-02-01"})
    assert [(one.submission, one.score, one.score_before) for one in found] == [
        ("a", 0.5, None),
        ("c", 0.9, 0.5),
        ("b", None, 0.5),
    ]
    assert [one.faster for one in found] == [
        (history.Faster("up", 20.0, None),),
        (),
        (history.Faster("up", 10.0, 20.0),),
    ]


def test_an_entry_that_reached_nothing_is_no_record():
    assert history.improvements(document({"a": 0.0}, {"a": None}), {"a": "2026"}) == []


def test_names_that_are_no_file_names_do_not_collide():
    taken = []
    for name in ("a/b", "a-b", "A-B", "..", "", "con", "index"):
        taken.append(f"x/{slug(name, taken)}.html")
    assert len({path.casefold() for path in taken}) == 7
    assert all("/" not in path[2:] and not path[2:].startswith(".") for path in taken)


def test_the_method_page_has_an_anchor_for_each_rule_and_no_link_to_elsewhere():
    seen = Seen(method_page.render())
    assert {"8-scoring", "R8.6", "R12.1", "main"} <= seen.ids
    assert all(link.startswith("#") or link == "index.html" for link in seen.links if link != "index.html")
    html = method_page.to_html("# A\n\n# A\n\n<b onclick=1>x</b> [out](docs/x.md) [in](#a-1) `<i>`")
    assert '<h1 id="a">' in html
    assert '<h1 id="a-1">' in html
    assert "<b" not in html
    assert '<span>out</span> <a href="#a-1">in</a>' in html


def test_a_picture_over_time_needs_two_dates():
    assert charts.over_time([("2026", 0.5, "a", True), ("2026-01-01", 0.4, "b", False)], "t") == ""
    drawn = charts.over_time([("2026", 0.5, "<a>", True), ("2026-02", 0.4, "b", False)], "t")
    assert drawn.count("<circle") == 2
    assert "&lt;a&gt;" in drawn


def test_the_example_of_a_workflow_calls_commands_that_there_are():
    yaml = pytest.importorskip("yaml")
    jobs = yaml.safe_load((ROOT / "docs" / "examples" / "results.yml").read_text())["jobs"]
    steps = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    called = re.findall(r"python -m ([\w.]+)", "\n".join(steps))
    assert called == ["scoring.validate", "scoring.site"]
    assert all(importlib.util.find_spec(name) for name in called)
    # What comes from outside is no part of a script.
    assert not any("${{" in step for step in steps)


def test_the_command_takes_flags(tmp_path, own, monkeypatch, capsys):
    values = {
        "output": str(tmp_path / "site"),
        "shipped": [""],
        "suite": None,
        "ruleset": None,
        "hardware": None,
        "bootstrap_samples": 10,
    }
    monkeypatch.setattr(command, "FLAGS", type("Flags", (), values))
    command.main(["site", str(own)])
    assert capsys.readouterr().out.splitlines()[0] == f"mini_quick, self-tuning on {DEVICE}: scored."


# ---- in a browser ------------------------------------------------------------------------------------------------


def some_pages(site):
    """One page of each kind, of the largest board and of the hostile one."""
    (a100,) = site.glob("boards/algoperf_a100-*")
    (small,) = site.glob("boards/mini_quick-self-*")
    entries = sorted((small / "entries").iterdir())
    return [
        *(site / "index.html", site / "method.html", a100 / "index.html", a100 / "workloads" / "wmt.html"),
        *(a100 / "entries" / "muon.html", small / "index.html", entries[0]),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 800, 1400])
def test_nothing_is_wider_than_the_screen(browser, site, width):
    options = {"viewport": {"width": width, "height": 800}}
    with browsers.page_of(browser, site.as_uri() + "/index.html", ready="main h1", **options) as page:
        for path in some_pages(site):
            text = path.read_text(encoding="utf-8")
            page.set_content(text)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_have_no_serious_fault_for_who_reads_them_otherwise(browser, site, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    index, _, _, workload, _, board, entry = some_pages(site)
    for path in (index, workload, board, entry) if scheme == "light" else (board, entry):
        options = {"color_scheme": scheme, "bypass_csp": True}
        with browsers.page_of(browser, path.as_uri(), ready="main h1", **options) as page:
            found = axe.Axe().run(page).response["violations"]
            serious = [one for one in found if one["impact"] in ("serious", "critical")]
            assert serious == [], (path, [(one["id"], one["nodes"][0]["html"]) for one in serious])


@pytest.mark.slow
def test_a_reader_goes_from_the_index_to_a_trial_by_keyboard(browser, site):
    context = browser.new_context()
    page = context.new_page()
    page.goto((site / "index.html").as_uri())
    for name in ("algoperf_a100, self-tuning", "muon", "wmt"):
        link = page.get_by_role("link", name=name, exact=True).first
        link.focus()
        page.keyboard.press("Enter")
        page.wait_for_load_state()
    assert page.locator("h1").inner_text() == "wmt"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    context.close()
