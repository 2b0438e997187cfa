"""Data in a submission: long texts, many numbers, files that are not source; measured, not read."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

from algoperf import registry, submission_info
from algoperf.submission_files import SEARCH_SPACES
from audit.findings import Check, Finding, Grade
from audit.folder import SourceFile
from audit.program import Program

LONG_TEXT = Check(
    "long-text",
    ("R3.4", "R2.7"),
    Grade.REVIEW,
    "A text of {what} that is not written for people.",
    "Say what it is and how it was made; trained parameters are not allowed.",
)
HUGE_TEXT = Check(
    "huge-text",
    ("R3.4",),
    Grade.FORBIDDEN,
    "A text of {what}: as large as the parameters of a small model.",
    "Leave it out; trained parameters are not allowed.",
)
NUMBERS = Check(
    "many-numbers",
    ("R3.4",),
    Grade.REVIEW,
    "{what} in one literal.",
    "Say what they are and how they were made; trained parameters are not allowed.",
)
SUM_OF_NUMBERS = Check(
    "numbers-in-all",
    ("R3.4",),
    Grade.REVIEW,
    "{what} in the file in all.",
    "Say what they are and how they were made; trained parameters are not allowed.",
)
TEXTS_IN_ALL = Check(
    "texts-in-all",
    ("R3.4", "R2.7"),
    Grade.REVIEW,
    "{what} of texts without spaces in the file in all.",
    "Say what they are and how they were made; trained parameters are not allowed.",
)
DATA_FILE = Check(
    "data-file",
    ("R3.4", "R3.8"),
    Grade.REVIEW,
    "{what} that is not source.",
    "Say what it is and what it was computed from; a learned optimizer names what it was trained on.",
)
SMALL_FILE = Check(
    "small-file",
    ("R3.4",),
    Grade.NOTE,
    "{what} that is not source.",
)
COMPILED_FILE = Check(
    "compiled-file",
    ("R2.7",),
    Grade.FORBIDDEN,
    "{what} that is compiled code.",
    "The source has to be complete.",
)
WORKLOADS_IN_FILE = Check(
    "workloads-in-file",
    ("R3.2", "R3.1"),
    Grade.FORBIDDEN,
    "A file with {what} for its keys.",
    "Only get_batch_size may depend on which workload is trained.",
)
FOR_PEOPLE = (
    ".md",
    ".txt",
    ".rst",
    ".yml",
    ".yaml",
    ".toml",
    ".cfg",
    ".ini",
    ".gitignore",
    ".bib",
    ".png",
    ".pdf",
    ".svg",
)
COMPILED = (".so", ".pyd", ".pyc", ".pyo", ".dll", ".dylib", ".o", ".a", ".cubin", ".ptx", ".exe", ".pth")
NAMED_FOR_PEOPLE = ("LICENSE", "NOTICE", "AUTHORS", "README", "Makefile", "DESCRIPTION", "CITATION")
TEXT_REVIEW, TEXT_FORBIDDEN = 1_000, 10_000
"""Characters: a long message has 300; the smallest model here, that of `digits`, has 31,000 of them in base85."""
NUMBERS_REVIEW = 200
"""A list of points has 5 x 8, a table of schedules some dozens."""
NUMBERS_IN_ALL = 2_000
WORD, WORDS_IN_ALL = 40, 4_000
"""Characters of a text that no name or word has, and how many such texts may have together."""
FILE_FOR_PEOPLE = 200_000
"""Bytes; also a text can hold parameters."""
SMALL_SIZE, SPACE_SIZE = 2_000, 20_000
"""Bytes of JSON: a point has 200, a search space of a hundred points 20,000."""


def find(program: Program) -> Iterator[Finding]:
    """Findings about sizes."""
    for source in program.folder.sources.values():
        yield from _of_source(source)
    for path in program.folder.others:
        yield from _of_file(path)


def _of_source(source: SourceFile) -> Iterator[Finding]:
    documentation = _documentation(source)
    counted: set[ast.AST] = set()
    number = words = 0
    for node in source.nodes:
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, (str, bytes))
            and node not in documentation
        ):
            yield from _of_text(source, node, len(node.value))
            is_word = WORD <= len(node.value) < TEXT_REVIEW and len(node.value.split()) == 1
            words += len(node.value) if is_word else 0
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, int)
            and not isinstance(node.value, bool)
        ):
            yield from _of_text(
                source, node, node.value.bit_length() // 6 if node.value.bit_length() > 600 else 0
            )
            number += 1
        elif isinstance(node, ast.Constant) and isinstance(node.value, (float, complex)):
            number += 1
        elif isinstance(node, (ast.List, ast.Tuple, ast.Set, ast.Dict)) and node not in counted:
            inner = list(ast.walk(node))
            counted.update(inner)
            size = sum(isinstance(one, ast.Constant) and isinstance(one.value, (int, float)) for one in inner)
            if size >= NUMBERS_REVIEW:
                yield Finding(source.path, node.lineno, f"{size:,} numbers", NUMBERS)
    if words >= WORDS_IN_ALL:
        yield Finding(source.path, 0, f"{words:,} characters", TEXTS_IN_ALL)
    if number >= NUMBERS_IN_ALL:
        yield Finding(source.path, 0, f"{number:,} numbers", SUM_OF_NUMBERS)


def _documentation(source: SourceFile) -> set[ast.AST]:
    """Texts that stand alone: docstrings, and those below a name; read as data, they have a finding of their own."""
    return {
        node.value
        for node in source.nodes
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and len(str(node.value.value)) < 20_000
    }


def _of_text(source: SourceFile, node: ast.Constant, size: int) -> Iterator[Finding]:
    if size >= TEXT_FORBIDDEN:
        yield Finding(source.path, node.lineno, f"{size:,} characters", HUGE_TEXT)
    elif size >= TEXT_REVIEW:
        yield Finding(source.path, node.lineno, f"{size:,} characters", LONG_TEXT)


def _of_file(path: Path) -> Iterator[Finding]:
    size = path.stat().st_size
    is_space = path.match(SEARCH_SPACES)
    if path.suffix == ".json":
        names = sorted(_keys_of(path) & set(registry.names()))
        if names:
            yield Finding(path, 0, ", ".join(names[:3]), WORKLOADS_IN_FILE)
        if not is_space or size > SPACE_SIZE:
            check = DATA_FILE if size > SMALL_SIZE else SMALL_FILE
            yield Finding(path, 0, f"A file of {size:,} bytes", check)
        return
    if path.suffix in COMPILED:
        yield Finding(path, 0, f"A file of {size:,} bytes", COMPILED_FILE)
        return
    is_text = path.suffix in FOR_PEOPLE or path.name.split(".")[0] in NAMED_FOR_PEOPLE
    if path.name == submission_info.FILE or (is_text and size < FILE_FOR_PEOPLE):
        return
    yield Finding(path, 0, f"A file of {size:,} bytes", DATA_FILE)


def _keys_of(path: Path) -> set[str]:
    """All keys of a JSON file, at every level."""
    try:
        waiting = [json.loads(path.read_bytes())]
    except (ValueError, OSError, RecursionError):
        return set()
    keys: set[str] = set()
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            keys.update(value)
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return keys
