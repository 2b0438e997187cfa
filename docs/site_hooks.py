"""Hooks of MkDocs: the site has pages from all over the repository, and links between them work in both places.

A README beside the code it is about stays there, for those who read the repository; on the site it is a page. A link to
what is no page (a source file) leads to the repository on the web where `repo_url` of mkdocs.yml names one; else its
text stays.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
TOP = {
    "README.md": "readme.md",
    "RULES.md": "rules.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
NOT_PAGES = ("docs/*", "scoring/page/*")
LINK = re.compile(r"(?P<open>!?\[)(?P<text>[^\]]*)\]\((?P<path>[^)\s#:]+)(?P<anchor>#[^)\s]*)?\)")

LETTERS = re.compile(r"(?<=\])( ?)\[(?=[A-Z]\])")
"""Between two sources that a README names by letters, `[D][V]`: no link of Markdown's."""

CODE_IN_CELL = re.compile(r"(?<=[| ])`[^`\n]*\\\|[^`\n]*`")
"""With an escaped bar, which only tables have."""


def pages_elsewhere() -> dict[str, str]:
    """Path in the repository -> address on the site, of all pages outside of docs/."""
    found = sorted({*ROOT.glob("*/README.md"), *ROOT.glob("*/*/README.md")})
    paths = [path.relative_to(ROOT) for path in found]
    kept = [path for path in paths if path.parts[0][0] != "." and not any(map(path.match, NOT_PAGES))]
    return {**TOP, **{path.as_posix(): path.as_posix() for path in kept}}


def on_config(config: Any) -> Any:
    """Adds pages of docs/ that the navigation does not name, and leaves out names without a page."""
    there = {*pages_elsewhere().values(), *(path.name for path in (ROOT / "docs").glob("*.md"))}
    nav = _existing(config["nav"], there)
    more = sorted(there - set(_names(nav)) - set(pages_elsewhere().values()))
    config["nav"] = [*nav, *([{"More pages": more}] if more else [])]
    return config


def _existing(nav: list[Any], there: set[str]) -> list[Any]:
    kept: list[Any] = []
    for item in nav:
        if isinstance(item, str):
            kept += [item] if item in there else []
            continue
        ((title, value),) = item.items()
        value = _existing(value, there) if isinstance(value, list) else value
        if value and (isinstance(value, list) or value in there):
            kept.append({title: value})
    return kept


def _names(nav: list[Any]) -> list[str]:
    found: list[str] = []
    for item in nav:
        for value in [item] if isinstance(item, str) else item.values():
            found += _names(value) if isinstance(value, list) else [value]
    return found


def on_files(files: Any, config: Any) -> Any:
    """Takes the pages from elsewhere in."""
    named = set(_names(config["nav"]))
    for path, place in pages_elsewhere().items():
        file = File.generated(config, place, abs_src_path=str(ROOT / path))
        if place not in named:  # Reached by links alone.
            file.inclusion = file.inclusion.NOT_IN_NAV
        files.append(file)
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Leads links between pages, which are written for the repository, to their places on the site."""
    elsewhere = pages_elsewhere()
    place = page.file.src_uri
    of_repository = {on_site: path for path, on_site in elsewhere.items()}.get(place, f"docs/{place}")

    def led(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(of_repository), match["path"]))
        if not (ROOT / path).exists() or path.startswith(".."):
            return match[0]  # Of no file: MkDocs complains, where it is a link.
        anchor = match["anchor"] or ""
        path = path if path in elsewhere or f"{path}/README.md" not in elsewhere else f"{path}/README.md"
        on_site = elsewhere.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
        if on_site is not None and files.get_file_from_path(on_site) is not None:
            to = posixpath.relpath(on_site, posixpath.dirname(place) or ".")
            return f"{match['open']}{match['text']}]({to}{anchor})"
        if config["repo_url"]:
            return (
                f"{match['open']}{match['text']}]({config['repo_url'].rstrip('/')}/blob/main/{path}{anchor})"
            )
        return match["text"]

    markdown = LETTERS.sub(r"\1\\[", LINK.sub(led, markdown))
    # GitHub wants a bar in a cell escaped, also in code; MkDocs would show the backslash there.
    return CODE_IN_CELL.sub(lambda match: match[0].replace(r"\|", "|"), markdown)
