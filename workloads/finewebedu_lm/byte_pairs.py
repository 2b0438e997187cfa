"""Byte-level BPE: GPT-2's pieces for the real data, and pieces that are trained here for the mini version.

Text is encoded by `tiktoken`, a pure function of a table of pieces. Source of the method: Radford et al. 2019, Language
Models are Unsupervised Multitask Learners, section 2.2.

`tiktoken` is imported inside the functions that need it: training only reads prepared files.
"""

import base64
import collections
import functools
import hashlib
import heapq
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from algoperf import files
from algoperf.spec import UsageError

if TYPE_CHECKING:
    import tiktoken

END_OF_TEXT = "<|endoftext|>"
"""The last piece of every vocabulary, after each document; the same characters in a text are ordinary ones."""
PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""GPT-2's: what pieces never reach beyond, words with the space before them above all."""
GPT2_SHA256 = "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"
"""Of the published list of merges, vocab.bpe."""

Pieces = Mapping[bytes, int]
"""Piece -> its number; of two pieces side by side that make a third, the pair whose third has the least is joined."""


# ---- GPT-2 -----------------------------------------------------------------------------------------------------------


def read_gpt2(path: Path) -> dict[bytes, int]:
    """The 50,256 pieces of GPT-2 from its list of merges.

    Raises:
      UsageError: if the file is missing or another one.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"GPT-2's list of merges is not in {path}.") from None
    if hashlib.sha256(content).hexdigest() != GPT2_SHA256:
        raise UsageError(f"{path} is not GPT-2's list of merges. Delete it, and fetch it again.")
    byte_of = _bytes_of_characters()
    pieces = {bytes([byte]): number for number, byte in enumerate(byte_of.values())}
    for line in content.decode().split("\n")[1:-1]:
        pieces[bytes(byte_of[character] for character in line.replace(" ", ""))] = len(pieces)
    return pieces


def _bytes_of_characters() -> dict[str, int]:
    """Character that stands for a byte in GPT-2's files -> the byte, in the order of its first 256 pieces."""
    shown = [byte for byte in range(256) if chr(byte).isprintable() and byte != ord(" ")]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {
        chr(256 + number): byte for number, byte in enumerate(hidden)
    }


# ---- training --------------------------------------------------------------------------------------------------------


def words_of(texts: Iterable[str]) -> collections.Counter[bytes]:
    """How often each stretch of text that pieces do not reach beyond occurs."""
    import regex

    pattern = regex.compile(PATTERN)
    counts: collections.Counter[str] = collections.Counter()
    for text in texts:
        counts.update(pattern.findall(text))
    return collections.Counter({word.encode(): count for word, count in counts.items()})


def train(words: Mapping[bytes, int], num_pieces: int) -> dict[bytes, int]:
    """The single bytes, and pairs of pieces that are joined one after the other, each time the most frequent.

    The same words and counts give the same pieces: of equally frequent pairs the least in order of bytes is taken.

    Args:
      words: what pieces do not reach beyond -> how often it occurs.
      num_pieces: at least 256.

    Raises:
      UsageError: if the words have fewer pairs.

    >>> sorted(train({b"abab": 2, b"ab": 1, b"cd": 1}, 258).items(), key=lambda item: item[1])[256:]
    [(b'ab', 256), (b'abab', 257)]
    """
    pieces = {bytes([byte]): byte for byte in range(256)}
    split = [[bytes([byte]) for byte in word] for word in words]
    counts = list(words.values())
    frequency: collections.Counter[tuple[bytes, bytes]] = collections.Counter()
    places: dict[tuple[bytes, bytes], set[int]] = collections.defaultdict(set)
    for index, parts in enumerate(split):
        for pair in zip(parts, parts[1:]):
            frequency[pair] += counts[index]
            places[pair].add(index)
    queue = [(-count, pair) for pair, count in frequency.items()]
    heapq.heapify(queue)
    while len(pieces) < num_pieces:
        if not queue:
            raise UsageError(
                f"The text has {len(pieces):,} pieces at most, fewer than the {num_pieces:,} wanted."
            )
        count, pair = heapq.heappop(queue)
        if -count != frequency[pair] or not frequency[pair]:
            continue  # It has become rarer since; its new count is in the queue, too.
        joined = pair[0] + pair[1]
        pieces.setdefault(joined, len(pieces))
        changed: set[tuple[bytes, bytes]] = set()
        for index in places.pop(pair):
            before, split[index] = split[index], _merged(split[index], pair)
            for old in zip(before, before[1:]):
                frequency[old] -= counts[index]
                changed.add(old)
            for new in zip(split[index], split[index][1:]):
                frequency[new] += counts[index]
                places[new].add(index)
                changed.add(new)
        frequency[pair] = 0
        for one in changed:
            if frequency[one] > 0:
                heapq.heappush(queue, (-frequency[one], one))
    return pieces


def _merged(parts: list[bytes], pair: tuple[bytes, bytes]) -> list[bytes]:
    found: list[bytes] = []
    index = 0
    while index < len(parts):
        if index + 1 < len(parts) and (parts[index], parts[index + 1]) == pair:
            found.append(parts[index] + parts[index + 1])
            index += 2
        else:
            found.append(parts[index])
            index += 1
    return found


# ---- vocabularies ----------------------------------------------------------------------------------------------------


def save(path: Path, pieces: Pieces) -> None:
    """Writes one piece a line, in base64, with its number."""
    lines = [f"{base64.b64encode(piece).decode()} {number}\n" for piece, number in pieces.items()]
    files.write_text(path, "".join(lines))


@functools.lru_cache(maxsize=4)
def load(path: Path) -> "tiktoken.Encoding":
    """The encoding with the pieces that `save` has written, and `END_OF_TEXT` as the last."""
    import tiktoken

    pieces = {}
    for line in path.read_text().splitlines():
        piece, number = line.split()
        pieces[base64.b64decode(piece)] = int(number)
    # Possessive quantifiers, which tiktoken's pattern matcher takes, match the same and never look back.
    return tiktoken.Encoding(
        path.name,
        pat_str=r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
        mergeable_ranks=pieces,
        special_tokens={END_OF_TEXT: len(pieces)},
    )
