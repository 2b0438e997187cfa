"""What a trainee says of itself, made into the types that records have.

The process that trains is the submission's, which may say anything: what is none of these types is left out, and
nothing that it says ends the referee.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from algoperf.referee.channel import LARGEST

FACTS = (
    *("device", "num_devices", "global_batch_size", "per_device_layout", "dropout_of_point", "environment"),
    "compile_caches",
)
"""Keys of `recording.facts_of_process`: all else in the records is the referee's."""
MAX_CHARS = 2_000
"""Of a sentence, or of a text that a submission logs."""
MAX_SENTENCES = 50


def facts(said: Mapping[str, Any]) -> dict[str, Any]:
    """What only the process that trains can know, for the records; see `recording.facts_of_process`.

    >>> facts({"device": "cpu (2 cores)", "global_batch_size": 64, "submission_hash": "of somebody else"})
    {'device': 'cpu (2 cores)', 'global_batch_size': 64}
    """
    found = {name: said[name] for name in FACTS if name in said}
    if "global_batch_size" in found:
        found["global_batch_size"] = whole(found["global_batch_size"])
    return found


def whole(value: object) -> int:
    """A whole number from 0; 0 for everything else.

    >>> whole(64), whole(-1), whole("64"), whole(True), whole(10**400)
    (64, 0, 0, 0, 0)
    """
    return value if type(value) is int and 0 <= value <= LARGEST else 0


def seconds(value: object) -> float:
    """Seconds of a bucket; 0 for what is no finite number of them.

    >>> seconds(0.5), seconds(-0.5), seconds(float("inf")), seconds(float("nan")), seconds("1")
    (0.5, 0.0, 0.0, 0.0, 0.0)
    """
    return value if isinstance(value, float) and math.isfinite(value) and 0 < value < 1e9 else 0.0


def names(value: object) -> list[str]:
    """Texts of a list; none where it is none."""
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def sizes(value: object) -> dict[str, int]:
    """Name -> bytes; empty where it is something else."""
    return {str(name): whole(size) for name, size in value.items()} if isinstance(value, dict) else {}


def sentences(said: Iterable[object]) -> list[str]:
    """Warnings, short and few."""
    return [sentence(one) for _, one in zip(range(MAX_SENTENCES), said)]


def sentence(said: object) -> str:
    """A sentence of people's letters, short.

    >>> sentence("loss is nan" + chr(27) + "[2J")
    'loss is nan[2J'
    """
    return "".join(letter for letter in str(said)[:MAX_CHARS] if letter.isprintable() or letter in "\n\t")


def is_value(value: object) -> bool:
    """Whether it can stand in a cell of the records: a number of theirs, or a text that is not long."""
    if isinstance(value, str):
        return len(value) <= MAX_CHARS
    return isinstance(value, float) or (isinstance(value, int) and abs(value) <= LARGEST)
