"""What the audit reports: a finding has a grade, the rules that it is about, and a place in the source."""

import dataclasses
import enum
from pathlib import Path


class Grade(enum.IntEnum):
    """How sure the audit is that a rule is broken."""

    NOTE = 0
    """Worth knowing, and allowed as it stands."""
    REVIEW = 1
    """Has honest uses and others: somebody has to read the place."""
    FORBIDDEN = 2
    """Has no honest use, or none that the rules allow."""

    @property
    def text(self) -> str:
        """As it is printed."""
        return {0: "note", 1: "for review", 2: "forbidden"}[self.value]


@dataclasses.dataclass(frozen=True)
class Check:
    """One kind of finding."""

    id: str
    """Words with hyphens, the same for ever, as in `private-name`."""
    rules: tuple[str, ...]
    """Numbers of RULES.md, the most fitting one first."""
    grade: Grade
    says: str
    """What was found, a sentence; `{what}` is replaced by the code at fault."""
    instead: str = ""
    """What to do instead, a sentence."""


@dataclasses.dataclass(frozen=True, order=True)
class Finding:
    """A place of the source that a check has found."""

    path: Path
    line: int
    """From 1; 0 where it is about the whole file."""
    what: str
    """The code at fault, short."""
    check: Check = dataclasses.field(compare=False)

    @property
    def grade(self) -> Grade:
        return self.check.grade

    @property
    def says(self) -> str:
        """The sentence of the check, about this place."""
        return self.check.says.replace("{what}", self.what)
