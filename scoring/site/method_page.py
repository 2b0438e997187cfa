"""The method page: RULES.md as HTML, with an anchor for every heading and every rule."""

import re
from typing import Any

from algoperf import files, shipped
from algoperf.spec import UsageError
from scoring.markup import Html, tag
from scoring.site import frame
from scoring.site.boards import METHOD

RULES = shipped.place("RULES.md")
RULE = re.compile(r"R\d+\.\d+[a-z]?")


def render() -> str:
    """The page.

    Raises:
      UsageError: if markdown-it-py is not installed.
    """
    if not RULES.is_file():  # Installed without the repository.
        return frame.page(
            METHOD, "Method", tag("h1", "Method"), tag("p", "RULES.md of the project holds the rules.")
        )
    return frame.page(
        METHOD, "Rules", tag("article", to_html(files.read_regular(RULES).decode()), of="prose")
    )


def to_html(text: str) -> Html:
    """Markdown as HTML: tags in it are text, and links that lead out of the document are words.

    Args:
      text: CommonMark with tables.
    """
    try:
        from markdown_it import MarkdownIt
    except ModuleNotFoundError:
        raise UsageError(
            "The method page needs markdown-it-py: pip install 'algoperf[site]', and run again."
        ) from None
    # No raw HTML, and no links to elsewhere: pages must work from a disk, and the other documents are not there.
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    used: set[str] = set()
    for token, inner in zip(tokens, tokens[1:]):
        if token.type == "heading_open":
            token.attrSet("id", _anchor(inner.content, used))
    for token in tokens:
        _settle(token.children or [], used)
    html = parser.renderer.render(tokens, parser.options, {})
    html = html.replace("<table>", '<div class="scroll" tabindex="0"><table>').replace(
        "</table>", "</table></div>"
    )
    return Html(html.replace("<pre>", '<pre class="scroll" tabindex="0">'))


def _settle(inline: list[Any], used: set[str]) -> None:
    """Anchors for the numbers of rules; links that stay within the document, others as words."""
    for place, token in enumerate(inline):
        if token.type == "strong_open" and RULE.fullmatch(inline[place + 1].content):
            name = inline[place + 1].content
            if name not in used:
                used.add(name)
                token.attrSet("id", name)
        if token.type == "link_open" and not str(token.attrGet("href")).startswith("#"):
            end = next(later for later in inline[place:] if later.type == "link_close")
            token.tag = end.tag = "span"
            token.attrs = {}


def _anchor(title: str, used: set[str]) -> str:
    """As GitHub makes them, so that links in the text lead to them.

    >>> _anchor("8. Scoring, in short", set())
    '8-scoring-in-short'
    """
    plain = re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")
    name, number = plain, 0
    while name in used:
        number += 1
        name = f"{plain}-{number}"
    used.add(name)
    return name
