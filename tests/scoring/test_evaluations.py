import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algoperf import suites
from scoring import evaluations
from scoring.evaluations import UnreadableError, parse
from scoring.results import Kind

HEADER = b"accumulated_submission_time,global_step,score,validation/loss\n"
METRIC = st.one_of(st.floats(0, 10), st.just(math.nan))  # A loss.
TIMES = st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=20, unique=True).map(sorted)


def kinds(log):
    return [kind for kind, _ in log.oddities]


@given(TIMES, st.data())
def test_what_was_written_is_read_back(times, data):
    metrics = [data.draw(METRIC) for _ in times]
    rows = [
        f"{at!r},{step},{at!r},{'' if math.isnan(metric) else repr(metric)}\n"
        for step, (at, metric) in enumerate(zip(times, metrics))
    ]
    log = parse(HEADER + "".join(rows).encode(), "loss")
    assert log.submission_time_sec == times
    assert [repr(value) for value in log.validation] == [repr(value) for value in metrics]


@given(st.integers(0, 200))
def test_a_file_cut_anywhere_gives_its_complete_rows_or_says_why_not(cut):
    whole = HEADER + b"1.5,1,1.5,0.25\n30.5,20,30.5,0.125\n"
    try:
        log = parse(whole[:cut], "loss")
    except UnreadableError:
        assert cut < len(HEADER) + 15
    else:
        complete = whole[:cut].count(b"\n") - 1
        assert log.validation == [0.25, 0.125][:complete]


def test_a_last_row_without_line_end_is_dropped_even_if_it_looks_complete():
    log = parse(HEADER + b"1,1,1,0.9\n2,2,2,0.1", "loss")
    assert log.validation == [0.9]
    assert kinds(log) == [Kind.TORN_ROW]


def test_rows_of_work_that_was_lost_are_dropped():
    log = parse(HEADER + b"1,1,1,0.9\n20,20,20,0.1\n30,30,30,0.05\n18,15,18,0.5\n33,31,33,0.2\n", "loss")
    assert log.validation == [0.9, 0.5, 0.2]
    assert kinds(log) == [Kind.SUPERSEDED_ROW]


def test_an_exact_repeat_of_a_row_counts_once():
    log = parse(HEADER + b"1,1,1,0.9\n2,2,2,0.8\n2,2,2,0.8\n", "loss")
    assert log.validation == [0.9, 0.8]


def test_two_evaluations_of_one_step_at_different_times_both_count():
    assert parse(HEADER + b"1,1,1,0.9\n2,2,2,0.8\n3,2,3,0.7\n", "loss").validation == [0.9, 0.8, 0.7]


@pytest.mark.parametrize("row", [b"5,5,5", b"5,5,5,0.1,7", b"5,5,x,0.1", b"5,5,,0.1", b"5,5,inf,0.1", b""])
def test_a_malformed_row_is_dropped_and_reported(row):
    log = parse(HEADER + b"1,1,1,0.9\n" + row + b"\n9,9,9,0.3\n", "loss")
    assert log.validation == [0.9, 0.3]
    assert kinds(log) == [Kind.BAD_ROW]


@pytest.mark.parametrize(
    "row",
    [
        b"-5,5,5,0.1",
        b"0,5,5,0.1",
        b"1_0,5,5,0.1",
        b"5,-5,5,0.1",
        b"5,1e16,5,0.1",
        b"5,5,5,1_0",
        b"0x5,5,5,0.1",
    ],
)
def test_a_time_or_step_that_nobody_can_have_measured_is_no_time(row):
    header = b"score,global_step,accumulated_submission_time,validation/loss\n"
    log = parse(header + b"1,1,1,0.9\n" + row + b"\n9,9,9,0.3\n", "loss")
    assert log.validation == [0.9, 0.3]
    assert kinds(log) == [Kind.BAD_ROW]


@pytest.mark.parametrize(
    ("metric", "value"),
    [("bleu", "-1"), ("bleu", "inf"), ("loss", "-inf"), ("accuracy", "1.5"), ("wer", "-0.1"), ("ssim", "-2")],
)
def test_a_metric_beyond_its_range_is_a_miss_and_is_told(metric, value):
    log = parse(f"score,validation/{metric}\n1,{value}\n2,0.5\n".encode(), metric)
    assert [repr(one) for one in log.validation] == ["nan", "0.5"]
    assert kinds(log) == [Kind.IMPOSSIBLE_METRIC, Kind.NAN_METRIC]


def test_a_loss_that_has_become_infinite_is_an_outcome_of_the_run():
    assert parse(HEADER + b"1,1,1,0.9\n2,2,2,inf\n", "loss").oddities == ()


def test_a_nan_cell_is_a_miss_and_is_counted():
    log = parse(HEADER + b"1,1,1,nan\n2,2,2,\n3,3,3,0.1\n", "loss")
    assert evaluations.first_hit(log.validation, suites.load("algoperf_v05").targets("criteo1tb")) == 2
    assert log.oddities == ((Kind.NAN_METRIC, "2 of 3 evaluations"),)


def test_a_clock_that_goes_back_is_reported():
    assert kinds(parse(HEADER + b"5,1,5,0.9\n3,2,3,0.8\n", "loss")) == [Kind.CLOCK_BACK]


def test_without_a_score_column_the_submission_clock_is_read():
    log = parse(b"accumulated_submission_time,validation/loss\n2.5,0.5\n", "loss")
    assert log.submission_time_sec == [2.5]
    assert math.isnan(log.global_step[0])


def test_windows_line_ends_and_integer_valued_floats_are_read():
    log = parse(b"score,global_step,validation/loss\r\n1,1.0,0.5\r\n", "loss")
    assert (log.submission_time_sec, log.global_step, log.validation) == ([1.0], [1.0], [0.5])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\n", "no column"),
        (b"score,valid", "header line is cut"),
        (HEADER, "no complete row"),
        (HEADER + b"1,1,1,0.5", "no complete row"),
        (HEADER + b"a,b,c,d\n", "no well-formed row"),
        (b"score,validation/wer\n1,1\n", "no column validation/loss"),
        (b"validation/loss\n1\n", "no column score or accumulated_submission_time"),
    ],
)
def test_a_file_without_usable_rows_says_why(content, words):
    with pytest.raises(UnreadableError, match=words):
        parse(content, "loss")


def test_equality_meets_a_target_in_both_directions():
    suite = suites.load("algoperf_v05")
    assert evaluations.first_hit([30.0, 30.8491], suite.targets("wmt")) == 1
    assert evaluations.first_hit([0.2, 0.123735], suite.targets("criteo1tb")) == 1
    assert evaluations.first_hit([math.nan, 30.0], suite.targets("wmt")) is None


def test_a_file_without_a_good_row_says_what_is_wrong_with_the_first():
    with pytest.raises(evaluations.UnreadableError, match="no well-formed row: line 2: its time is 0"):
        parse(b"score,global_step,validation/loss\n0.0,0,0.1\n", "loss")


def test_a_hit_at_time_0_is_a_malformed_row_that_says_why():
    log = parse(b"score,global_step,validation/loss\n0.0,0,0.1\n5.0,1,0.9\n", "loss")
    assert log.validation == [0.9]
    assert log.oddities == (
        (Kind.BAD_ROW, "line 2: its time is 0, and nothing is reached before the first update"),
    )
