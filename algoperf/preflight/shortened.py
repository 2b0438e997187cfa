"""Tracebacks for people who write submissions: their own frames, and how many of others lie between."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HARNESS = (ROOT / "algoperf", ROOT / "workloads")
FRAME = re.compile(r'^(?P<gap>[ |+]*)  File "(?P<file>[^"]+)", line \d+')


def shortened(text: str) -> str:
    """A traceback without the frames of the harness, and of each library only the frame that raised.

    Frames of the submission, and of whatever else is neither, stay as they are, with file and line. Several tracebacks,
    one the cause of the other, are each shortened.

    >>> print(shortened('''Traceback (most recent call last):
    ...   File "/a/site-packages/torch/one.py", line 1, in f
    ...     g()
    ...   File "/my/submission.py", line 3, in step
    ...     h()
    ... ValueError: no'''))
    Traceback (most recent call last):
      … 1 frame of torch
      File "/my/submission.py", line 3, in step
        h()
    ValueError: no
    """
    return "\n".join(_folded(list(_blocks(text.splitlines()))))


def _blocks(lines: list[str]) -> Iterator[tuple[str | None, list[str]]]:
    """(file of a frame, its lines), and (None, line) for each line that belongs to none."""
    block: list[str] = []
    file: str | None = None
    for line in lines:
        found = FRAME.match(line)
        if found:
            if block:
                yield file, block
            file, block = found["file"], [line]
        elif block and line.startswith("    "):
            block.append(line)
        else:
            if block:
                yield file, block
            file, block = None, []
            yield None, [line]
    if block:
        yield file, block


def _folded(blocks: list[tuple[str | None, list[str]]]) -> Iterator[str]:
    count, before = 0, ""
    for index, (file, lines) in enumerate(blocks):
        owner = None if file is None else _owner(file)
        is_last = index + 1 == len(blocks) or blocks[index + 1][0] is None
        is_left_out = owner is not None and not (is_last and owner != "the harness")
        if count and (not is_left_out or owner != before):
            yield f"  … {count} frame{'s' * (count > 1)} of {before}"
            count = 0
        if is_left_out and owner is not None:
            count, before = count + 1, owner
        else:
            yield from lines
    if count:
        yield f"  … {count} frame{'s' * (count > 1)} of {before}"


def _owner(file: str) -> str | None:
    """Whose code a file is; None for the submission's own."""
    path = Path(file)
    if any(path.is_relative_to(folder) for folder in HARNESS):
        return "the harness"
    if file.startswith("<"):
        return "generated code"
    for folder in ("site-packages", "dist-packages"):
        if folder in path.parts:
            return path.parts[path.parts.index(folder) + 1].removesuffix(".py")
    parts = path.parts
    return "Python" if any(re.fullmatch(r"python3\.\d+", one) for one in parts[:-1]) else None
