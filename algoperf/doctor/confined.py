"""What this machine can do to confine a submission."""

from collections.abc import Iterator, Sequence

from algoperf.confinement import __main__ as confinement
from algoperf.confinement import means
from algoperf.confinement.means import Finding
from algoperf.doctor.line import CONFINEMENT, Line, Mark

NEXT_STEP = "see docs/referee.md, Confinement; without them a refereed trial runs and its record says what was missing"


def found() -> list[Finding]:
    """What holds here, by trying; everything missing where that cannot be tried, as outside of Linux."""
    try:
        return confinement.findings()
    except Exception as error:  # Other systems have none of the calls.
        return [Finding(name, False, f"cannot be tried: {error}") for name in means.STOPS]


def lines(findings: Sequence[Finding]) -> Iterator[Line]:
    """One for what holds, and one for what is missing."""
    held = [one.means for one in findings if one.held]
    missing = [f"{one.means} ({one.words})" for one in findings if not one.held]
    if held:
        yield Line(group=CONFINEMENT, name="held", mark=Mark.OK, words=", ".join(held))
    if missing:
        words = "; ".join(missing)
        yield Line(group=CONFINEMENT, name="missing", mark=Mark.WARN, words=words, next_step=NEXT_STEP)
