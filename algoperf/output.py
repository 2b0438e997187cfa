"""What a command prints: whatever becomes of its reader, that alone never ends a run.

A log collector dies, a terminal is closed, the disk behind `2> log` is full, the locale knows ASCII only, a submission
closes `sys.stdout`: none of these is a reason to lose a trial, whose results are files.
"""

import io
import os
import pwd
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _LastingFile(io.FileIO):
    """Throws away what it cannot write."""

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            written = super().write(data)
        except OSError:
            written = None
        return memoryview(data).nbytes if written is None else written


class _LastingText(io.TextIOWrapper):
    """Stays open to the end of the process, whoever closes it."""

    def close(self) -> None:
        self.flush()


def settle(lasting: bool) -> None:
    """Makes standard output and error ready for whatever is to be printed; to be called before files are opened.

    Args:
      lasting: whether what cannot be written is dropped without a word, rather than an error or the end of the process.
    """
    _fill_gaps()
    _name_user()
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream: TextIO | None = getattr(sys, name)
        if lasting or stream is None:
            setattr(sys, name, _lasting(stream, number))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _lasting(before: TextIO | None, number: int) -> TextIO:
    """A text stream to a file descriptor that takes every text and never fails."""
    buffer = io.BufferedWriter(_LastingFile(number, "w", closefd=False))
    encoding = getattr(before, "encoding", None) or "utf-8"
    return _LastingText(
        buffer,
        encoding=encoding,
        errors="backslashreplace",
        # Unbuffered output (python -u) comes as whole lines, too.
        line_buffering=any(getattr(before, name, False) for name in ("line_buffering", "write_through")),
    )


def _fill_gaps() -> None:
    """A descriptor that was closed before the start would be given to the next file, and prints would go into it."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # The lowest number that is free: this one.


def _name_user() -> None:
    """Libraries ask for the user's name, for their caches, and fail in containers whose user has none."""
    if not any(os.environ.get(name) for name in ("LOGNAME", "USER", "LNAME", "USERNAME")):
        try:
            pwd.getpwuid(os.getuid())
        except KeyError:
            os.environ["LOGNAME"] = f"uid_{os.getuid()}"
