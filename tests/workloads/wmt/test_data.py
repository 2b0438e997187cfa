import dataclasses
import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from algoperf import registry
from algoperf.spec import UsageError
from workloads.wmt import corpus, data, encoding, metrics, tokenizer

ROOT = Path(__file__).resolve().parents[3]


def batches(spec, folder, count, seed=0, batch_size=16, state=None):
    stream = data.train_stream(spec, folder, seed, batch_size)
    if state is not None:
        stream.set_state(state)
    return [next(stream) for _ in range(count)]


def assert_equal(first, second):
    for left, right in zip(first, second, strict=True):
        assert left.keys() == right.keys()
        for key in left:
            np.testing.assert_array_equal(left[key], right[key], err_msg=key)


def sentences_of(rows, segmentation):
    """The sentences in packed rows, as tuples of ids."""
    found = []
    for row, segments in zip(rows, segmentation, strict=True):
        found += [tuple(row[segments == place].tolist()) for place in range(1, segments.max() + 1)]
    return found


def test_batches_have_the_promised_keys_shapes_and_types(small, folder):
    (batch,) = batches(small, folder, 1)
    sides = [f"{side}{part}" for side in ("inputs", "targets") for part in ("", "_position", "_segmentation")]
    assert sorted(batch) == sorted([*sides, "weights"])
    assert {(array.shape, array.dtype) for array in batch.values()} == {((16, 32), np.dtype(np.int32))}
    np.testing.assert_array_equal(batch["weights"], batch["targets"] > 0)


def test_the_same_seed_gives_the_same_batches_and_another_seed_others(small, folder):
    assert_equal(batches(small, folder, 5), batches(small, folder, 5))
    assert (batches(small, folder, 1)[0]["inputs"] != batches(small, folder, 1, seed=1)[0]["inputs"]).any()


def test_the_stream_continues_exactly_from_any_saved_position(small, folder):
    stream = data.train_stream(small, folder, seed=3, global_batch_size=16)
    states, expected = [], []
    for _ in range(80):  # More than one epoch.
        states.append(json.loads(json.dumps(stream.state())))
        expected.append(next(stream))
    for position in (0, 1, 7, 40, 62, 79):
        assert_equal(
            batches(small, folder, 80 - position, seed=3, state=states[position]), expected[position:]
        )


def test_rows_do_not_depend_on_the_batch_size(small, folder):
    few, many = batches(small, folder, 6, batch_size=10), batches(small, folder, 2, batch_size=30)
    for key in few[0]:
        np.testing.assert_array_equal(
            np.concatenate([batch[key] for batch in few]), np.concatenate([batch[key] for batch in many])
        )


def test_an_epoch_shows_every_training_pair_once(small, folder):
    pairs = encoding.load_pairs(folder, "train")
    split = lambda side: [tuple(s.tolist()) for s in np.split(side.tokens, side.offsets[1:-1])]  # noqa: E731
    stored = list(zip(split(pairs.inputs), split(pairs.targets), strict=True))
    seen, stream = [], data.train_stream(small, folder, seed=0, global_batch_size=16)
    while len(seen) < 2 * len(stored):
        batch = next(stream)
        sides = [sentences_of(batch[side], batch[f"{side}_segmentation"]) for side in ("inputs", "targets")]
        seen += zip(*sides, strict=True)
    epochs = [seen[: len(stored)], seen[len(stored) : 2 * len(stored)]]
    assert all(sorted(epoch) == sorted(stored) for epoch in epochs)
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize(("split", "count"), [("eval_train", 40), ("validation", 60), ("test", 50)])
def test_evaluation_shows_every_sentence_once_whatever_the_batch_size(small, folder, split, count):
    rows = {}
    for batch_size in (16, 50, 64):
        found = list(data.eval_batches(small, folder, split, batch_size))
        assert {batch["inputs"].shape for batch in found} == {(batch_size, 32)}
        real = [batch["inputs"][batch["weights"].any(axis=1)] for batch in found]
        rows[batch_size] = np.concatenate(real)
        assert len(rows[batch_size]) == count
    np.testing.assert_array_equal(rows[16], rows[64])
    np.testing.assert_array_equal(rows[16], rows[50])
    assert len(np.unique(rows[16], axis=0)) == count
    lengths = (rows[16] > 0).sum(axis=1)
    assert (np.diff(lengths) <= 0).all()


def test_prepared_ids_decode_to_the_raw_sentences(small, folder):
    text = tokenizer.load(encoding.model_path(folder))
    raw = list(corpus.RawSplit(folder / "raw", "validation").pairs())
    pairs = encoding.load_pairs(folder, "validation")
    for position, pair in enumerate(raw):
        for side, sentence in zip((pairs.inputs, pairs.targets), pair, strict=True):
            ids = side.tokens[side.offsets[position] : side.offsets[position + 1]]
            assert ids[-1] == tokenizer.EOS_ID
            assert text.decode(ids[None].astype(np.int32)) == [sentence]


def test_nothing_of_the_mini_corpus_is_too_long(small, folder):
    counts = data.verify(small, folder, progress=False)
    assert {split: entry["kept"] for split, entry in counts.items()} == {
        "train": 1500,
        "validation": 60,
        "test": 50,
    }


def test_all_mini_variants_and_all_full_variants_share_their_data(small, folder):
    for name in registry.names():
        if registry.get(name).family == "wmt":
            spec = registry.get(name)
            base = registry.get("wmt_mini" if spec.is_mini else "wmt")
            assert data.DATA.config(spec) == data.DATA.config(base), name
    assert data.is_ready(small, folder)


def test_preparing_again_gives_the_same_files(small, folder, tmp_path):
    shutil.copytree(folder / "raw", tmp_path / "raw")
    data.prepare(small, tmp_path, progress=False)
    assert (tmp_path / "manifest.json").read_bytes() == (folder / "manifest.json").read_bytes()


def test_parallel_and_interrupted_preparation_gives_the_same_files(small, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(encoding, "PAIRS_PER_PART", 400)
    shutil.copytree(folder / "raw", tmp_path / "raw")
    encode, left = encoding._encode_part, [2]

    def interrupted(*arguments):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return encode(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(encoding, "_encode_part", interrupted)
        patch.setattr(encoding, "MAX_PARTS_IN_PROCESS", 100)
        with pytest.raises(KeyboardInterrupt):
            data.prepare(small, tmp_path, progress=False)
    assert not data.is_ready(small, tmp_path)
    assert len(list((tmp_path / "parts").glob("*/*.npz"))) == 2
    monkeypatch.setattr(tokenizer, "train", None)  # The vocabulary is there already.
    data.prepare(small, tmp_path, progress=False)  # In worker processes: more than a few parts are left.
    files = [json.loads((path / "manifest.json").read_text())["files"] for path in (folder, tmp_path)]
    assert files[0] == files[1]
    assert not (tmp_path / "parts").exists()


def test_a_missing_or_cut_file_means_not_ready_and_a_changed_one_is_found(small, folder, tmp_path):
    copy = tmp_path / "wmt_mini"
    shutil.copytree(folder, copy)
    path = copy / "train_inputs_tokens.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert data.is_ready(small, copy)
    with pytest.raises(
        UsageError, match=r"Damaged in .*: train_inputs_tokens\.npy\. Delete them, then: python"
    ):
        data.verify(small, copy, progress=False)
    path.write_bytes(content[:-1])
    assert not data.is_ready(small, copy)


def test_another_size_of_vocabulary_or_corpus_means_not_ready(small, folder):
    assert not data.is_ready(registry.get("wmt_mini"), folder)
    assert not data.is_ready(dataclasses.replace(small, model={**small.model, "vocab_size": 500}), folder)


def test_missing_data_are_refused_with_the_folder_and_the_command(tmp_path):
    folder = tmp_path / "wmt"
    command = f"python datasets/dataset_setup.py --dataset=wmt --data_dir={tmp_path}"
    calls = [
        lambda spec: data.train_stream(spec, folder, 0, 4),
        lambda spec: data.eval_batches(spec, folder, "test", 4),
        lambda spec: data.verify(spec, folder),
        lambda spec: data.prepare(spec, folder),
    ]
    for call in calls:
        with pytest.raises(UsageError) as error:
            call(registry.get("wmt_post_ln"))
        assert str(folder) in str(error.value)
        assert str(error.value).endswith(command)


def test_an_unknown_split_is_refused(small, folder):
    with pytest.raises(UsageError, match="the nearest is 'validation'"):
        data.eval_batches(small, folder, "validaton", 4)


def test_raw_data_of_another_size_are_refused(small, folder):
    other = dataclasses.replace(small, num_test_examples=51)
    with pytest.raises(UsageError, match=r"split 'test', has 50 pairs; 51 are expected"):
        data.prepare(other, folder, progress=False)
    assert data.is_ready(small, folder)


def test_training_from_prepared_files_loads_no_framework_and_no_tfds(folder):
    heavy = {"jax", "torch", "tensorflow", "tensorflow_datasets", "array_record"}
    code = f"""
import sys, dataclasses
sys.path.insert(0, {str(ROOT)!r})
from workloads.wmt import data, metrics
from algoperf import registry
spec = dataclasses.replace(registry.get("wmt_mini"), num_train_examples=1500, num_validation_examples=60,
                           num_test_examples=50, num_eval_train_examples=40)
next(data.train_stream(spec, {str(folder)!r}, 0, 4))
metrics.make_metrics(spec, {str(folder)!r})
print({heavy!r} & set(sys.modules))
"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def test_perfect_translations_score_100_on_every_split(small, folder):
    for split in ("eval_train", "validation", "test"):
        perfect = metrics.make_metrics(small, folder)
        for batch in data.eval_batches(small, folder, split, 16):
            num_tokens = batch["weights"].sum(axis=1)
            outputs = {"loss": 2.0 * num_tokens, "correct": num_tokens, "hypotheses": batch["targets"]}
            perfect.update(batch, outputs)
        assert perfect.result() == {"loss": 2.0, "accuracy": 1.0, "bleu": 100.0}


def test_groups_cross_the_end_of_an_epoch_without_a_seam(small, folder):
    stream = data.train_stream(small, folder, seed=5, global_batch_size=8)
    size = len(encoding.load_pairs(folder, "train"))
    groups = [stream._indices(group) for group in range(3 * size // small.data.pack_group)]
    order = np.array(list(itertools.chain.from_iterable(groups)))
    for epoch in (0, 1):
        assert sorted(order[epoch * size : (epoch + 1) * size]) == list(range(size))
