"""A scored field as pages see it: names, addresses, and what is known of each entry."""

import hashlib
import posixpath
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from scoring import output, refereed
from scoring.site import history
from scoring.site.fields import Field

INDEX, METHOD = "index.html", "method.html"
Pages = dict[str, str]
"""Path within the site, with slashes -> content."""


@dataclass(frozen=True)
class Board:
    """One field, scored."""

    field: Field
    folder: str
    """Within the site: 'boards/mini-self-...'."""
    document: Mapping[str, Any]
    dates: Mapping[str, str]
    """Submission -> when it came: '2026-03-05', '2026-03'."""
    downloads: tuple[tuple[str, int], ...]
    """(file of `folder`, its size in bytes)."""

    @property
    def page(self) -> str:
        """Path of its own page."""
        return f"{self.folder}/{INDEX}"

    @property
    def report(self) -> str:
        """Path of its interactive report."""
        return f"{self.folder}/{output.REPORT}"

    @cached_property
    def rows(self) -> list[Mapping[str, Any]]:
        """Its entries, best first."""
        return self.document["submissions"]

    @cached_property
    def entries(self) -> dict[str, str]:
        """Submission -> path of its page."""
        return self._pages("entries", (row["submission"] for row in self.rows))

    @cached_property
    def workloads(self) -> dict[str, str]:
        """Workload or held-out variant -> path of its page."""
        return self._pages("workloads", self.document["workloads"])

    def _pages(self, folder: str, names: Iterable[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for name in names:
            found[name] = f"{self.folder}/{folder}/{slug(self.short(name), found.values())}.html"
        return found

    @property
    def prefix(self) -> str:
        """What all names begin with, and pages leave out; '' where own entries stand among published ones."""
        return f"{self.field.leaderboard}/" if self.field.leaderboard and not self.field.members else ""

    def short(self, text: str) -> str:
        """A sentence about entries with their short names."""
        return text.replace(self.prefix, "") if self.prefix else text

    def folder_name(self, submission: str) -> str:
        """The name of an entry's folder, without its leaderboard."""
        return submission.removeprefix(f"{self.field.leaderboard}/") if self.field.leaderboard else submission

    def name_of(self, submission: str) -> str:
        """What an entry goes by: the name that it gives itself, else that of its folder."""
        own = self.document["infos"].get(submission, {}).get("name")
        return own or self.short(submission)

    @cached_property
    def trials(self) -> dict[str, list[dict[str, Any]]]:
        """Submission -> its trials, each as column -> value."""
        columns = self.document["trials"]
        found: dict[str, list[dict[str, Any]]] = {row["submission"]: [] for row in self.rows}
        for values in zip(*columns.values()):
            trial = dict(zip(columns, values))
            found[trial["submission"]].append(trial)
        return found

    def values(self, submission: str, column: str) -> list[str]:
        """Different values of a column over the trials of an entry, as text."""
        found = dict.fromkeys(
            _text(trial[column]) for trial in self.trials[submission] if trial[column] is not None
        )
        return [text for text in found if text]

    def time(self, submission: str, workload: str) -> Mapping[str, Any]:
        """What `times` says of a cell."""
        return self.document["times"][submission][workload]

    def refereed(self, submission: str) -> str:
        """'yes', 'no', '3 of 9 trials'."""
        row = next(row for row in self.rows if row["submission"] == submission)
        found = row.get("refereed") or {}
        return refereed.short(found.get("trials", 0), found.get("of", 0)) if found.get("of") else "no"

    @cached_property
    def improvements(self) -> list[history.Improvement]:
        """Who improved which record, oldest first."""
        return history.improvements(self.document, self.dates)


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {inner}" for key, inner in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def slug(name: str, taken: Collection[str] = ()) -> str:
    """A name as part of a path that every file system and URL takes.

    Names that would be changed get a few letters of their digest, so that no two are one, upper case or not.

    Args:
      name: any text.
      taken: paths that others have, which end with such a part and '.html'.

    >>> slug("muon"), slug("4 x NVIDIA A100 40 GB"), slug("../x")
    ('muon', '4-x-NVIDIA-A100-40-GB-df694b', 'x-d6b96a')
    """
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:80].strip("-.") or "unnamed"
    used = {posixpath.basename(path).removesuffix(".html").casefold() for path in taken}
    reserved = plain.casefold() in ("index", "con", "nul", "aux", "prn")
    if plain == name and plain.casefold() not in used and not reserved:
        return plain
    return f"{plain}-{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:6]}"


def relative(path: str, start: str) -> str:
    """A link from one page of the site to another.

    >>> relative("method.html", "boards/mini/entries/adam.html")
    '../../../method.html'
    """
    return posixpath.relpath(path, posixpath.dirname(start) or ".")


def ordered(boards: Iterable[Board]) -> list[Board]:
    """Newest first: by the last entry that came, then by name."""
    by_name = sorted(boards, key=lambda board: board.folder)
    return sorted(by_name, key=lambda board: max(board.dates.values(), default=""), reverse=True)


def others_with(board: Board, boards: Sequence[Board], name: str) -> list[tuple[Board, str]]:
    """(other board, page) of entries that share a name, without their leaderboard's."""
    return [
        (other, path)
        for other in boards
        if other is not board
        for submission, path in other.entries.items()
        if other.folder_name(submission) == name
    ]
