"""Draws -> intervals, ranks, claims and tie groups."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algoperf.spec import UsageError
from scoring import intervals
from scoring.intervals import Scorers
from scoring.uncertainty import Studies

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "interval_coverage.py"


@given(st.lists(st.sampled_from([0.1, 0.5, 0.9]), min_size=1, max_size=6))
def test_ranks_count_who_is_better(scores):
    expected = [1 + sum(other > own for other in scores) for own in scores]
    assert intervals.ranks(np.array(scores)).tolist() == expected


def test_scores_that_are_equal_up_to_rounding_share_a_rank():
    assert intervals.ranks(np.array([0.1 + 0.2, 0.3, 0.3 + 1e-9, 0.0])).tolist() == [2, 2, 1, 4]


def test_claims_are_made_from_the_surest_down_while_all_hold_at_once():
    rng = np.random.default_rng(0)
    # 0 is far above all; 1 and 2 are nearly the same; 3 is far below.
    scores = rng.normal([0.9, 0.5, 0.49, 0.1], 0.03, (4000, 4))
    above, clear, needed = intervals.tell_apart(scores, 3)
    assert clear.tolist() == [
        [False, True, True, True],
        [False, False, False, True],
        [False, False, False, True],
        [False, False, False, False],
    ]
    np.testing.assert_allclose(above + above.T, 1)
    assert 0.5 < above[1, 2] < 0.7
    assert needed[1, 2] > 100
    assert needed[0, 3] == 4  # One more than there are: fewer cannot be promised.
    assert intervals.tie_groups(clear, [0, 1, 2, 3]).tolist() == [1, 2, 2, 3]


def test_all_claims_hold_in_95_percent_of_the_draws_at_once():
    scores = np.random.default_rng(1).normal(np.linspace(0.2, 0.8, 12), 0.05, (3000, 12))
    _, clear, _ = intervals.tell_apart(scores, 5)
    row, column = np.nonzero(clear)
    assert 0.94 < (scores[:, row] > scores[:, column]).all(axis=1).mean() < 0.97


def test_exact_ties_are_never_told_apart():
    above, clear, _ = intervals.tell_apart(np.zeros((100, 3)), 3)
    assert not clear.any()
    assert (above == 0.5).all()


def estimate(num_samples=300, times=(10.0, 20.0), exact=()):
    """A field of three studies on one workload; those of the rows in `exact` are known as medians only."""
    values = np.array([[[time, 1.1 * time, 0.9 * time]] for time in times])
    counts, is_exact = np.full((len(times), 1), 3), np.zeros((len(times), 1), dtype=bool)
    for row in exact:
        values[row], counts[row], is_exact[row] = [times[row], np.nan, np.nan], 1, True
    studies = Studies(values, counts, is_exact)

    def score(samples):
        return np.clip((4 - samples[..., 0] / samples.min(axis=-2)) / 3, 0, 1)

    points = score(np.nanmedian(values, axis=-1)[None])[0]
    return intervals.estimate(
        studies, np.array([100.0]), Scorers(score), points, num_samples=num_samples, seed=0
    ), points


def test_an_interval_contains_the_reported_score_and_ranks_of_clear_pairs_are_sure():
    found, points = estimate()
    assert (found.score.low <= points).all()
    assert (points <= found.score.high).all()
    assert found.rank.low.tolist() == found.rank.high.tolist() == [1, 2]
    assert not found.is_default_spread


def test_published_medians_do_not_count_as_fields_of_one_study():
    found, _ = estimate(times=(10.0, 20.0, 21.0, 22.0), exact=(1, 2, 3))
    assert found.num_studies == 3


def test_more_samples_than_fit_into_memory_are_refused_with_the_number_that_does(monkeypatch):
    monkeypatch.setattr(intervals, "MAX_SCORES", 1000)
    with pytest.raises(UsageError, match="give 500 at most"):
        estimate(num_samples=501)


def test_draws_in_chunks_are_as_many(monkeypatch):
    monkeypatch.setattr(intervals, "CHUNK_SIZE", 64)
    found, _ = estimate(num_samples=101)
    assert found.num_samples == 101
    assert found.clear.tolist() == [[False, True], [False, False]]


def test_the_bias_of_noise_upon_noise_is_taken_back():
    scores = np.array([[0.4, 0.0], [0.6, 0.0]])
    np.testing.assert_allclose(
        intervals.corrected(scores, np.full((2, 2), [0.55, 0.0])), [[0.44, 0.0], [0.66, 0.0]]
    )


@pytest.mark.parametrize("number", [1, 3])
def test_intervals_cover_the_truth_of_simulated_fields(number):
    spec = importlib.util.spec_from_file_location("interval_coverage", BENCHMARK)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    arguments = benchmark.parser().parse_args(["--fields=25", "--samples=300"])
    row = benchmark.simulate(benchmark.measured("v0.5 logs"), number, arguments)
    assert float(row[1]) > 0.9  # 275 intervals: 0.95 less four standard deviations.
