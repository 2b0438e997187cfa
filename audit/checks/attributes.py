"""Attributes that give themselves away by their names, whatever they are read from."""

import ast
from collections.abc import Iterator

from audit.findings import Check, Finding, Grade
from audit.paths import is_own
from audit.program import Event, Program

INSIDES = Check(
    "python-insides",
    ("R3.20", "R3.7"),
    Grade.FORBIDDEN,
    "{what} reaches into frames, code or closures.",
    "What a submission may know is in its arguments.",
)
FILE_METHOD = Check(
    "file-method",
    ("R3.8",),
    Grade.FORBIDDEN,
    "{what} writes, moves or lists files.",
    "Keep what changes in the optimizer state.",
)
READ_METHOD = Check(
    "read-method",
    ("R3.8", "R3.4"),
    Grade.REVIEW,
    "{what} reads a file: say which, and what was computed into it.",
    "Only files of the submission's own source may be read.",
)
WRITING = Check(
    "writes-file",
    ("R3.8",),
    Grade.FORBIDDEN,
    "{what} opens a file to write.",
    "Keep what changes in the optimizer state.",
)
AHEAD = Check(
    "own-docstring",
    ("R3.4", "R2.7"),
    Grade.REVIEW,
    "{what} reads a text for people as data.",
    "Write numbers down as numbers.",
)
NAMES = {
    INSIDES: (
        *(
            "f_back",
            "f_locals",
            "f_globals",
            "f_code",
            "f_trace",
            "f_builtins",
            "tb_frame",
            "tb_next",
            "gi_frame",
        ),
        *(
            "cr_frame",
            "ag_frame",
            "__globals__",
            "__code__",
            "__closure__",
            "cell_contents",
            "__subclasses__",
        ),
        *(
            "__builtins__",
            "__defaults__",
            "__kwdefaults__",
            "__bases__",
            "__traceback__",
            "co_consts",
            "__func__",
        ),
        *("__loader__", "__spec__", "__wrapped__", "__mro__", "__getattribute__", "_getframe"),
    ),
    FILE_METHOD: (
        *(
            "write_text",
            "write_bytes",
            "unlink",
            "mkdir",
            "rmdir",
            "touch",
            "symlink_to",
            "hardlink_to",
            "chmod",
        ),
        *("rglob", "iterdir", "glob", "is_file", "samefile", "writelines", "tofile"),
    ),
    READ_METHOD: ("read_text", "read_bytes"),
}
BY_NAME = {name: check for check, names in NAMES.items() for name in names}


def find(program: Program) -> Iterator[Finding]:
    """Reads of such attributes, and files that are opened to write."""
    for event in program.of_kind("read"):
        if event.attr in BY_NAME and not (BY_NAME[event.attr] is INSIDES and _is_harmless(event)):
            yield event.finding(BY_NAME[event.attr])
        elif event.attr == "__doc__" or "@own_doc" in event.paths:
            yield event.finding(AHEAD)
        elif _names_insides(event):
            yield event.finding(INSIDES)
    for event in program.of_kind("call"):
        is_open = event.attr == "open" or "builtins.open" in event.paths
        if is_open and _writes(event):
            yield event.finding(WRITING)


def _names_insides(event: Event) -> bool:
    """Whether it is one of Python's own variables, or such an attribute by getattr."""
    if isinstance(event.node, ast.Name):
        return event.node.id in ("__builtins__", "__loader__", "__spec__")
    by_text = {path.rpartition(".")[2] for path in event.paths}
    return isinstance(event.node, ast.Call) and not by_text.isdisjoint(NAMES[INSIDES])


def _is_harmless(event: Event) -> bool:
    """`__wrapped__`, `__func__` and defaults of the submission's own functions."""
    return event.attr in ("__wrapped__", "__func__", "__defaults__") and all(map(is_own, event.paths))


def _writes(event: Event) -> bool:
    position = 0 if event.attr == "open" and "builtins.open" not in event.paths else 1
    modes = set(event.values[position]) if len(event.values) > position else set()
    modes |= {mode for name, values in event.keywords if name == "mode" for mode in values}
    texts = [mode[1:] for mode in modes if mode[:1] == "'" and len(mode) < 6]
    return any(letter in text for text in texts for letter in "wax+")
