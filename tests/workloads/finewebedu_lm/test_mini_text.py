"""How well the mini workload's text is predicted by counting, whose perplexities stand in the README."""

import numpy as np
import pytest

from algoperf import registry
from algoperf.data import locate
from workloads.finewebedu_lm import data

SPEC = registry.get("finewebedu_lm_mini")
# As in the README.
UNIGRAM, BIGRAM = 240.61, 21.767
# What all text says weighs as much as so many occurrences of the token before.
WEIGHT = 5.0


def perplexity(probabilities):
    return np.exp(-np.log(probabilities).mean())


@pytest.mark.slow
def test_models_that_count_are_far_from_the_target(data_dir):
    folder = locate.ready_folder(SPEC, data_dir, progress=False)
    train, validation = (data.load_sequences(SPEC, folder, split) for split in ("train", "validation"))
    size = SPEC.model.vocab_size
    counts = np.bincount(train.ravel(), minlength=size) + 1e-3
    unigram = counts / counts.sum()
    pairs = np.zeros((size, size))
    np.add.at(pairs, (train[:, :-1].ravel(), train[:, 1:].ravel()), 1)
    bigram = (pairs + WEIGHT * unigram) / (pairs.sum(axis=1, keepdims=True) + WEIGHT)
    found = (
        perplexity(unigram[validation[:, 1:]]),
        perplexity(bigram[validation[:, :-1], validation[:, 1:]]),
    )
    np.testing.assert_allclose(found, (UNIGRAM, BIGRAM), rtol=1e-3)
    assert found[1] > 1.5 * SPEC.validation_target_value
