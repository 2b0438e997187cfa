"""The document of a scoring as one page, with all that draws it inside."""

import base64
import gzip
import html
import importlib.resources
import json
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from algoperf import files

VENDOR = ("d3.min.js", "plot.umd.min.js")
SCRIPTS = (
    *("start.js", "codec.js", "rescore.js", "format.js", "parts.js", "export.js"),
    *("board.js", "workloads.js", "curves.js", "profiles.js", "whatif.js", "why.js"),
    *("time.js", "against.js", "tuning.js", "entries.js", "main.js"),
)
"""In the order in which they are run."""
LEVEL = 6
"""Of compression: 9 takes three times as long for 2 % less."""


def write(path: Path, document: Mapping[str, Any]) -> None:
    """The page of a document, whole or not at all."""
    files.write_text(path, page(document))


def page(document: Mapping[str, Any]) -> str:
    """The page as text; the same document gives the same text."""
    template = string.Template(_asset("assets", "page.html"))
    title = f"{document['suite']}, {document['ruleset']} ruleset"
    scripts = [_script(_asset("vendor", name)) for name in VENDOR]
    scripts += [_script(_asset("assets", name)) for name in SCRIPTS]
    return template.substitute(
        title=html.escape(title),
        style=_asset("assets", "page.css"),
        document=packed(document),
        scripts="\n".join(scripts),
    )


def packed(document: Mapping[str, Any]) -> str:
    """The document as JSON, compressed, in letters that need no escape within HTML."""
    content = {**document, "curves": [curve and coded(curve) for curve in document["curves"]]}
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode(), LEVEL, mtime=0)).decode()


def coded(curve: Mapping[str, list[float | None]]) -> dict[str, list[float | int | None]]:
    """A curve as whole numbers that differ little from one to the next; `codec.js` reads them.

    Seconds become tenths of a second less those before, updates likewise.

    >>> coded({"time_sec": [10.02, 20.0], "step": [5, 10], "metric": [0.5, None]})
    {'t': [100, 100], 's': [5, 5], 'm': [0.5, None]}
    """
    return {
        "t": _differences([None if value is None else round(10 * value) for value in curve["time_sec"]]),
        "s": _differences([None if value is None else round(value) for value in curve["step"]]),
        "m": list(curve["metric"]),
    }


def _differences(values: list[int | None]) -> list[float | int | None]:
    found: list[float | int | None] = []
    last = 0
    for value in values:
        found.append(None if value is None else value - last)
        last = last if value is None else value
    return found


def _asset(folder: str, name: str) -> str:
    return (importlib.resources.files("scoring.page") / folder / name).read_text(encoding="utf-8")


def _script(text: str) -> str:
    # Within a script, only its own end could end it.
    assert "</script" not in text
    return f"<script>{text}</script>"
