"""The doctor's lines as a text for people, or as JSON for programs."""

import dataclasses
import itertools
import json
import textwrap
from collections.abc import Iterable, Iterator, Sequence

from algoperf.doctor.data_sets import DataSet
from algoperf.doctor.line import GROUPS, Line, Mark

MARK_WIDTH = 4
LEAST_TEXT = 40
"""Columns that words get on a terminal however narrow."""


def text(lines: Iterable[Line], width: int) -> str:
    """Lines in their groups, with marks and names in columns, at most so wide."""
    return "\n".join(_text(sorted(lines, key=lambda line: GROUPS.index(line.group)), width))


def _text(lines: Sequence[Line], width: int) -> Iterator[str]:
    names = max((len(line.name) for line in lines), default=0)
    for group, members in itertools.groupby(lines, key=lambda line: line.group):
        yield group
        for line in members:
            mark = line.mark.upper() if line.mark is Mark.FAIL else line.mark
            start = f"  {mark:<{MARK_WIDTH}}  {line.name:<{names}}  "
            indent = " " * len(start)
            room = max(width, len(start) + LEAST_TEXT)
            yield _filled(line.words, room, start, indent)
            if line.next_step is not None:
                yield _filled(f"-> {line.next_step}", room, indent, indent + "   ")


def _filled(words: str, width: int, start: str, indent: str) -> str:
    return textwrap.fill(
        words,
        width,
        initial_indent=start,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def as_json(lines: Sequence[Line], sets: Sequence[DataSet], code: int) -> str:
    """The same for programs: `lines` as their fields, `data` by name, `exit_code`."""
    data = {
        one.name: {**dataclasses.asdict(one), "folder": None if one.folder is None else str(one.folder)}
        for one in sets
    }
    content = {"exit_code": code, "lines": [dataclasses.asdict(line) for line in lines], "data": data}
    return json.dumps(content, indent=1)


def verdict(lines: Sequence[Line], was_asked: bool) -> str:
    """The last line: what it comes to."""
    failed = [line.name for line in lines if line.mark is Mark.FAIL]
    if failed:
        return f"Will not work: {', '.join(dict.fromkeys(failed))}."
    num = sum(line.mark is Mark.WARN for line in lines)
    warned = "" if not num else f" {num} {'thing is' if num == 1 else 'things are'} worth a look."
    return ("What was asked will work." if was_asked else "Trials can run here.") + warned
