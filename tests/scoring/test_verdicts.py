"""Better, worse or cannot tell, and how many more studies would."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from algoperf.spec import UsageError
from scoring import verdicts


def board(above, clear=0.0, num_studies=3):
    """A scored field of two, the first above the second with a chance, claimed or not."""
    claims = np.zeros((2, 2), bool)
    if clear:
        claims[(0, 1) if clear > 0 else (1, 0)] = True
    spread = SimpleNamespace(
        above=np.array([[0.5, above], [1 - above, 0.5]]),
        clear=claims,
        num_studies=num_studies,
        num_samples=1000,
    )
    return SimpleNamespace(submissions=("mine", "theirs"), uncertainty=spread)


@pytest.mark.parametrize(
    ("above", "clear", "answer", "words"),
    [
        (0.99, 1, "better", "'mine' is better than 'theirs'"),
        (0.01, -1, "worse", "'mine' is worse than 'theirs'"),
        (0.8, 0, "cannot tell", "about 8 more studies would, if the difference is as it looks now"),
    ],
)
def test_a_verdict_is_the_claim_of_the_field(above, clear, answer, words):
    found = verdicts.of(board(above, clear), "mine", "theirs")
    assert found.answer == answer
    assert words in str(found)
    assert (found.more_studies == 0) == (clear != 0)


def test_a_verdict_on_the_pair_the_other_way_round_is_the_opposite():
    found, other = (verdicts.of(board(0.8), *pair) for pair in (("mine", "theirs"), ("theirs", "mine")))
    assert found.chance == pytest.approx(1 - other.chance)
    assert found.more_studies == other.more_studies


def test_more_studies_are_wanted_the_closer_two_are_and_the_more_others_there_are():
    by_chance = [verdicts.more_studies(chance, 3) for chance in (0.94, 0.8, 0.7, 0.5)]
    assert by_chance == sorted(set(by_chance))
    by_pairs = [verdicts.more_studies(0.8, 3, num_pairs=pairs) for pairs in (1, 6, 45)]
    assert by_pairs == sorted(set(by_pairs))


def test_the_chance_of_a_claim_is_that_of_simulated_differences():
    rng = np.random.default_rng(0)
    t, factor, z = 0.7, 5.0, 1.645
    new = t + np.sqrt(1 - 1 / factor) * rng.standard_normal(200_000)
    share = np.mean(np.abs(new) > z / np.sqrt(factor))
    assert verdicts.chance_to_claim(t, factor, z) == pytest.approx(share, abs=0.005)


def test_a_number_that_nobody_runs_is_not_said():
    assert verdicts.more_studies(0.5, 200) is None
    one = verdicts.of(board(0.5, num_studies=200), "mine", "theirs")
    assert "more studies than anybody runs" in str(one)
    assert "after 1 study)" in str(dataclasses.replace(one, num_studies=1))


def test_wrong_names_and_fields_without_studies_are_refused():
    for names, words in ((("mine", "thirs"), "nearest is 'theirs'"), (("mine", "mine"), "with itself")):
        with pytest.raises(UsageError, match=words):
            verdicts.of(board(0.8), *names)
    with pytest.raises(UsageError, match="no studies"):
        verdicts.of(SimpleNamespace(submissions=("a", "b"), uncertainty=None), "a", "b")
