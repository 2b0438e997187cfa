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


def tag(name: str, *parts: object, of: str = "", id: str = "") -> Html:
    """An element.

    Args:
      name: of the element.
      parts: text, or HTML, that it holds.
      of: its class.
      id: its anchor, made of numbers and letters by this package.
    """
    attributes = (f' class="{of}"' if of else "") + (f' id="{id}"' if id else "")
    return Html(f"<{name}{attributes}>{''.join(map(safe, parts))}</{name}>")


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


STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: #1b1b1b }
h1, h2, h3, h4 { line-height: 1.2 } h2 { border-top: 2px solid #888; padding-top: 1rem; margin-top: 3rem }
table { border-collapse: collapse; margin: .4rem 0 1rem } td, th { text-align: left; vertical-align: top;
  padding: .15rem .7rem .15rem 0; border-bottom: 1px solid #ddd } td table { margin: 0 }
.runs { overflow-x: auto } .runs td { white-space: nowrap }
details { margin: .3rem 0 } summary { cursor: pointer } mark { background: #ffd54a; font-size: .8em }
pre { background: #f6f6f4; padding: .5rem; overflow-x: auto; font-size: 13px; line-height: 1.4 } pre a { color: #999;
  text-decoration: none; display: inline-block; width: 4em; user-select: none }
.note { color: #555 } .review { color: #8a5a00 } .forbidden, .bad { color: #b00020; font-weight: 600 }
.good { color: #1c6b2e }
.here { display: block; background: #fff; border-left: 4px solid; margin: .1rem 0 .1rem 4em; padding: .1rem .6rem;
  white-space: normal; font-family: system-ui, sans-serif } :target { background: #fff3c4 }
@media print { details > * { display: block } }
"""


def page(title: str, *parts: object) -> str:
    """A whole page that loads nothing and runs nothing."""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>{safe(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{joined(parts)}\n</body>\n</html>\n"
    )
