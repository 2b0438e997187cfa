"""The SentencePiece vocabulary: what it is trained on, and what becomes of its special ids."""

import itertools

import numpy as np
import pytest
import sentencepiece

from algoperf.spec import UsageError
from workloads.librispeech import preparation, tokenizer

TEXTS = ["BAD CAB", "A CAD", "DAB A CAB", "FAD ACED", "BEAD FACE", "DEAF BEE"]


def test_training_text_ends_after_ten_million_characters():
    line = "A" * 999_999  # With its newline a million.
    lines = list(tokenizer.training_text(itertools.repeat(line)))
    assert len(lines) == 10
    longer = list(tokenizer.training_text(itertools.repeat("B" * 3_999_999)))
    assert [len(text) for text in longer] == [3_999_999, 3_999_999, 2_000_000]


def test_the_same_text_gives_the_same_model():
    assert tokenizer.train(TEXTS, 14) == tokenizer.train(TEXTS, 14)


def test_the_model_is_a_unigram_model_with_three_special_ids():
    model = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.train(TEXTS, 14))
    assert [model.id_to_piece(index) for index in range(3)] == ["<unk>", "<s>", "</s>"]
    assert model.vocab_size() == 14
    assert (model.unk_id(), model.bos_id(), model.eos_id(), model.pad_id()) == (0, 1, 2, -1)


def test_every_character_of_the_text_has_a_piece():
    model = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.train([*TEXTS, "Q"], 14))
    assert 0 not in model.encode("Q BAD")


def test_an_impossible_size_is_refused():
    with pytest.raises(UsageError, match="cannot make 4 pieces"):
        tokenizer.train(TEXTS, 4)


@pytest.fixture(scope="module")
def text(folder):
    return tokenizer.load(folder / preparation.TOKENIZER)


def test_targets_end_in_eos_and_have_no_start(text):
    for ids in text.encode(["THE MAN", "IT'S"]):
        assert ids[-1] == tokenizer.EOS_ID
        assert not {0, 1, 2} & set(ids[:-1])


def test_decoding_inverts_encoding(text):
    texts = ["THE MAN", "IT'S A TREE"]
    assert text.decode(text.encode(texts)) == texts
    assert text.decode([np.array(ids, np.float32) for ids in text.encode(texts)]) == texts


def test_start_and_end_leave_nothing_and_unknown_leaves_a_mark(text):
    (ids,) = text.encode(["THE MAN"])
    assert text.decode([[1, *ids, 2, 1]]) == ["THE MAN"]
    assert text.decode([[0]]) == [" \N{DOUBLE QUESTION MARK} "]
    assert text.decode([]) == []
    assert text.decode([[]]) == [""]
