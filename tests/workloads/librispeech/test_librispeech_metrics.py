"""Decoding, word errors and the metrics of a pass, against plain references."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads.librispeech import alignment, metrics, preparation, tokenizer, wer

VECTORS = [  # hypothesis, target, errors, words: seen in AlgoPerf
    ("THE QUICK BROWN FOX", "THE QUICK BROWN FOX", 0, 6),
    ("I DOG KNOW WHAT", "I DON'T KNOW WHAT", 3, 6),
    ("I DON'T KNOW WHAT", "I DON'T KNOW WHAT", 0, 6),
    ("", "I KNOW", 2, 4),
    ("", "", 0, 3),
]
SENTENCES = st.lists(st.sampled_from(["A", "BE", "CAN", "DO", "IT'S"]), max_size=6).map(" ".join)


@pytest.mark.parametrize(("hypothesis", "target", "errors", "words"), VECTORS)
def test_word_errors_equal_those_of_algoperf(hypothesis, target, errors, words):
    assert wer.algoperf_word_errors([hypothesis], [target]) == (errors, words)


def test_word_errors_of_a_corpus_are_sums():
    hypotheses, targets, errors, words = zip(*VECTORS, strict=True)
    assert wer.algoperf_word_errors(hypotheses, targets) == (sum(errors), sum(words))


def levenshtein(first, second):
    """The textbook's table."""
    row = list(range(len(second) + 1))
    for number, word in enumerate(first, 1):
        row, last = [number], row
        for place, other in enumerate(second, 1):
            row.append(min(last[place] + 1, row[-1] + 1, last[place - 1] + (word != other)))
    return row[-1]


@given(st.lists(st.tuples(SENTENCES, SENTENCES), max_size=4))
def test_word_errors_are_the_levenshtein_distance(pairs):
    hypotheses, references = [h for h, _ in pairs], [r for _, r in pairs]
    expected = sum(levenshtein(h.split(), r.split()) for h, r in pairs)
    assert wer.word_errors(hypotheses, references) == (expected, sum(len(r.split()) for r in references))


@given(st.lists(st.tuples(SENTENCES, SENTENCES), max_size=4))
def test_algoperf_compares_printed_tensors(pairs):
    hypotheses, references = [h for h, _ in pairs], [r for _, r in pairs]
    printed = [
        [f"tf.Tensor({text.encode()!r}, shape=(), dtype=string)".split() for text in texts]
        for texts in (hypotheses, references)
    ]
    expected = sum(levenshtein(h, r) for h, r in zip(*printed, strict=True))
    words = sum(max(len(r.split()), 1) + 2 for r in references)
    assert wer.algoperf_word_errors(hypotheses, references) == (expected, words)


def test_words_against_an_empty_reference_are_all_errors():
    assert wer.word_errors(["A B", ""], ["", ""]) == (2, 0)
    assert wer.word_errors([], []) == (0, 0)


def plainly_decoded(row):
    merged = [token for place, token in enumerate(row) if place == 0 or token != row[place - 1]]
    return [token for token in merged if token > 0]


@given(
    st.lists(st.lists(st.integers(0, 3), min_size=7, max_size=7), min_size=1, max_size=4), st.integers(1, 7)
)
def test_decoding_merges_repeats_then_drops_blanks(rows, length):
    ids = np.array(rows)
    ids[:, length:] = -1
    assert wer.greedy_decode(ids) == [plainly_decoded(row[:length]) for row in rows]


def test_decoding_no_rows_gives_none():
    assert wer.greedy_decode(np.zeros((0, 5), np.int32)) == []


# ---- a pass ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def text(folder):
    return tokenizer.load(folder / preparation.TOKENIZER)


def batch_of(text, sentences, num_padding=0, length=40):
    """Targets and outputs as a model that says the sentences would give, with blanks and repeats."""
    rows = text.encode(sentences)
    size = len(rows) + num_padding
    tokens, paddings = np.zeros((size, length), np.float32), np.ones((size, length), np.float32)
    ids = np.full((size, 4 * length), -1, np.int32)
    for row, own in enumerate(rows):
        tokens[row, : len(own)], paddings[row, : len(own)] = own, 0
        ids[row, : 4 * len(own)] = np.ravel([(0, token, token, 0) for token in own])
    weights = (np.arange(size) < len(rows)).astype(np.float32)
    loss = np.arange(size, dtype=np.float32) + 1
    batch = {"targets": (tokens, paddings), "weights": weights}
    return batch, {"loss": loss, "ids": ids}, sum(map(len, rows))


def result_of(text, *updates):
    found = metrics.SpeechMetrics(text)
    for batch, outputs in updates:
        found.update(batch, outputs)
    return found.result()


def test_a_perfect_model_has_no_errors(text):
    batch, outputs, num_tokens = batch_of(text, ["THE THIS", "THAT A"])
    assert result_of(text, (batch, outputs)) == {"wer": 0, "true_wer": 0, "ctc_loss": 3 / num_tokens}


def test_errors_count_in_words_of_either_kind(text):
    batch, outputs, _ = batch_of(text, ["THE THIS", "THAT A"])
    outputs["ids"][1] = 0  # Says nothing.
    found = result_of(text, (batch, outputs))
    assert found["true_wer"] == 2 / 4
    assert found["wer"] == 2 / 8  # Two words more per utterance; an empty one counts as one wrong word.


def test_padding_does_not_count(text):
    batch, outputs, _ = batch_of(text, ["THE THIS", "THAT A"])
    padded, padded_outputs, _ = batch_of(text, ["THE THIS", "THAT A"], num_padding=3)
    for found in (outputs, padded_outputs):
        found["ids"][0, :4] = 0
    padded_outputs["loss"][2:] = np.nan
    assert result_of(text, (padded, padded_outputs)) == result_of(text, (batch, outputs))


def test_batches_add_up(text):
    whole = batch_of(text, ["THE", "THIS", "THAT A"])
    parts = [batch_of(text, ["THE", "THIS"]), batch_of(text, ["THAT A"])]
    parts[1][1]["loss"][:] = 3
    assert result_of(text, *(part[:2] for part in parts)) == result_of(text, whole[:2])


def test_a_pass_without_real_rows_has_no_value(text):
    assert all(map(math.isnan, result_of(text).values()))


def test_metrics_find_the_tokenizer_of_the_prepared_data(small, folder, text):
    found = metrics.make_metrics(small, folder)
    found.update(*batch_of(text, ["HE"])[:2])
    assert found.result()["wer"] == 0


# ---- alignment ---------------------------------------------------------------------------------------------------


def test_frames_are_those_of_the_longest_and_shortest_utterances():
    found = alignment.num_frames(np.array([320_000, 319_999, 160, 161, 640, 641]), 320_000)
    np.testing.assert_array_equal(found, [500, 500, 1, 1, 1, 2])
    assert alignment.num_frames(np.array([40_000]), 40_000) == [62]


def test_repeats_need_a_blank_between_them_but_not_over_two_targets():
    tokens = np.array([7, 7, 7, 2, 2, 2, 5])
    np.testing.assert_array_equal(alignment.num_needed(tokens, np.array([4, 1, 2])), [6, 1, 2])
    assert alignment.count_unalignable(np.array([640 * 6, 1, 640]), tokens, np.array([4, 1, 2]), 40_000) == 1
