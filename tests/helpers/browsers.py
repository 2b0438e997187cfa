"""A headless Chromium for tests of pages: Debian's package, driven by Playwright; skipped where either is absent."""

import contextlib
import shutil
from collections.abc import Iterator

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
TIMEOUT_MS = 20_000
"""Of one step: the machine may be busy."""


@contextlib.contextmanager
def chromium() -> Iterator:
    """The running browser of Playwright; skips the test that asks where it cannot be had."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="no Playwright is installed: pip install 'algoperf[dev]'"
    )
    with sync_api.sync_playwright() as playwright:
        # Without its sandbox: tests also run as root, and show no page but ours.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def page_of(browser, url: str, ready: str = "body[data-ready]", **options) -> Iterator:
    """The page at a URL, in a fresh context; fails if it logs an error, throws one, or asks for anything else."""
    context = browser.new_context(accept_downloads=True, **options)
    context.set_default_timeout(TIMEOUT_MS)
    problems: list[str] = []
    asked: list[str] = []
    page = context.new_page()
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    try:
        page.goto(url)
        page.wait_for_selector(ready)
        yield page
        assert problems == []
        assert [one for one in asked if one != url and not one.startswith(("data:", "blob:"))] == []
    finally:
        context.close()
