"""What is printed: findings by grade, places of one kind together; or JSON for machines."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from audit.findings import Check, Finding, Grade
from audit.folder import Folder

MAX_PLACES = 6
"""That are named of one kind."""


@dataclasses.dataclass(frozen=True)
class Report:
    """The findings about one submission, the gravest first."""

    folder: Folder
    findings: Sequence[Finding]

    @classmethod
    def of(cls, folder: Folder, findings: Iterable[Finding]) -> "Report":
        """Keeps one finding of a kind for each line: that which shows most of it."""
        best: dict[tuple[str, Path, int, str], Finding] = {}
        known = list(findings)
        for one in known if _finds_more_files(known, folder) else (_less_grave(one, folder) for one in known):
            key = (one.check.id, one.path, one.line, "" if one.line else one.what)
            if key not in best or len(one.what) > len(best[key].what):
                best[key] = one
        order = sorted(best.values(), key=lambda one: (-one.grade, one.check.id, one.path, one.line))
        return cls(folder, order)

    def number(self, grade: Grade) -> int:
        """How many findings have this grade."""
        return sum(one.grade == grade for one in self.findings)

    @property
    def exit_code(self) -> int:
        """1 if something is forbidden, else 0."""
        return int(self.number(Grade.FORBIDDEN) > 0)

    def text(self, with_notes: bool = True) -> str:
        """For people."""
        counts = ", ".join(f"{self.number(grade)} {grade.text}" for grade in reversed(Grade))
        files = len(self.folder.sources)
        lines = [f"{self.folder.root}: {files} Python file{'s' * (files != 1)} read; {counts}."]
        for grade in reversed(Grade):
            kinds: dict[tuple[Check, str], list[Finding]] = {}
            for one in self.findings:
                if one.grade == grade and (with_notes or grade > Grade.NOTE):
                    kinds.setdefault((one.check, "" if one.line else one.says), []).append(one)
            if kinds:
                lines += ["", grade.text]
            for found in kinds.values():
                lines += self._of_kind(found)
        return "\n".join(lines)

    def _of_kind(self, found: Sequence[Finding]) -> list[str]:
        first, check = found[0], found[0].check
        rules = ", ".join(check.rules)
        lines = [f"  {rules}  [{check.id}] {first.says} {check.instead}".rstrip()]
        lines += [
            f"      {self._place(one)}  {one.what}"
            for one in found[:MAX_PLACES]
            if one.line or len(found) > 1
        ]
        if not first.line and len(found) == 1:
            lines.append(f"      {self._place(first)}")
        if len(found) > MAX_PLACES:
            lines.append(f"      and {len(found) - MAX_PLACES} more")
        return lines

    def _place(self, one: Finding) -> str:
        shown = self.folder.shown(one.path)
        return f"{shown}:{one.line}" if one.line else shown

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "submission": str(self.folder.root),
            "files_read": sorted(self.folder.shown(path) for path in self.folder.sources),
            "counts": {grade.text: self.number(grade) for grade in Grade},
            "findings": [
                {
                    "grade": one.grade.text,
                    "check": one.check.id,
                    "rules": list(one.check.rules),
                    "file": self.folder.shown(one.path),
                    "line": one.line or None,
                    "code": one.what,
                    "says": one.says,
                    "instead": one.check.instead or None,
                }
                for one in self.findings
            ],
        }


def _finds_more_files(findings: Iterable[Finding], folder: Folder) -> bool:
    """Whether the source can get at files that it does not import by their names."""
    ways = ("import-by-text", "code-from-data", "import-system", "import-path", "process", "foreign-code")
    return any(
        one.check.id in ways and one.grade > Grade.NOTE and one.path in folder.imported for one in findings
    )


def _less_grave(one: Finding, folder: Folder) -> Finding:
    """A finding in a file that nothing imports, such as a test or a script, is a note."""
    if one.path not in folder.sources or one.path in folder.imported or one.grade == Grade.NOTE:
        return one
    check = dataclasses.replace(one.check, grade=Grade.NOTE, instead="Nothing imports this file.")
    return dataclasses.replace(one, check=check)
