"""Lines of a day file -> packed rows, in one pass over the bytes.

The rules are those of AlgoPerf's TensorFlow pipeline. An empty field and the literal -1 are missing values: 0 for the
label and integers, `00000000` for categorical values. An integer x becomes ln(max(x, 0) + 1) in float32. A categorical
value is concatenated with the decimal number of its column; the Fingerprint64 of that, modulo the column's number of
buckets, is its bucket.
"""

import dataclasses

import numpy as np

from algoperf.data.machine_code import compiled
from workloads.criteo1tb import hashing
from workloads.criteo1tb.rows import NUM_CATEGORICAL, NUM_DENSE, RowLayout, read_only

NUM_FIELDS = 1 + NUM_DENSE + NUM_CATEGORICAL
MAX_TOKEN_BYTES = 40
SLACK_BYTES = 64  # Readable bytes after the end of the text: tokens are loaded eight bytes at a time.
SHORTEST_LINE_BYTES = NUM_FIELDS  # All fields empty: 39 tabs and the end of the line.

OK, WRONG_FIELDS, NOT_A_NUMBER, NOT_A_LABEL, TOO_LONG = range(5)
_TAB, _NEWLINE, _RETURN, _MINUS, _PLUS, _POINT, _ZERO = (np.uint8(ord(c)) for c in "\t\n\r-+.0")
_MISSING = np.frombuffer(b"00000000", np.uint64)[0]
# For the test for a zero byte in a word: (w - 0x01..) & ~w & 0x80.. (Mycroft). XOR with eight equal
# characters turns that character into a zero byte.
_LOW_BITS, _HIGH_BITS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_TABS, _NEWLINES, _RETURNS = (_LOW_BITS * np.uint64(ord(c)) for c in "\t\n\r")
_LARGEST = float(np.finfo(np.float32).max)
_jit = compiled()


@dataclasses.dataclass(frozen=True)
class Parsed:
    """The result of `Parser.parse`."""

    num_rows: int
    stop: int
    """Position of the first byte that was not used."""
    problem: str | None
    """What is wrong with the line that starts at `stop`, or None."""


class Parser:
    """Parses text into rows of one layout; holds the look-up tables of the compiled loop."""

    def __init__(self, layout: RowLayout):
        self._layout = layout
        self._buckets = np.asarray(layout.bucket_counts, np.uint64)
        suffixes = [str(column).encode() for column in range(NUM_CATEGORICAL)]
        self._suffixes = np.zeros((NUM_CATEGORICAL, 2), np.uint8)
        for column, suffix in enumerate(suffixes):
            self._suffixes[column, : len(suffix)] = list(suffix)
        # Computed in float64 and rounded, so that every mathematical library gives the same float32.
        self._logs = np.log(np.arange(1, 2**16 + 1, dtype=np.float64)).astype(np.float32)

    def parse(self, text: np.ndarray, start: int, stop: int, rows: np.ndarray) -> Parsed:
        """Fills `rows` with the lines of text[start:stop], until the rows or the text end or a line is wrong.

        Args:
          text: uint8, with `SLACK_BYTES` more after `stop`. An incomplete last line is not used.
          start: position of the start of a line.
          stop: end of the text.
          rows: (capacity, row_bytes) uint8, zeros.
        """
        num_rows, end, code, field = _parse(
            read_only(text),
            start,
            stop,
            self._logs,
            self._buckets,
            self._suffixes,
            self._layout.widths,
            self._layout.places,
            self._layout.label_place,
            rows.view(np.float32),
            rows.view(np.uint32),
            rows.view(np.uint16),
            rows,
        )
        return Parsed(num_rows, end, None if code == OK else _describe(text, end, stop, code, field))


def _describe(text: np.ndarray, start: int, stop: int, code: int, field: int) -> str:
    line = text[start:stop].tobytes().split(b"\n", 1)[0].removesuffix(b"\r")
    fields = line.split(b"\t")
    if code == WRONG_FIELDS:
        return f"has {len(fields)} tab-separated fields, not {NUM_FIELDS}"
    name = f"field {field + 1}, {fields[field][:48].decode(errors='replace')!r},"
    if code == TOO_LONG:
        return f"{name} is longer than the {MAX_TOKEN_BYTES} bytes that a categorical value may have"
    return f"{name} is not " + ("a number" if code == NOT_A_NUMBER else "a label (0 or 1)")


@_jit
def _number(text, start, stop):
    """An optional sign, digits, and optionally a point and digits -> (is one, its value)."""
    position = start
    negative = text[position] == _MINUS
    if negative or text[position] == _PLUS:
        position += 1
    value, num_digits, scale = 0.0, 0, 1.0
    after_point = False
    while position < stop:
        digit = text[position] - _ZERO  # Wraps around below '0'.
        if digit <= 9:
            value = value * 10.0 + digit
            num_digits += 1
            if after_point:
                scale *= 10.0
        elif text[position] == _POINT and not after_point:
            after_point = True
        else:
            return False, 0.0
        position += 1
    value /= scale
    return num_digits > 0, -value if negative else value


@_jit
def _has_zero_byte(word):
    return (word - _LOW_BITS) & ~word & _HIGH_BITS


@_jit
def _end_of_field(text, start):
    position = start
    while text[position] != _TAB and text[position] != _NEWLINE:
        position += 1
    return position


@_jit
def _hash_token(text, start, stop, suffix_0, suffix_1):
    """Hash of a token of any length followed by the number of its column."""
    joined = np.empty(hashing.MAX_LENGTH, np.uint8)
    length = stop - start
    for index in range(length):  # Numba takes a second to compile a slice assignment.
        joined[index] = text[start + index]
    joined[length] = suffix_0
    length += 1
    if suffix_1:
        joined[length] = suffix_1
        length += 1
    return hashing.fingerprint_64(joined, 0, length)


@_jit
def _hash_eight(token, suffix_0, suffix_1):
    """Hash of a token of eight bytes, the usual length, followed by the number of its column; in registers only."""
    if suffix_1:
        last = (
            (token >> np.uint64(16))
            | (np.uint64(suffix_0) << np.uint64(48))
            | (np.uint64(suffix_1) << np.uint64(56))
        )
        return hashing.hash_8_to_16(token, last, 10)
    last = (token >> np.uint64(8)) | (np.uint64(suffix_0) << np.uint64(56))
    return hashing.hash_8_to_16(token, last, 9)


@_jit
def _parse(
    text, start, stop, logs, buckets, suffixes, widths, places, label_place, floats, words, halves, octets
):
    """See `Parser.parse`; returns (rows, position, error code, field)."""
    # An incomplete last line is left for the next block.
    while stop > start and text[stop - 1] != _NEWLINE:
        stop -= 1
    position = start
    row = 0
    while row < len(octets) and position < stop:
        line = position
        for field in range(1 + NUM_DENSE):
            end = _end_of_field(text, position)
            if text[end] != _TAB:
                return row, line, WRONG_FIELDS, field
            number = 0.0
            if end > position and not (
                end == position + 2 and text[position] == _MINUS and text[position + 1] == _ZERO + 1
            ):
                good, number = _number(text, position, end)
                if not good or abs(number) > _LARGEST:
                    return row, line, NOT_A_NUMBER, field
            if field == 0:
                if number != 0.0 and number != 1.0:
                    return row, line, NOT_A_LABEL, field
                octets[row, label_place] = np.uint8(number)
            else:
                # In float32 from here on, as TensorFlow computes it.
                plus_one = np.float32(max(np.float32(number), np.float32(0))) + np.float32(1)
                index = np.int64(min(plus_one, np.float32(len(logs) + 1))) - 1
                if index < len(logs) and np.float32(index + 1) == plus_one:
                    # Small counts are nearly all values, and a look-up is much faster than a logarithm.
                    floats[row, field - 1] = logs[index]
                else:
                    floats[row, field - 1] = np.float32(np.log(np.float64(plus_one)))
            position = end + 1
        for column in range(NUM_CATEGORICAL):
            suffix_0, suffix_1 = suffixes[column, 0], suffixes[column, 1]
            token = hashing.load_64(text, position)
            # Nearly all tokens have exactly eight bytes without a separator; they are hashed without a search
            # for the end.
            breaks = (
                _has_zero_byte(token ^ _TABS)
                | _has_zero_byte(token ^ _NEWLINES)
                | _has_zero_byte(token ^ _RETURNS)
            )
            end = position + 8
            if not breaks and (text[end] == _TAB or text[end] == _NEWLINE):
                hashed = _hash_eight(token, suffix_0, suffix_1)
            else:
                end = _end_of_field(text, position)
                last = end
                # A carriage return before the end of a line belongs to the line break.
                if text[end] == _NEWLINE and last > position and text[last - 1] == _RETURN:
                    last -= 1
                if last == position or (
                    last == position + 2 and text[position] == _MINUS and text[position + 1] == _ZERO + 1
                ):
                    hashed = _hash_eight(_MISSING, suffix_0, suffix_1)
                elif last - position > MAX_TOKEN_BYTES:
                    return row, line, TOO_LONG, 1 + NUM_DENSE + column
                else:
                    hashed = _hash_token(text, position, last, suffix_0, suffix_1)
            expected = _NEWLINE if column == NUM_CATEGORICAL - 1 else _TAB
            if text[end] != expected:
                return row, line, WRONG_FIELDS, 1 + NUM_DENSE + column
            bucket = hashed % buckets[column]
            if widths[column] == 4:
                words[row, places[column]] = bucket
            elif widths[column] == 2:
                halves[row, places[column]] = bucket
            else:
                octets[row, places[column]] = bucket
            position = end + 1
        row += 1
    return row, position, OK, 0
