"""Data seeds that were secret while a field ran: what results show of them, and whether a published seed is the one."""

import collections
from collections.abc import Collection

from algoperf import data_seed
from algoperf.spec import UsageError
from scoring.facts import PUBLIC
from scoring.results import Trial

DIGITS = 12
"""Of a sealed form, in tables."""


def shown(data: str) -> str:
    """A value of `Facts.data` for people.

    >>> shown("sealed:b24751c4e803bbaae8010a939447e750"), shown("public")
    ('sealed b24751c4e803', 'public')
    """
    return data if data == PUBLIC else data.replace(data_seed.SEALED, "sealed ")[: len("sealed ") + DIGITS]


def note(trials: Collection[Trial], given: str, is_strict: bool) -> str:
    """Says which trials ran on the data of a seed, by the hash that their records hold.

    Args:
      trials: of the user.
      given: the seed, or '@<file>' with it in; it is not shown.
      is_strict: refuses trials that ran on other data.

    Raises:
      UsageError: if it is no seed, or, where that is strict, not that of all trials.
    """
    seed = data_seed.parse(given)
    if seed is None or seed.entropy is None:
        raise UsageError("--reveal_data_seed needs the seed itself, or @<file> with it in.")
    counts = collections.Counter(
        (trial.submission, facts.data) for trial in trials for facts in trial.facts[-1:]
    )
    matching = sum(count for (_, data), count in counts.items() if data == seed.setting)
    others = [
        f"{count} of {submission} on {shown(data)} data"
        for (submission, data), count in sorted(counts.items())
        if data != seed.setting
    ]
    if unknown := sum(not trial.facts for trial in trials):
        others.append(f"{unknown} without records")
    found = f"The data seed that was given is that of {matching} of {len(trials)} trials"
    if others and is_strict:
        raise UsageError(
            f"--strict: {found}; not of {', '.join(others)}. Give the seed of all, or leave out others."
        )
    return f"{found} (hash {seed.commitment[:DIGITS]})" + (
        f"; not of {', '.join(others)}." if others else "."
    )
