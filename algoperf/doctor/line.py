"""One thing that the doctor has looked at."""

import dataclasses
import enum

SYSTEM, FRAMEWORKS, DEVICES, CONFINEMENT, DATA, ABILITIES, ASKED = (
    *("machine", "frameworks", "devices", "confinement", "data", "what it can run", "what was asked"),
)
GROUPS = (SYSTEM, FRAMEWORKS, DEVICES, CONFINEMENT, DATA, ABILITIES, ASKED)
"""In the order in which they are shown."""


class Mark(enum.StrEnum):
    """How things stand."""

    OK = "ok"
    WARN = "warn"
    """It works, and something is worth knowing: times may not be comparable, or something cannot be used."""
    NONE = "-"
    """It is not there, and nothing needs it unless it is asked for."""
    FAIL = "fail"
    """It does not work."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
    """A fact and how it is to be judged."""

    group: str
    """One of `GROUPS`."""
    name: str
    """In a word or two."""
    mark: Mark
    words: str
    """What was found."""
    next_step: str | None = None
    """What mends it, where something does."""
