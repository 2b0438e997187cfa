"""Lines of day files become the numbers that AlgoPerf's pipeline makes of them, bit for bit."""

import numpy as np
import pytest
from criteo_lines import make_line, plain_example, plain_fingerprint_64, random_lines
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.criteo1tb import hashing, parsing
from workloads.criteo1tb.rows import RowLayout, layout_of
from workloads.criteo1tb.workload import BUCKET_COUNTS

LAYOUT = layout_of(BUCKET_COUNTS)
PARSER = parsing.Parser(LAYOUT)
HASH_VECTORS = [  # (column, token, bucket); from TensorFlow.
    (0, b"62770d79", 8_327_193),
    (0, b"", 16_124_033),
    (1, b"e21f5d58", 17_147),
    (5, b"6fcd6dcb", 1),
    (9, b"2e027dc1", 35_110_668),
    (16, b"d20856aa", 0),
    (19, b"c38e2f28", 36_634_960),  # Bucket 36,634,962: float32 has no such number.
    (25, b"", 8),
]

LONG_TEXTS = [  # From the package pyfarmhash, version 0.5.1.
    (b"click through rates are low: 33 b", 10_440_046_429_076_091_137),
    (b"0123456789" * 6, 16_491_625_745_426_164_513),
    (b"f" * 64, 10_770_967_882_191_245_989),
]


def parse(text, capacity=100):
    """-> inputs, targets, `Parsed`."""
    buffer = np.frombuffer(text + bytes(parsing.SLACK_BYTES), np.uint8)
    rows = np.zeros((capacity, LAYOUT.row_bytes), np.uint8)
    parsed = PARSER.parse(buffer, 0, len(text), rows)
    inputs = np.zeros((parsed.num_rows, 39), np.float32)
    targets = np.zeros((parsed.num_rows, 1), np.float32)
    LAYOUT.unpack(rows[: parsed.num_rows], inputs, targets)
    return inputs, targets, parsed


def problem(line):
    return parse(line + b"\n")[2].problem


# ---- values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("column", "token", "bucket"), HASH_VECTORS)
def test_hash_buckets_are_tensorflows(column, token, bucket):
    inputs, _, _ = parse(make_line(tokens={column: token}) + b"\n")
    assert inputs[0, 13 + column] == bucket


def test_integers_become_logarithms_and_missing_or_negative_ones_zero():
    inputs, targets, _ = parse(make_line(b"1", [b"5", b"110", b"", b"-1", b"-3", b"2.5", b"0"]) + b"\n")
    # From TensorFlow, whose logarithm may be off by one in the last place.
    wanted = np.array([1.7917595, 4.7095304, 0, 0, 0, 1.252763, 0], np.float32)
    np.testing.assert_array_max_ulp(inputs[0, :7], wanted, maxulp=1)
    assert targets[0, 0] == 1


@given(st.binary(max_size=hashing.MAX_LENGTH))
@settings(max_examples=100, deadline=None)
def test_the_compiled_hash_is_the_published_one(text):
    text = text[:32]
    padded = np.frombuffer(text + bytes(8), np.uint8)
    assert int(hashing.fingerprint_64(padded, 0, len(text))) == plain_fingerprint_64(text)


@pytest.mark.parametrize(("text", "wanted"), LONG_TEXTS)
def test_texts_of_33_to_64_bytes_hash_as_in_farmhash(text, wanted):
    padded = np.frombuffer(text + bytes(8), np.uint8)
    assert int(hashing.fingerprint_64(padded, 0, len(text))) == wanted


numbers = st.one_of(
    st.just(b""),
    st.just(b"-1"),
    st.integers(-3, 70_000).map(lambda x: b"%d" % x),
    st.integers(0, 2**40).map(lambda x: b"%d" % x),
    st.decimals(0, 1000, places=2).map(lambda x: str(x).encode()),
)
tokens = st.one_of(
    st.just(b""),
    st.just(b"-1"),
    st.integers(0, 2**32 - 1).map(lambda x: b"%08x" % x),
    st.text("0123456789abcdef-", min_size=1, max_size=30).map(str.encode),
)
lines = st.builds(
    lambda label, numbers, tokens: b"\t".join([label, *numbers, *tokens]),
    st.sampled_from([b"0", b"1", b""]),
    st.lists(numbers, min_size=13, max_size=13),
    st.lists(tokens, min_size=26, max_size=26),
)


@given(st.lists(lines, min_size=1, max_size=4), st.sampled_from([b"\n", b"\r\n"]))
@settings(max_examples=50, deadline=None)
def test_lines_agree_with_a_plain_transcription_of_the_rules(lines, end):
    inputs, targets, parsed = parse(b"".join(line + end for line in lines))
    assert parsed.problem is None
    assert parsed.num_rows == len(lines)
    for row, line in enumerate(lines):
        wanted, label = plain_example(line)
        np.testing.assert_array_equal(inputs[row], wanted)
        assert targets[row, 0] == label


def test_parsing_stops_at_an_unfinished_line_and_where_rows_are_full():
    lines = random_lines(5)
    text = b"\n".join(lines)  # The last one lacks its end.
    _, _, parsed = parse(text)
    assert parsed.num_rows == 4
    assert text[parsed.stop :] == lines[-1]
    _, _, parsed = parse(text, capacity=2)
    assert parsed.num_rows == 2
    assert text[parsed.stop :].startswith(lines[2])


def test_rows_with_criteos_buckets_take_116_bytes_and_hold_the_largest_buckets():
    assert LAYOUT.row_bytes == 116
    with pytest.raises(ValueError, match="26 numbers"):
        RowLayout((3, 4))
    small = layout_of([2**32] * 26)
    assert small.row_bytes == 4 * 13 + 4 * 26 + 4


# ---- refusals --------------------------------------------------------------------------------------------------


def test_a_line_with_another_number_of_fields_is_refused():
    line = make_line()
    assert problem(line + b"\t") == "has 41 tab-separated fields, not 40"
    assert problem(line.replace(b"\t", b"", 1)) == "has 39 tab-separated fields, not 40"
    assert problem(b"1\t2\t3") == "has 3 tab-separated fields, not 40"
    assert problem(b"") == "has 1 tab-separated fields, not 40"


def test_what_is_not_a_number_or_not_a_label_is_refused():
    assert problem(make_line(b"2")) == "field 1, '2', is not a label (0 or 1)"
    for text in (b"abc", b"-", b"1e5", b"1.2.3", b" 1", b"9" * 50):
        found = problem(make_line(numbers=[b"", b"", text]))
        assert found.startswith("field 4, ")
        assert found.endswith("is not a number")


def test_a_categorical_value_of_absurd_length_is_refused():
    assert problem(make_line(tokens={3: b"f" * parsing.MAX_TOKEN_BYTES})) is None
    assert "field 18" in problem(make_line(tokens={3: b"f" * (parsing.MAX_TOKEN_BYTES + 1)}))


def test_what_stands_before_a_wrong_line_is_kept():
    good = random_lines(3)
    _, _, parsed = parse(b"\n".join([*good, b"wrong", b""]))
    assert parsed.num_rows == 3
    assert parsed.stop == sum(len(line) + 1 for line in good)
