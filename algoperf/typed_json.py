"""JSON of other people -> objects with checked types, and one clause that says what is wrong with it and where.

Every file that may have been written by hand, cut by a full disk, or copied from somewhere else goes through `typed`:
suites, records of campaigns, summaries, manifests. The types are those of the dataclass that takes the content.
"""

import dataclasses
import difflib
import functools
import math
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

MAX_SHOWN = 60
"""Characters of a value that a message shows."""


class MalformedError(ValueError):
    """Content of another form than is needed; the message is a clause with the place, what was found and wanted."""


def typed(kind: type[T], content: object, *, allows_others: bool = False) -> T:
    """A dataclass from the content of a JSON object.

    Args:
      kind: the dataclass. The hints of its fields decide what is accepted: a bool is no number, a whole number is a
        float, and every number is finite. What the dataclass itself checks is checked as well.
      content: as `json` reads it.
      allows_others: passes over keys that the dataclass has not, as a later version may write; otherwise they are
        refused with the nearest name.

    Raises:
      MalformedError: names the key.

    >>> @dataclasses.dataclass
    ... class Span:
    ...     first: int
    ...     last: int | None = None
    >>> typed(Span, {"first": 3})
    Span(first=3, last=None)
    >>> typed(Span, {"first": True})
    Traceback (most recent call last):
    algoperf.typed_json.MalformedError: 'first' must be a whole number, got true
    >>> typed(Span, {"first": 3, "lst": 4})
    Traceback (most recent call last):
    algoperf.typed_json.MalformedError: it has a key 'lst' that means nothing; the nearest is 'last'
    """
    return _dataclass(kind, content, "", allows_others)


def value_of(hint: Any, content: object, where: str = "", *, allows_others: bool = False) -> Any:
    """The value of a JSON content under a type hint, such as `dict[str, float]`; `where` names it in messages.

    >>> value_of(list[str], ["a", 1], "names")
    Traceback (most recent call last):
    algoperf.typed_json.MalformedError: 'names[1]' must be a text, got 1
    """
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _dataclass(hint, content, where, allows_others)
    if hint in _PLAIN:
        return _plain(hint, content, where)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return _one_of(arguments, content, where, allows_others)
    if typing.is_typeddict(hint):
        return _typed_dict(hint, content, where, allows_others)
    if origin in (tuple, list, Sequence) or hint in (tuple, list):
        if not isinstance(content, (list, tuple)):
            raise _wrong(where, "a list", content)
        inner = arguments[0] if arguments else Any
        items = [
            value_of(inner, item, f"{where}[{i}]", allows_others=allows_others)
            for i, item in enumerate(content)
        ]
        return items if origin is list or hint is list else tuple(items)
    if origin in (dict, Mapping) or hint is dict:
        inner = arguments[1] if arguments else Any
        entries = _object(content, where)
        return {
            key: value_of(inner, item, _join(where, key), allows_others=allows_others)
            for key, item in entries.items()
        }
    return content  # `Any`, and what only the taker understands.


_PLAIN: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    types.NoneType: "null",
}


def _plain(hint: type, content: object, where: str) -> Any:
    """A bool is an int to Python, and to nobody else."""
    accepted: tuple[type, ...] = (int, float) if hint is float else (hint,)
    if not isinstance(content, accepted) or (hint is not bool and isinstance(content, bool)):
        raise _wrong(where, _PLAIN[hint], content)
    if isinstance(content, (int, float)):
        check_finite(content, where)
    return content


def check_finite(number: float, where: str) -> None:
    """Raises MalformedError for NaN, infinity, and whole numbers that no float can hold."""
    try:
        is_finite = math.isfinite(number)
    except OverflowError:  # Such as 1 followed by 400 zeros.
        is_finite = False
    if not is_finite:
        raise _wrong(where, "a finite number", number)


def _one_of(hints: Sequence[Any], content: object, where: str, allows_others: bool) -> Any:
    if content is None and types.NoneType in hints:
        return None
    others = [hint for hint in hints if hint is not types.NoneType]
    if len(others) == 1:  # Its own message says more than a list of choices.
        return value_of(others[0], content, where, allows_others=allows_others)
    for hint in others:
        try:
            return value_of(hint, content, where, allows_others=allows_others)
        except MalformedError:
            continue
    raise _wrong(where, " or ".join(_PLAIN.get(hint, str(hint)) for hint in others), content)


def _dataclass(kind: type[T], content: object, where: str, allows_others: bool) -> T:
    assert dataclasses.is_dataclass(kind)
    entries = _object(content, where)
    hints = _hints(kind)
    own = {field.name: field for field in dataclasses.fields(kind) if field.init}
    missing = [
        name
        for name, field in own.items()
        if name not in entries
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise MalformedError(f"{_named(where)} lacks {', '.join(map(repr, missing))}")
    if not allows_others:
        check_keys(entries, own, where)
    values = {
        name: value_of(hints[name], entries[name], _join(where, name), allows_others=allows_others)
        for name in own
        if name in entries
    }
    try:
        return kind(**values)
    except MalformedError:
        raise
    except (TypeError, ValueError) as error:  # Of its own checks.
        raise MalformedError(f"{_named(where)} cannot be right: {str(error).rstrip('.')}") from error


def check_keys(
    entries: Mapping[str, object], known: Mapping[str, object] | Sequence[str], where: str = ""
) -> None:
    """Raises MalformedError for a key that is not known, with the nearest one, or all of few."""
    for key in entries:
        if key not in known:
            near = difflib.get_close_matches(key, list(known), n=1)
            advice = f"the nearest is {near[0]!r}" if near else f"known are {', '.join(known)}"
            raise MalformedError(f"{_named(where)} has a key {key!r} that means nothing; {advice}")


def _typed_dict(hint: Any, content: object, where: str, allows_others: bool) -> dict[str, Any]:
    entries = _object(content, where)
    hints = _hints(hint)
    missing = [name for name in hint.__required_keys__ if name not in entries]
    if missing and not allows_others:  # Of another version there may be less as well as more.
        raise MalformedError(f"{_named(where)} lacks {', '.join(map(repr, sorted(missing)))}")
    return {
        name: value_of(hints[name], item, _join(where, name), allows_others=allows_others)
        if name in hints
        else item
        for name, item in entries.items()
    }


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _object(content: object, where: str) -> Mapping[str, Any]:
    if not isinstance(content, Mapping):
        raise _wrong(where, "an object in braces", content)
    return content


def _wrong(where: str, wanted: str, found: object) -> MalformedError:
    return MalformedError(f"{_named(where)} must be {wanted}, got {shown(found)}")


def _named(where: str) -> str:
    return repr(where) if where else "it"


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def shown(value: object) -> str:
    """A JSON value in as few characters as a message has room for.

    >>> shown([1, True, None]), shown(10**400)[-12:]
    ('[1, true, null]', '00000000000…')
    """
    words = {True: "true", False: "false", None: "null"}
    if value is None or isinstance(value, bool):
        return words[value]
    if isinstance(value, (list, tuple)):
        text = f"[{', '.join(map(shown, value[:20]))}]"
    elif isinstance(value, Mapping):
        text = "{" + ", ".join(f"{key!r}: {shown(item)}" for key, item in list(value.items())[:20]) + "}"
    elif isinstance(value, int) and abs(value) >= 10**MAX_SHOWN:
        text = (
            f"1{'0' * MAX_SHOWN}" if value > 0 else f"-1{'0' * MAX_SHOWN}"
        )  # Longer ones take Python for ever.
    else:
        text = repr(value)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
