"""Text to HTML. Names, sources and records come from anybody: nothing gets into a page but through `safe`."""

import html
import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

INVISIBLE = ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp")
"""Kinds of characters that are not seen, or change how others are: a line of source may look like another."""
MAX_CHARS = 20_000
"""Of one text; more is cut, and said."""


class Html(str):
    """What is HTML already."""

    __slots__ = ()


def safe(value: object) -> Html:
    """A value as text in HTML; characters that nobody sees are shown by their numbers.

    >>> safe("<b>"), safe("a\u202eb"), safe(Html("<b>"))
    ('&lt;b&gt;', 'a<mark>U+202E</mark>b', '<b>')
    """
    if isinstance(value, Html):
        return value
    text = number(value) if isinstance(value, float) else "" if value is None else str(value)
    cut = f" … and {len(text) - MAX_CHARS:,} more characters" if len(text) > MAX_CHARS else ""
    return Html("".join(map(_visible, text[:MAX_CHARS])) + cut)


def _visible(character: str) -> str:
    if character.isascii() and (character.isprintable() or character in "\n\t"):
        return html.escape(character)
    if unicodedata.category(character) in INVISIBLE and character not in "\n\t":
        return f"<mark>U+{ord(character):04X}</mark>"
    return character


def number(value: float) -> str:
    """A number with as many digits as say something.

    >>> number(1234.5678), number(0.00012345)
    ('1,234.57', '0.0001234')
    """
    if not math.isfinite(value):
        return str(value)
    return f"{value:,.2f}" if abs(value) >= 100 else f"{value:.4g}"


def amount(value: object, unit: str = "", digits: int = 0) -> Html:
    """A number of something, where it is one: records may hold anything.

    >>> amount(1234.5, "s", 2), amount(None, "s"), amount("<1>", "s")
    ('1,234.50 s', '', '&lt;1&gt;')
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return safe(f"{value:,.{digits}f} {unit}".rstrip())
    return safe(value)


def tag(name: str, *parts: object, of: str = "", id: str = "", **attributes: object) -> Html:
    """An element.

    Args:
      name: of the element.
      *parts: text, or HTML, that it holds.
      of: its class.
      id: its anchor, made of numbers and letters by this package.
      **attributes: further ones; `aria_label` stands for `aria-label`, None leaves one out.

    >>> tag("a", "A & B", href="b.html", title='"quoted"', download=None)
    '<a href="b.html" title="&quot;quoted&quot;">A &amp; B</a>'
    """
    named = {"class": of or None, "id": id or None, **attributes}
    inner = "".join(
        f' {key.replace("_", "-")}="{_in_attribute(value)}"'
        for key, value in named.items()
        if value is not None
    )
    return Html(f"<{name}{inner}>{''.join(map(safe, parts))}</{name}>")


def _in_attribute(value: object) -> str:
    text = "".join(
        letter for letter in str(value)[:MAX_CHARS] if unicodedata.category(letter) not in INVISIBLE
    )
    return html.escape(text)


def joined(parts: Iterable[object]) -> Html:
    """HTML of several parts, one after the other."""
    return Html("\n".join(map(safe, parts)))


def link(anchor: str, text: object) -> Html:
    """A link to an anchor of the page."""
    return Html(f'<a href="#{anchor}">{safe(text)}</a>')


def folded(title: object, *parts: object, is_open: bool = False) -> Html:
    """Something that opens at a click."""
    return Html(f"<details{' open' if is_open else ''}>{tag('summary', title)}{joined(parts)}</details>")


def table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> Html:
    """A table; '' without rows."""
    body = [tag("tr", *(tag("td", cell) for cell in row)) for row in rows]
    if not body:
        return Html("")
    head = tag("tr", *(tag("th", cell) for cell in header)) if header else ""
    return tag("table", head, *body)


def shown(value: object, depth: int = 0) -> Html:
    """Anything that JSON holds, as tables within tables."""
    if depth > 6:
        return safe("…")
    if isinstance(value, Mapping):
        return table((), [(tag("b", key), shown(inner, depth + 1)) for key, inner in value.items()])
    if isinstance(value, (list, tuple)):
        if value and all(isinstance(one, Mapping) for one in value):
            names = list(dict.fromkeys(str(name) for one in value for name in one))
            return table(names, [[shown(one.get(name), depth + 1) for name in names] for one in value])
        return joined(tag("div", shown(one, depth + 1)) for one in value)
    return safe({True: "yes", False: "no"}[value] if isinstance(value, bool) else value)


def page(title: str, *parts: object, style: str, head: Sequence[Html] = ()) -> str:
    """A whole page that loads nothing and runs nothing.

    Args:
      title: of the window.
      *parts: text, or HTML, that its body holds.
      style: CSS, which comes from this project.
      head: further lines of its head.
    """
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    lines = (
        *("<!DOCTYPE html>", '<html lang="en">', "<head>", '<meta charset="utf-8">'),
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        *head,
        f"<title>{safe(title)}</title>",
        f"<style>{style}</style>",
        *("</head>", "<body>"),
    )
    return "\n".join((*lines, joined(parts), "</body>", "</html>", ""))
