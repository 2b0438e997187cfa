import numpy as np
import pytest

from algoperf.spec import UsageError
from workloads.wmt import corpus, tokenizer


def numbered(pairs):
    return lambda builder: enumerate(pairs)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Five shards of 40 or so pairs; every tenth has an empty side."""
    path = tmp_path_factory.mktemp("raw")
    pairs = [(f"Satz {i}", f"sentence {i}" if i % 10 else "") for i in range(203)]
    corpus.write_dataset(path, "wmt17_translate", {"train": numbered(pairs)}, num_shards=5, progress=False)
    return path


def test_written_files_are_read_by_tfds_itself(raw):
    import tensorflow_datasets as tfds

    builder = tfds.builder("wmt17_translate/de-en:1.0.0", data_dir=raw, file_format="array_record")
    source = builder.as_data_source("train")
    assert len(source) == 203
    assert set(source[0]) == {"de", "en"}
    assert len(builder.info.splits["train"].shard_lengths) == 5


def test_reading_gives_every_pair_that_has_both_sides(raw):
    split = corpus.RawSplit(raw, "train")
    assert len(split) == 203
    assert set(split.pairs()) == {(f"Satz {i}", f"sentence {i}") for i in range(203) if i % 10}


def test_ranges_together_are_the_whole(raw):
    split = corpus.RawSplit(raw, "train")
    parts = [pair for start in range(0, 203, 50) for pair in split.pairs(start, min(start + 50, 203))]
    assert parts == list(split.pairs())


def test_the_order_is_that_of_an_unshuffled_tfds_read():
    # tf.data's interleave with cycle_length=16 and block_length=16, written as a loop over shards.
    lengths = [50, 16, 33, 0, 1]
    shards = [list(range(sum(lengths[:i]), sum(lengths[: i + 1]))) for i in range(len(lengths))]
    expected = []
    while any(shards):
        for shard in shards:
            expected += shard[:16]
            del shard[:16]
    assert corpus.reading_order(lengths).tolist() == expected


def test_more_shards_than_tfds_reads_in_turn_are_refused():
    with pytest.raises(UsageError, match="more than 16 shards"):
        corpus.reading_order([1] * 17)


def test_missing_raw_data_and_splits_are_refused(raw, tmp_path):
    with pytest.raises(UsageError, match=r"No raw WMT data \(wmt14_translate\) in "):
        corpus.RawSplit(tmp_path, "test")
    corpus.write_dataset(tmp_path, "wmt14_translate", {"test": numbered([("a", "b")])}, progress=False)
    with pytest.raises(UsageError, match="has no split 'validation'"):
        corpus.RawSplit(tmp_path, "validation")


def test_without_tfds_the_message_says_what_to_install(raw, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorflow_datasets", None)
    with pytest.raises(UsageError, match=r"pip install -e \.\[data\]"):
        corpus.RawSplit(raw, "train")


def test_training_text_stops_after_the_pair_that_reaches_the_bytes():
    pairs = [("äh", "ab"), ("cd", "ef"), ("gh", "ij")]
    assert list(tokenizer.training_text(pairs, 8)) == ["äh", "ab", "cd", "ef"]
    assert list(tokenizer.training_text(pairs, 7)) == ["äh", "ab"]  # 4 + 3 bytes with newlines.


def test_the_vocabulary_has_its_size_covers_all_characters_and_is_the_same_every_time(tmp_path):
    rng = np.random.default_rng(0)
    words = ["Straße", "größer", "house", "the", "naïve", "cats", "läuft", "über"]
    lines = [" ".join(rng.choice(words, 6)) for _ in range(300)]
    first, second = tokenizer.train(lines, 30), tokenizer.train(lines, 30)
    assert first == second
    (tmp_path / "model").write_bytes(first)
    text = tokenizer.load(tmp_path / "model")
    assert text.vocab_size == 30
    encoded = text.encode(lines)
    assert not any(0 in ids for ids in encoded)
    assert {ids[-1] for ids in encoded} == {tokenizer.EOS_ID}
