"""Names of other packages that a submission imports, calls or reads, by the table of `audit.name_table`."""

from collections.abc import Iterator

from audit.findings import Check, Finding
from audit.name_checks import ENVIRONMENT
from audit.name_table import TABLE
from audit.paths import is_constant, is_own
from audit.program import Program

BARE = ("algoperf", "jax.core", "jax.interpreters", "inspect", "os", "os.environ", "sys", "gc", "torch")
"""Names that are nothing by themselves: only what is used of them counts."""

RANKS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def check_of(path: str) -> Check | None:
    """The check for a name; None where it is nothing to report.

    >>> check_of("time.sleep").id, check_of("time.perf_counter").id, check_of("torch.optim.AdamW")
    ('sleep', 'clock', None)
    """
    if is_own(path) or is_constant(path) or path[:1] == "@" or path in BARE:
        return None
    if "()" in path and path[: path.index("()")] in TABLE:
        return None  # What a call has given; the call itself is reported.
    name = path
    while name:
        if name in TABLE:
            return TABLE[name]
        cut = max(name.rfind(sign) for sign in ".[(")
        name = name[:cut] if cut > 0 else ""
    return None


def find(program: Program) -> Iterator[Finding]:
    """Every place where a name of the table is imported or used."""
    for event in program.of_kind("import", "read"):
        for path in sorted(event.paths):
            check = check_of(path)
            if check is ENVIRONMENT and any(path.endswith(f"[{rank}]") for rank in RANKS):
                continue
            if check is not None:
                yield event.finding(check)
                break
