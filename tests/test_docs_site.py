"""The documentation's site: built without a warning, whole, and legible on a telephone."""

import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site; a warning is an error."""
    pytest.importorskip("material", reason="no MkDocs is installed: pip install 'algoperf[docs]'")
    pytest.importorskip("mkdocstrings")
    folder = tmp_path_factory.mktemp("docs") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", f"--site-dir={folder}"],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def hooks(monkeypatch):
    pytest.importorskip("mkdocs")
    monkeypatch.syspath_prepend(ROOT / "docs")
    import site_hooks

    return site_hooks


def test_every_document_is_a_page_and_nothing_comes_from_elsewhere(site):
    for path in (ROOT / "docs").glob("*.md"):
        place = "" if path.stem == "index" else path.stem
        page = (site / place / "index.html").read_text()
        assert re.findall(r'(?:src|data-src)="(?:https?:)?//[^"]*"', page) == [], path
        assert re.findall(r'<link[^>]*rel="stylesheet"[^>]*href="(?:https?:)?//', page) == [], path
    assert not list(site.rglob("*.py"))


def test_the_reference_has_what_submissions_use_with_their_arguments_and_examples(site):
    page = (site / "api" / "index.html").read_text()
    for name in ("spec.no_such", "workload.WorkloadSpec", "bound_workload.Workload", "records.MetricsLogger"):
        assert f'id="algoperf.{name}"' in page, name
    text = re.sub(r"<[^>]+>", "", page)
    assert "what the name stands for, such as 'workload'." in text
    assert "&gt;&gt;&gt; print(no_such(" in text


def test_links_lead_to_pages_wherever_these_lie_in_the_repository(hooks):
    def led(markdown, place, repo_url=""):
        page = types.SimpleNamespace(file=types.SimpleNamespace(src_uri=place))
        there = types.SimpleNamespace(get_file_from_path=lambda path: path)
        return hooks.on_page_markdown(markdown, page, {"repo_url": repo_url}, there)

    assert led("[rules](../RULES.md#R3)", "clock.md") == "[rules](rules.md#R3)"
    assert led("[a](docs/clock.md)", "readme.md") == "[a](clock.md)"
    assert led("[a](../../docs/clock.md)", "workloads/wmt/README.md") == "[a](../../clock.md)"
    assert led("[a](../workloads)", "index.md") == "[a](workloads/README.md)"
    assert led("[a](https://a.b/c)[b](#c)", "index.md") == "[a](https://a.b/c)[b](#c)"
    assert led("![a](report_board.png)", "report.md") == "![a](report_board.png)"
    assert led("see [the runner](../setup.cfg)", "index.md") == "see the runner"
    assert led("[a](../setup.cfg)", "index.md", "https://a.b/c") == "[a](https://a.b/c/blob/main/setup.cfg)"
    assert led(r"| a | `str \| None` |", "index.md") == "| a | `str | None` |"
    assert led("sources [D][V]", "workloads/wmt/README.md") == r"sources [D]\[V]"


def test_a_page_that_the_navigation_does_not_name_goes_to_its_end(hooks):
    config = hooks.on_config({"nav": ["index.md", {"A": [{"B": "clock.md"}, {"C": "not_there.md"}]}]})
    assert config["nav"][:2] == ["index.md", {"A": [{"B": "clock.md"}]}]
    assert "report.md" in config["nav"][2]["More pages"]


@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_its_screen(site, browser, width):
    context = browser.new_context(viewport={"width": width, "height": 800}, java_script_enabled=True)
    page = context.new_page()
    page.route(
        "**/*", lambda route: route.continue_() if route.request.url.startswith("file:") else route.abort()
    )
    wide = []
    for name in (".", "first_result", "clock", "report", "workload_fields", "api", "rules", "workloads/wmt"):
        page.goto((site / name / "index.html").as_uri())
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            wide.append(name)
    context.close()
    assert wide == []
