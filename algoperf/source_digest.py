"""Digests of source files that comments do not change, and what has changed between two sets of them.

A digest is over a file's content under its path within its project or folder, never over its place on the machine. Of
Python files comments, blank lines and docstrings do not count. They are taken out by one pass of a regular expression,
which takes 40 ms of processor time for all of the harness; building its syntax trees and writing them out takes 0.3 s,
and differs between versions of Python.
"""

import functools
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from algoperf import files

Digests = dict[str, str]
"""Path within its project or folder, with slashes -> digest of the content."""

DIGEST_CHARS = 12
_TEXT = (
    rb'"""(?:[^"\\]|\\.|"(?!""))*+"""|' + rb"\'\'\'(?:[^'\\]|\\.|'(?!\'\'))*+\'\'\'|"
    rb'"(?:[^"\\\n]|\\.)*+"|' + rb"'(?:[^'\\\n]|\\.)*+'"
)
_REST = rb"[ \t]*(?:\#[^\n]*)?\n"
"""The end of a line that says nothing more."""
_DOCSTRING = rb"(?:" + _REST + rb")*[ \t]*[rR]?(?:" + _TEXT + rb")[ \t]*(?:\#[^\n]*)?(?=\n|\Z)"
_OF_MODULE = re.compile(_DOCSTRING, re.DOTALL)
# Every alternative begins with a plain character: then the search skips to the next of them, and is twice as fast.
_TOKENS = re.compile(
    # The last line of a header, and the text below it. A text anywhere else is code.
    rb"(?P<header>\n[ \t]*(?:def|async|class|\))[^\n\"'\#]*:)" + _REST + _DOCSTRING + rb"|"
    rb"(?P<blank>\n[ \t]*(?:\#[^\n]*)?(?:\n[ \t]*(?:\#[^\n]*)?)*(?=\n|\Z)|\#[^\n]*)|" + _TEXT,
    re.DOTALL,
)
_PREFIX = re.compile(rb"[a-zA-Z]+\Z")


class _UnsureError(Exception):
    """Texts nest as they may since Python 3.12, and the expression does not see where one ends."""


def lean(content: bytes) -> bytes:
    r"""A Python file without comments, blank lines and docstrings of modules, classes and functions.

    Where that cannot be told for sure, because an f-string holds quotes of its own kind, all of the content.

    >>> lean(b'\"\"\"Words.\"\"\"\n\n# More.\nvalue = "# 1"  # Why.\n')
    b'\nvalue = "# 1"'
    """
    text = content.replace(b"\r\n", b"\n")
    try:
        return b"".join(_kept(text))
    except _UnsureError:
        return content


def _kept(text: bytes) -> Iterator[bytes]:
    of_module = _OF_MODULE.match(text)
    end = of_module.end() if of_module else 0
    for found in _TOKENS.finditer(text, end):
        between, end = text[end : found.start()], found.end()
        if found["header"] is not None:
            yield between + found["header"]
        elif found["blank"] is not None:
            yield between.rstrip(b" \t")
        else:
            prefix = _PREFIX.search(between[-2:])
            is_formatted = prefix is not None and b"f" in prefix[0].lower()
            if is_formatted and found[0].count(b"{") != found[0].count(b"}"):
                raise _UnsureError
            yield between + found[0]
    yield text[end:]


def of_file(path: Path) -> str:
    """The digest of a file's content."""
    found = path.stat()
    return _of_file(path, found.st_mtime_ns, found.st_size)


@functools.lru_cache(maxsize=10_000)
def _of_file(path: Path, mtime_ns: int, size: int) -> str:
    del mtime_ns, size  # A file with others is another one.
    content = files.read_regular(path)
    return _short(lean(content) if path.suffix == ".py" else content)


def of_files(paths: Mapping[str, Path]) -> Digests:
    """The digests of files, by the names that are given."""
    return {name: of_file(path) for name, path in sorted(paths.items())}


def combined(digests: Mapping[str, str]) -> str:
    """One digest of many, names included."""
    return _short("\n".join(f"{digest} {name}" for name, digest in sorted(digests.items())).encode(), 16)


def _short(content: bytes, num_chars: int = DIGEST_CHARS) -> str:
    return hashlib.sha256(content).hexdigest()[:num_chars]


def changes(stored: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """A few words for every file in which two sets differ.

    >>> changes({"a.py": "1", "b.py": "2"}, {"a.py": "3", "c.py": "2"})
    ['a.py changed', 'b.py is gone', 'c.py is new']
    """
    words = []
    for name in sorted({*stored, *now}):
        if name not in now:
            words.append(f"{name} is gone")
        elif name not in stored:
            words.append(f"{name} is new")
        elif stored[name] != now[name]:
            words.append(f"{name} changed")
    return words


def first_of(words: Iterable[str], count: int = 3) -> str:
    """The first of them on one line, and how many more there are.

    >>> first_of(["a changed", "b is new", "c is gone"], count=2)
    'a changed, b is new and 1 more'
    """
    every = list(words)
    more = f" and {len(every) - count} more" if len(every) > count else ""
    return ", ".join(every[:count]) + more
