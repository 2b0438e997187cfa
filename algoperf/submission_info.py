"""`submission_info.yml`: what a published submission says of itself, for people."""

import dataclasses
import datetime
import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from algoperf import files

FILE = "submission_info.yml"
MAX_CHARS = 100_000
"""Of a file that is read: published ones have a few hundred."""
MAX_DEPTH = 20
"""Of lists and mappings within each other."""


@dataclasses.dataclass(frozen=True)
class SubmissionInfo:
    """Who made a submission, and what it is called; empty where the file does not say."""

    name: str = ""
    authors: str = ""
    description: str = ""
    date: str = ""
    """When it was published, '2026-03-05' or the beginning of it; sites show records over time."""

    def text(self) -> str:
        """One sentence for a report.

        >>> SubmissionInfo("Prize Shampoo", "A. One, B. Two", "Blocked, in float32.").text()
        'Prize Shampoo, by A. One, B. Two: Blocked, in float32.'
        """
        named = ", by ".join(part for part in (self.name, self.authors) if part)
        return f"{named}: {self.description}" if self.description else named


def read(folder: Path) -> tuple[SubmissionInfo | None, str]:
    """(what the file in a folder says, or None; a note where there is a file that cannot be used, or '')."""
    path = folder / FILE
    try:
        content = files.read_regular(path).decode("utf-8-sig")
    except OSError:
        return None, ""
    except UnicodeDecodeError:
        return None, f"{path} is not UTF-8 and was ignored."
    try:
        yaml = importlib.import_module("yaml")
    except ModuleNotFoundError:
        return None, f"{path} was ignored: reading it needs the package PyYAML."
    if len(content) > MAX_CHARS:
        return None, f"{path} has more than {MAX_CHARS:,} characters and was ignored."
    try:
        _check_simple(yaml, content)
        found = yaml.safe_load(content)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        return None, f"{path} is not well formed and was ignored ({' '.join(str(error).split())[:120]})."
    if not isinstance(found, dict) or not isinstance(found.get("submission_name"), (str, int, float)):
        return None, f"{path} has another form, without a submission_name, and was ignored."
    try:
        return from_mapping({**found, "name": found["submission_name"]}), ""
    except ValueError:  # A number of more digits than Python writes.
        return None, f"{path} names a number that is too long, and was ignored."


def _check_simple(yaml: Any, content: str) -> None:
    """Raises ValueError where a few characters can stand for any number of others, or for themselves."""
    depth = 0
    for event in yaml.parse(content, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("an alias, with *, stands for a text that is elsewhere")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ValueError("it is nested too deeply")


def from_mapping(found: Mapping[str, Any]) -> SubmissionInfo:
    """From a mapping with `name`, `authors`, `description`, each text or a list of texts, and `date`."""
    name, authors, description, date = (
        _line(found.get(key)) for key in ("name", "authors", "description", "date")
    )
    return SubmissionInfo(name, authors, description, date_of(date))


def date_of(text: str) -> str:
    """The date that a text begins with, or the beginning of one; '' for anything else.

    >>> date_of("2026-03-05T12:00:00+00:00"), date_of("2026-03"), date_of("2026-02-31"), date_of("soon")
    ('2026-03-05', '2026-03', '', '')
    """
    found = re.fullmatch(r"([12]\d{3})(?:-(\d\d)(?:-(\d\d)(?:[ T].*)?)?)?", text)
    if found is None:
        return ""
    try:
        datetime.date(int(found[1]), int(found[2] or 1), int(found[3] or 1))
    except ValueError:
        return ""
    return "-".join(part for part in found.groups() if part)


def _line(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(_line(item) for item in value)
    if value is None or isinstance(value, dict):
        return ""
    # Control characters would reach terminals and pictures.
    return "".join(letter for letter in " ".join(str(value).split()) if letter.isprintable())
