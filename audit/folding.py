"""Texts that the source puts together from parts: `"cl" + "ock"`, `"".join(...)`, `bytes.fromhex(...).decode()`."""

import ast
import base64
import binascii
import codecs
from collections.abc import Callable, Iterable

from audit.paths import UNKNOWN, is_text

MAX_TEXT = 500
METHODS: dict[str, Callable[..., str]] = {
    "lower": str.lower,
    "upper": str.upper,
    "strip": str.strip,
    "title": str.title,
    "swapcase": str.swapcase,
    "replace": str.replace,
    "decode": lambda text, *_: text,
    "encode": lambda text, *_: text,
    "removeprefix": str.removeprefix,
    "removesuffix": str.removesuffix,
}
DECODERS: dict[str, Callable[[str], str]] = {
    "base64.b64decode": lambda text: base64.b64decode(text).decode("latin-1"),
    "base64.b32decode": lambda text: base64.b32decode(text).decode("latin-1"),
    "base64.b85decode": lambda text: base64.b85decode(text).decode("latin-1"),
    "bytes.fromhex": lambda text: bytes.fromhex(text).decode("latin-1"),
    "builtins.bytes.fromhex": lambda text: bytes.fromhex(text).decode("latin-1"),
    "binascii.unhexlify": lambda text: binascii.unhexlify(text).decode("latin-1"),
    "builtins.chr": lambda number: chr(int(number)),
    "builtins.str": str,
    "sys.intern": str,
}


def combined(operator: ast.operator, left: Iterable[str], right: Iterable[str]) -> set[str]:
    """Texts that `+` and `%` give."""
    lefts, rights = ([path for path in side if is_text(path)] for side in (left, right))
    if isinstance(operator, ast.Add):
        known = [(one[1:], other[1:]) for one in lefts[:4] or ["'" + UNKNOWN] for other in rights[:4]]
        if lefts and not rights:
            known = [(one[1:], UNKNOWN) for one in lefts[:4]]
        return {f"'{one}{other}"[:MAX_TEXT] for one, other in known}
    if isinstance(operator, ast.Mod):
        filled = [one[1:] for one in rights] if len(rights) == 1 else [UNKNOWN]
        return {f"'{one[1:].replace('%s', filled[0])}" for one in lefts[:4]}
    return set()


def sliced(path: str, key: ast.AST) -> set[str]:
    """The text that a slice with constant ends gives; an empty set for everything else."""
    if not is_text(path) or not isinstance(key, ast.Slice):
        return set()
    ends = []
    for end in (key.lower, key.upper, key.step):
        try:
            ends.append(None if end is None else int(ast.literal_eval(end)))
        except (ValueError, TypeError):
            return set()
    try:
        return {"'" + path[1:][slice(*ends)]}
    except ValueError:
        return set()


def of_method(path: str, name: str, arguments: list[set[str]], joined: Iterable[str]) -> set[str]:
    """What a method of a text gives.

    Args:
      path: the text.
      name: of the method.
      arguments: what its arguments may be.
      joined: the entries of its first argument in order, for `join`.
    """
    text = path[1:]
    if name == "join":
        return {"'" + text.join(part[1:] if is_text(part) else UNKNOWN for part in joined)[:MAX_TEXT]}
    if name == "format":
        return {"'" + text.replace("{}", UNKNOWN)}
    if name not in METHODS:
        return set()
    constants = [next((one[1:] for one in options if is_text(one)), None) for options in arguments]
    try:
        return {"'" + METHODS[name](text, *constants)}
    except (TypeError, ValueError):
        return {"'" + UNKNOWN}


def decoded(function: str, argument: Iterable[str], codec: Iterable[str] = ()) -> set[str]:
    """What a function that decodes texts gives."""
    found = set()
    for path in list(argument)[:4]:
        if path[:1] not in ("'", "#"):
            continue
        try:
            if function == "codecs.decode":
                is_rot13 = any(one[1:].replace("_", "").lower() == "rot13" for one in codec if is_text(one))
                found.add("'" + (codecs.decode(path[1:], "rot13") if is_rot13 else UNKNOWN))
            elif function in DECODERS:
                found.add("'" + DECODERS[function](path[1:]))
        except (ValueError, TypeError, LookupError, OverflowError):
            found.add("'" + UNKNOWN)
    return found
