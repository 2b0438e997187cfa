"""Secret seeds of data: what is drawn from one, and what may be shown of it.

    python -m algoperf.data_seed > seed.txt        # a new one
    python -m algoperf.data_seed @seed.txt         # its sealed form, to be published

    seed = data_seed.parse("@/root/seed.txt")
    seed.setting         # 'sealed:9f86d0…', which records, commands and folders show
    seed.entropy         # what generators draw from; None where only the sealed form is known

A seed is a text; `0` stands for the public data. Both numbers are halves of scrypt's output, so that neither says
anything about the other, and trying a seed, against the record or against data made from it, takes as long as scrypt
(0.2 s and 64 MB). That protects long seeds, not small numbers: a thousand of them are tried in minutes. There is no
random salt: it would have to be kept beside the seed, and would be the same as a longer seed. The same seed gives
the same data everywhere, whoever makes them.
"""

import functools
import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from algoperf import commands, files
from algoperf.spec import UsageError

VARIABLE = "ALGOPERF_DATA_SEED"
"""Environment variable with the seed, for who does not want it on a command line."""
SEALED = "sealed:"
HALF_BYTES = 32
INSTANCE_DIGITS = 16
"""Digits of the commitment that name a folder."""
GUESSABLE = 12
"""Seeds of fewer characters are called guessable; 12 random hexadecimal digits are 48 bits, two million years."""
_COMMITMENT = re.compile(rf"{SEALED}([0-9a-f]{{{2 * HALF_BYTES}}})")
_SALT = b"algoperf data seed, version 1"


@dataclass(frozen=True)
class DataSeed:
    """A secret seed, or what is shown of one."""

    commitment: str
    """Which seed it is: 64 hexadecimal digits, from which it cannot be found but by trying."""
    entropy: int | None = None
    """For random generators, above 0; None where only the commitment is known."""

    @property
    def setting(self) -> str:
        """The form in which it is recorded and handed on: it names the data, and does not make them."""
        return SEALED + self.commitment

    @property
    def instance(self) -> str:
        """`WorkloadSpec.data_instance` of its data."""
        return self.commitment[:INSTANCE_DIGITS]


def parse(given: str | None) -> DataSeed | None:
    """The seed that a setting means; None for the public data.

    Args:
      given: any text, '@<file>' with one in it, the sealed form, or '0' or None for the public data.

    Raises:
      UsageError: for a file that cannot be read, an empty seed, or a sealed form that is none.
    """
    text = _text(given)
    if text is None or text == "0":
        return None
    if not text.startswith(SEALED):
        return _derived(text)
    found = _COMMITMENT.fullmatch(text)
    if found is None:
        raise UsageError(
            f"--data_seed={text} is no sealed seed: that is {SEALED!r} with the {2 * HALF_BYTES} hexadecimal digits "
            "that records and dataset_setup.py show."
        )
    return DataSeed(found[1])


def sealed_form(given: str | None) -> str | None:
    """The form of a setting that may be recorded; None for the public data."""
    seed = parse(given)
    return None if seed is None else seed.setting


def is_secret(given: str | None) -> bool:
    """Whether a setting holds a seed itself, or where it is, and not what may be shown of it."""
    return bool(given) and given != "0" and not str(given).startswith(SEALED)


def is_guessable(given: str) -> bool:
    """Whether a seed is so short that somebody with its sealed form finds it by trying.

    >>> is_guessable("17"), is_guessable("c0ffee254729296a45a3885639ac7e10")
    (True, False)
    """
    text = _text(given) or ""
    return len(text) < GUESSABLE or len(set(text)) < GUESSABLE // 2


def new() -> str:
    """A random seed that nobody guesses."""
    return secrets.token_hex(16)


def _text(given: str | None) -> str | None:
    if given is None or not given.startswith("@"):
        text = given
    else:
        path = files.expanded(given[1:])
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it holds no text"
            raise UsageError(
                f"--data_seed={given} cannot be read ({reason}): give a file with the seed in it."
            ) from None
    if text is None:
        return None
    if not text.strip():
        raise UsageError(f"--data_seed={given} is empty: give a number or a text, or leave it out.")
    return text.strip()


@functools.lru_cache(maxsize=64)
def _derived(text: str) -> DataSeed:
    cost = {"n": 2**16, "r": 8, "p": 1}
    both = hashlib.scrypt(text.encode(), salt=_SALT, maxmem=2**27, dklen=2 * HALF_BYTES, **cost)
    return DataSeed(both[:HALF_BYTES].hex(), 1 + int.from_bytes(both[HALF_BYTES:]))


def main(argv: Sequence[str]) -> None:
    """Prints a new seed, or the sealed form of the one that is given."""
    if len(argv) == 1:
        print(new())
        return
    seed = parse(argv[1])
    if seed is None:
        raise UsageError("0 stands for the public data, which need no sealed form.")
    print(seed.setting)


if __name__ == "__main__":
    commands.run(main, max_arguments=1, arguments="one seed, or @<file> with it in")
