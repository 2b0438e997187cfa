"""Batches out of the files of token numbers; what all workloads promise is tested by the conformance checks."""

import dataclasses
from collections import Counter

import numpy as np
import pytest

from algoperf.data.stream import epoch_permutation
from algoperf.spec import UsageError
from workloads.finewebedu_lm import byte_pairs, data, language, preparation, synthesis
from workloads.finewebedu_lm.metrics import TokenMetrics


def rows_of(folder, split):
    return np.fromfile(preparation.tokens_path(folder, split), "<u2").reshape(-1, 17)


def test_an_epoch_is_a_permutation_of_all_sequences(small, folder):
    stream = data.train_stream(small, folder, seed=3, global_batch_size=10)
    batches = [next(stream) for _ in range(15)]
    found = np.concatenate([np.c_[batch["inputs"], batch["targets"][:, -1:]] for batch in batches])
    np.testing.assert_array_equal(found, rows_of(folder, "train")[epoch_permutation(3, 0, 150)])
    for batch in batches:
        assert batch.keys() == {"inputs", "targets"}
        assert {value.dtype for value in batch.values()} == {np.dtype(np.int32)}
        np.testing.assert_array_equal(batch["inputs"][:, 1:], batch["targets"][:, :-1])


def test_evaluations_are_of_the_first_training_sequences_and_of_all_for_validation(small, folder):
    for split, stored, size in (("eval_train", "train", 7), ("validation", "validation", 9)):
        batches = list(data.eval_batches(small, folder, split, 4))
        inputs, targets, weights = (
            np.concatenate([batch[key] for batch in batches]) for key in ("inputs", "targets", "weights")
        )
        np.testing.assert_array_equal(inputs[:size], rows_of(folder, stored)[:size, :-1])
        np.testing.assert_array_equal(targets[:size], rows_of(folder, stored)[:size, 1:])
        assert weights[:size].all()
        assert not weights[size:].any()
    with pytest.raises(UsageError, match="Choose from eval_train, validation"):
        data.eval_batches(small, folder, "test", 4)


def test_variants_share_the_files_and_another_length_needs_others(small, folder):
    for model, is_ready in (({"qk_norm": False, "num_layers": 1}, True), ({"seq_len": 32}, False)):
        changed = dataclasses.replace(small, model={**small.model, **model})
        assert data.is_ready(changed, folder) == is_ready


def test_the_text_is_the_same_for_the_same_seed_and_another_seed_writes_other_texts_in_the_same_words():
    sizes = {"train": 20, "validation": 1}
    first = synthesis.make_documents(sizes, 16)
    assert first == synthesis.make_documents(sizes, 16)
    assert synthesis.checksum(first[:40]) == EXPECTED
    other = synthesis.make_documents(sizes, 16, seed=1)
    assert not set(first) & set(other)
    common = {
        word for word, count in Counter(" ".join(other).split()).items() if count > 20
    }  # No names, no numbers.
    assert len(common) > 20
    assert common <= set(" ".join(first).split())


EXPECTED = "78f2d8ec3482ad2ea58ae421b75f2a7d34707895a3de9201cd7c79c5ee80cfa1"


def test_documents_name_people_and_numbers_again():
    writer = language.Writer(5)
    again = []
    for _ in range(50):
        text = writer.document()
        words = text.replace(".", " ").replace(",", " ").split()
        numbers = [word for word in words if word.isdigit() and len(word) < 4]
        again.append(len(numbers) > len(set(numbers)))
        assert text.isascii()
        assert text[-1] == "."
    assert np.mean(again) > 0.5


def test_perplexity_is_that_of_real_tokens_alone_and_infinite_where_it_overflows():
    metrics = TokenMetrics()
    weights = np.array([[1, 1], [1, 0], [0, 0]], np.float32)
    metrics.update({"weights": weights}, {"loss": np.array([2.0, 4.0, np.nan], np.float32)})
    assert metrics.result() == {"loss": 2.0, "ppl": pytest.approx(np.exp(2.0))}
    assert all(np.isnan(value) for value in TokenMetrics().result().values())
    metrics.update({"weights": weights}, {"loss": np.full(3, 1e4, np.float32)})
    assert metrics.result()["ppl"] == np.inf


def test_the_mini_vocabulary_fits_its_language(small, folder):
    encoding = byte_pairs.load(preparation.vocabulary_path(folder))
    text = language.Writer(synthesis.SEED).document()
    numbers = encoding.encode_ordinary(text)
    assert len(text) / len(numbers) > 2
