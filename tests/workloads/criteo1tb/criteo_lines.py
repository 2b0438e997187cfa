"""The rules of AlgoPerf's Criteo pipeline once more, in plain Python, and lines to try them on."""

import dataclasses
import gzip
import struct

import numpy as np

from algoperf import registry
from workloads.criteo1tb.workload import BUCKET_COUNTS

MASK = 2**64 - 1
K0, K1, K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F

# The mini workload, with few lines.
SMALL = dataclasses.replace(
    registry.get("criteo1tb_mini"),
    num_train_examples=1_000,
    num_eval_train_examples=96,
    num_validation_examples=70,
    num_test_examples=50,
)


def plain_fingerprint_64(text):
    """Up to 32 bytes, from the published definition, with Python's integers."""

    def word(start, size=8):
        return int.from_bytes(text[start : start + size], "little")

    def rotate(value, shift):
        value &= MASK
        return (value >> shift | value << (64 - shift)) & MASK

    def mix(u, v, factor):
        a = (u ^ v) * factor & MASK
        a ^= a >> 47
        b = ((v & MASK) ^ a) * factor & MASK
        b ^= b >> 47
        return b * factor & MASK

    length = len(text)
    factor = (K2 + 2 * length) & MASK
    if length > 16:
        a, b = word(0) * K1 & MASK, word(8)
        c, d = word(length - 8) * factor & MASK, word(length - 16) * K2 & MASK
        return mix(
            (rotate(a + b, 43) + rotate(c, 30) + d) & MASK, (a + rotate(b + K2, 18) + c) & MASK, factor
        )
    if length >= 8:
        a, b = (word(0) + K2) & MASK, word(length - 8)
        return mix((rotate(b, 37) * factor + a) & MASK, (rotate(a, 25) + b) * factor & MASK, factor)
    if length >= 4:
        return mix((length + (word(0, 4) << 3)) & MASK, word(length - 4, 4), factor)
    if length:
        y, z = text[0] + (text[length // 2] << 8), length + (text[-1] << 2)
        value = (y * K2 ^ z * K0) & MASK
        return (value ^ value >> 47) * K2 & MASK
    return K2


def plain_example(line):
    """One line -> (39 float32 inputs, float32 label)."""
    fields = ["" if field == b"-1" else field.decode() for field in line.split(b"\t")]
    assert len(fields) == 40
    numbers = [np.float32(field or 0) for field in fields[:14]]
    dense = [np.float32(np.log(np.float64(max(x, np.float32(0)) + np.float32(1)))) for x in numbers[1:]]
    buckets = [
        plain_fingerprint_64(f"{field or '00000000'}{column}".encode()) % count
        for column, (field, count) in enumerate(zip(fields[14:], BUCKET_COUNTS, strict=True))
    ]
    return np.array(dense + [np.float32(bucket) for bucket in buckets], np.float32), numbers[0]


def make_line(label=b"0", numbers=(), tokens=None):
    """A line with the given fields and nothing in the others."""
    numbers = [*numbers, *[b""] * (13 - len(numbers))]
    return b"\t".join([label, *numbers, *((tokens or {}).get(column, b"") for column in range(26))])


def random_lines(num_lines, seed=0):
    rng = np.random.default_rng(seed)
    lines = []
    for number in range(num_lines):
        counts = np.exp(rng.uniform(0, 12, 13)).astype(int)
        numbers = [b"" if rng.random() < 0.2 else b"%d" % count for count in counts]
        tokens = {
            column: struct.pack(">I", token).hex().encode()
            for column, token in enumerate(rng.integers(0, 2**32, 26))
            if rng.random() < 0.9
        }
        lines.append(make_line(b"%d" % (number % 3 == 0), numbers, tokens))
    return lines


def write_days(folder, lines_per_day):
    """day_N.gz in `folder`, one per list of lines."""
    folder.mkdir(parents=True, exist_ok=True)
    for day, lines in enumerate(lines_per_day):
        text = b"".join(line + b"\n" for line in lines)
        (folder / f"day_{day}.gz").write_bytes(gzip.compress(text, mtime=0))
