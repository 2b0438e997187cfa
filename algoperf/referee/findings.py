"""What the referee has noticed about a submission, for the people who decide (R13)."""

import dataclasses
from typing import Any

FORBIDDEN = "forbidden"
FOR_REVIEW = "for review"
NOTE = "note"
GRADES = (FORBIDDEN, FOR_REVIEW, NOTE)
MAX_EACH = 5
"""Findings of one rule and kind that are kept; more of them are counted."""


@dataclasses.dataclass
class Finding:
    """One of them."""

    rule: str
    """Number of a rule in RULES.md."""
    grade: str
    """One of `GRADES`."""
    step: int
    """After how many updates; 0 for set-up."""
    text: str
    """What was seen, for people."""


class Findings:
    """All of a trial, in the order in which they came.

    Args:
      earlier: those of the parts of a run before, as `to_json` gives them.
    """

    def __init__(self, earlier: list[dict[str, Any]] | None = None):
        self._found = list(earlier or [])

    def add(self, rule: str, grade: str, step: int, text: str) -> None:
        """Adds one; of many of one rule the first are kept, the rest are counted."""
        same = [one for one in self._found if (one["rule"], one["grade"]) == (rule, grade)]
        if len(same) < MAX_EACH:
            self._found.append(dataclasses.asdict(Finding(rule, grade, step, text)))
        else:
            same[-1]["more"] = same[-1].get("more", 0) + 1

    def to_json(self) -> list[dict[str, Any]]:
        """For the records."""
        return [dict(one) for one in self._found]
