"""Extension of griffe: examples that begin with `>>>` are code, also outside of a section of their own."""

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"^(?P<indent> *)>>> .*(?:\n(?! *\n| *\Z).*)*", re.MULTILINE)
"""From `>>>` to the next empty line."""


class Doctests(griffe.Extension):
    """Fences the examples of every docstring."""

    def on_object(self, *, obj: Any, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(text: str) -> str:
    """The docstring with its examples in fences."""
    return EXAMPLE.sub(lambda match: f"{match['indent']}```python\n{match[0]}\n{match['indent']}```", text)
