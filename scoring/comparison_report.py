"""The block of a report that says what a field has in common, the same as JSON, and single differences in words."""

import textwrap
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from scoring import comparison
from scoring.comparison import Comparison, Kept, Load, Verdict
from scoring.results import Trial

MAX_NAMES = 4
"""Submissions that are named; of more, the first three and a number."""
MAX_CELLS = 3
"""Workloads or packages whose values are shown."""
MAX_VALUE = 40
"""Characters of a value."""


def block(trials: Collection[Trial], budget_factor: float, width: int) -> str:
    """One line per fact over the field; '' for a field of which there are no trials.

    Args:
      trials: of the field.
      budget_factor: of the ruleset that is scored.
      width: of the report, in characters.
    """
    if not trials:
        return ""
    width = min(max(width, 60), 120)  # As paragraphs of the report.
    facts = comparison.compare(trials, budget_factor)
    field = sorted({trial.submission for trial in trials})
    rows = [(fact.name, str(fact.verdict), _detail(fact, field)) for fact in facts if fact.cells]
    load = comparison.loads(trials)
    if load:
        rows.append(_load_row(load, field))
    unknown = [fact.name for fact in facts if not fact.cells] + ([] if load else ["load"])
    lines = ["What the field has in common (R12.7)"]
    for name, verdict, detail in rows:
        head = f"  {name:{_WIDEST}}  {verdict:7}  "
        indent = " " * len(head)
        text = textwrap.wrap(detail, width, initial_indent=head, subsequent_indent=indent)
        lines += text or [head.rstrip()]
    if unknown:
        line = f"  not recorded: {', '.join(unknown)}"
        lines += textwrap.wrap(line, width, subsequent_indent="    ")
    return "\n".join(lines)


_WIDEST = max(map(len, comparison.NAMES))


def _detail(fact: Comparison, field: Sequence[str]) -> str:
    parts = [differences(fact, fact.differing(), field) or _equal(fact)]
    if fact.silent:
        parts.append(f"not recorded by {names(fact.silent, field)}")
    return "; ".join(part for part in parts if part)


def _equal(fact: Comparison) -> str:
    """The value that all share; only how many workloads or packages where each has its own."""
    values = [value for by_value in fact.cells.values() for value in by_value]
    if len(set(values)) == 1:
        return short(values[0])
    if fact.name == "source":
        return "within each submission"
    if fact.name == "versions":
        shown = [f"{package} {short(value)}" for package, value in zip(fact.cells, values)]
        return ", ".join(shown[: 2 * MAX_CELLS]) + more(len(shown) - 2 * MAX_CELLS)
    return f"on each of {len(fact.cells)} workloads"


def differences(fact: Comparison, cells: Sequence[str], field: Sequence[str]) -> str:
    """Who has which value in some of the cells, in a clause.

    Args:
      fact: over a field.
      cells: that are shown; of many with the same parties one in full.
      field: all submissions.
    """
    shown: dict[tuple[tuple[str, ...], ...], list[str]] = {}
    for cell in cells:
        parties = tuple(tuple(who) for who in fact.cells[cell].values())
        # Packages are few, and each says something else.
        key = parties if fact.name != "versions" else (*parties, (cell,))
        shown.setdefault(key, []).append(cell)
    clauses = []
    for first, *others in list(shown.values())[:MAX_CELLS]:
        values = "; ".join(
            f"{short(value)} in {_who(fact.cells[first], who, field)}"
            for value, who in fact.cells[first].items()
        )
        likewise = (
            f", likewise {', '.join(others[:MAX_CELLS])}{more(len(others) - MAX_CELLS)}" if others else ""
        )
        on = first if fact.name in ("versions", "source") else f"on {first}"
        clauses.append(f"{on}{likewise}: {values}" if first else values)
    return "; ".join(clauses) + more(len(shown) - MAX_CELLS)


def _who(values: Mapping[str, Mapping[str, Kept]], who: Mapping[str, Kept], field: Sequence[str]) -> str:
    """Names of submissions; with numbers of trials where a submission has other values as well."""
    whole = [name for name in who if sum(name in other for other in values.values()) == 1]
    others = {name: f"{count_of(kept.num_trials)} such as {kept.example}" for name, kept in who.items()}
    if len({name for other in values.values() for name in other}) == 1 and not whole:
        return next(
            iter(others.values())
        )  # Of one submission, which the cell names or which is the whole field.
    parts = [f"{name} ({others[name]})" for name in who if name not in whole]
    shown = [names(whole, field)] if whole else []
    return ", ".join([*shown, *parts[:MAX_CELLS]]) + more(len(parts) - MAX_CELLS)


def count_of(num_trials: int) -> str:
    return f"{num_trials} trial{'' if num_trials == 1 else 's'}"


def names(some: Collection[str], field: Sequence[str]) -> str:
    """Some submissions of a field, in few words.

    >>> names(["a"], ["a", "b"]), names(list("abcdef"), list("abcdefg")), names(list("abcdef"), list("abcdef"))
    ('a', 'a, b, c and 3 more', 'all 6')
    """
    some = list(some)
    if len(some) <= MAX_NAMES:
        return ", ".join(some)
    if len(some) == len(field):
        return f"all {len(some)}"
    return ", ".join(some[: MAX_NAMES - 1]) + more(len(some) - MAX_NAMES + 1)


def more(number: int) -> str:
    return f" and {number} more" if number > 0 else ""


def short(value: str) -> str:
    """A value without trade marks, cut where it is long."""
    for noise in ("(R)", "(TM)"):
        value = value.replace(noise, "")
    return value if len(value) <= MAX_VALUE else value[: MAX_VALUE - 1] + "…"


def _load_row(load: Mapping[str, Load], field: Sequence[str]) -> tuple[str, str, str]:
    silent = [name for name in field if name not in load]
    warned, known = (
        sum(getattr(one, part) for one in load.values()) for part in ("num_warned", "num_trials")
    )
    parts = [str(Load(warned, known))]
    shares: dict[str, list[str]] = {}
    for name, one in load.items():
        shares.setdefault(f"{one.num_warned} of {one.num_trials}", []).append(name)
    is_equal = len({one.num_warned / one.num_trials for one in load.values()}) == 1
    if not is_equal:
        parts.append(", ".join(f"{share} in {names(who, field)}" for share, who in shares.items()))
    if silent:
        parts.append(f"not recorded by {names(silent, field)}")
    return "load", str(Verdict.EQUAL if is_equal else Verdict.DIFFERS), "; ".join(parts)


def content(trials: Collection[Trial], budget_factor: float) -> dict[str, Any]:
    """The same as plain JSON types, with nothing abbreviated."""
    return {
        "facts": {
            fact.name.replace(" ", "_"): {
                "verdict": str(fact.verdict).replace(" ", "_"),
                "values": [
                    {
                        "of": cell or None,
                        "value": value,
                        "trials": {name: kept.num_trials for name, kept in who.items()},
                    }
                    for cell, values in fact.cells.items()
                    for value, who in values.items()
                ],
                "not_recorded_by": list(fact.silent),
            }
            for fact in comparison.compare(trials, budget_factor)
        },
        "ran_beside_other_processes": {
            name: {"trials": one.num_warned, "of": one.num_trials}
            for name, one in comparison.loads(trials).items()
        },
    }
