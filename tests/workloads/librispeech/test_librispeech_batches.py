"""Batches: shapes, paddings, order, resume, evaluation splits, and memory that is used again."""

import collections
import dataclasses
import gc
import shutil

import numpy as np
import pytest

from algoperf import registry
from algoperf.bound_workload import Workload
from algoperf.data import manifest
from algoperf.data.batch import arrays, map_arrays
from algoperf.data.prepared import num_examples
from algoperf.data.queue import TrainingQueue
from algoperf.spec import UsageError
from workloads.librispeech import buffers, data, synthesis, tokenizer, utterances


@pytest.fixture(scope="module")
def train(small, folder):
    return utterances.load_split(folder, "train")


def batches(small, folder, number, seed=0, batch_size=8):
    stream = data.train_stream(small, folder, seed, batch_size)
    return [next(stream) for _ in range(number)]


def assert_equal(first, second):
    first, second = (tuple(found) if isinstance(found, list) else found for found in (first, second))
    for one, other in zip(arrays(first), arrays(second), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_batch_is_padded_float32(small, folder):
    (batch,) = batches(small, folder, 1)
    assert set(batch) == {"inputs", "targets"}
    assert [array.shape for array in batch["inputs"]] == [(8, 40_000)] * 2
    assert [array.shape for array in batch["targets"]] == [(8, 40)] * 2
    assert {array.dtype for array in arrays(batch)} == {np.dtype(np.float32)}


def test_rows_are_samples_then_padding(small, folder, train):
    (batch,) = batches(small, folder, 1)
    by_tokens = {tuple(train.tokens(index)): index for index in range(len(train))}
    for audio, paddings, tokens, token_paddings in zip(*batch["inputs"], *batch["targets"], strict=True):
        length, num_tokens = int((1 - paddings).sum()), int((1 - token_paddings).sum())
        np.testing.assert_array_equal(paddings, np.arange(40_000) >= length)
        np.testing.assert_array_equal(token_paddings, np.arange(40) >= num_tokens)
        assert not audio[length:].any()
        assert not tokens[num_tokens:].any()
        assert tokens[num_tokens - 1] == tokenizer.EOS_ID
        assert tuple(tokens[:num_tokens].astype(int)) in by_tokens
        own = [
            index for index in range(len(train)) if tuple(train.tokens(index)) == tuple(tokens[:num_tokens])
        ]
        assert any(np.array_equal(train.samples(index), audio[:length]) for index in own)


def test_an_epoch_shows_each_utterance_at_most_once(small, folder):
    rows = [row.tobytes() for batch in batches(small, folder, 7) for row in batch["inputs"][0]]
    assert len(rows) == 56  # 60 utterances; the last 4 of the epoch fill no batch.
    assert max(collections.Counter(rows).values()) == 1


def test_the_seed_decides_the_order(small, folder):
    assert_equal(batches(small, folder, 3), batches(small, folder, 3))
    first, other = batches(small, folder, 1)[0], batches(small, folder, 1, seed=1)[0]
    assert not np.array_equal(first["inputs"][0], other["inputs"][0])


def test_a_stream_continues_with_the_very_next_batch(small, folder):
    stream = data.train_stream(small, folder, 3, 8)
    for _ in range(9):  # Into the second epoch.
        next(stream)
    state = stream.state()
    expected = [next(stream) for _ in range(3)]
    again = data.train_stream(small, folder, 3, 8)
    again.set_state(state)
    assert_equal([next(again) for _ in range(3)], expected)


def test_a_process_can_make_its_rows_only(small, folder):
    (whole,) = batches(small, folder, 1)
    stream = data.train_stream(small, folder, 0, 8)
    stream.keep_rows(slice(4, 8))
    assert_equal(next(stream), map_arrays(lambda array: array[4:], whole))


def test_several_threads_make_the_same_batch(train, monkeypatch):
    indices = np.arange(7)
    alone = train.batch(indices, 8, 40_000, 40)
    monkeypatch.setattr(utterances, "MIN_BYTES_PER_WORKER", 1)
    monkeypatch.setattr(utterances, "num_cores", lambda: 3)
    assert len(utterances._pieces(8, 1 << 20)) == 3
    assert_equal(train.batch(indices, 8, 40_000, 40), alone)


# ---- memory ------------------------------------------------------------------------------------------------------


def test_memory_is_used_again_once_nobody_holds_the_array():
    pool = buffers.BufferPool()
    first = pool.empty((4, 100))
    assert first.dtype == np.float32
    assert first.ctypes.data % buffers.ALIGNMENT == 0
    place = first.ctypes.data
    view = first[1:, 3:]
    del first
    assert pool.empty((4, 100)).ctypes.data != place  # The view still needs it.
    del view
    assert place in {array.ctypes.data for array in [pool.empty((4, 100)), pool.empty((4, 100))]}


def test_arrays_beyond_the_limit_of_the_pool_are_separate():
    pool = buffers.BufferPool(limit=2)
    held = [pool.empty((10,)) for _ in range(5)]
    for number, array in enumerate(held):
        array[:] = number
    assert [array[0] for array in held] == [0, 1, 2, 3, 4]


def test_batches_that_are_kept_do_not_change(small, folder):
    kept = batches(small, folder, 30)
    assert_equal(kept, batches(small, folder, 30))


def test_batches_on_the_device_do_not_change(small, folder, framework):
    # Whatever the framework shares with NumPy, and however late it copies.
    workload = Workload(small, framework, folder)
    queue = TrainingQueue(workload, 0, 8, folder)
    found = [next(queue) for _ in range(20)]
    queue.close()
    gc.collect()
    expected = data.train_stream(small, folder, 0, 8)
    for batch in found:
        assert_equal(map_arrays(np.asarray, batch), next(expected))


# ---- evaluation --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("split", "size"), [("eval_train", 10), ("validation", 9), ("test", 7)])
def test_evaluation_goes_through_a_split_once_in_order(small, folder, split, size):
    found = list(data.eval_batches(small, folder, split, 4))
    assert [len(batch["weights"]) for batch in found] == [4] * -(-size // 4)
    weights = np.concatenate([batch["weights"] for batch in found])
    np.testing.assert_array_equal(weights, np.arange(len(weights)) < size)
    assert weights.dtype == np.float32
    rows = np.concatenate([batch["inputs"][0] for batch in found])[:size]
    source = utterances.load_split(folder, "train" if split == "eval_train" else split)
    for row, index in zip(rows, np.arange(size) * len(source) // size, strict=True):
        samples = source.samples(index)
        np.testing.assert_array_equal(row[: len(samples)], samples)


def test_rows_that_fill_the_last_batch_are_all_padding(small, folder):
    *_, last = data.eval_batches(small, folder, "test", 4)
    np.testing.assert_array_equal(last["weights"], [1, 1, 1, 0])
    for values, paddings in (last["inputs"], last["targets"]):
        assert not values[3].any()
        assert paddings[3].all()


def test_evaluation_batches_are_the_same_each_time(small, folder):
    assert_equal(
        list(data.eval_batches(small, folder, "eval_train", 4)),
        list(data.eval_batches(small, folder, "eval_train", 4)),
    )


def test_an_unknown_split_is_refused(small, folder):
    with pytest.raises(UsageError, match="No evaluation split is called 'training'"):
        next(data.eval_batches(small, folder, "training", 4))


# ---- readiness ---------------------------------------------------------------------------------------------------


def test_both_families_and_their_variants_share_prepared_data():
    for is_mini in (True, False):
        configs = [
            data.DATA.config(found)
            for found in map(registry.get, registry.names())
            if found.dataset == "librispeech" and found.is_mini == is_mini
        ]
        assert len(configs) == 8
        assert all(config == configs[0] for config in configs)


def test_other_settings_are_noticed(small, folder):
    assert data.is_ready(small, folder)
    assert not data.is_ready(dataclasses.replace(small, num_train_examples=61), folder)
    assert not data.is_ready(
        dataclasses.replace(small, data={**small.data.to_dict(), "max_audio_samples": 1}), folder
    )
    assert data.is_ready(dataclasses.replace(small, num_eval_train_examples=3), folder)


def test_without_data_the_next_step_is_named(small, tmp_path):
    with pytest.raises(
        UsageError, match=r"Prepare them: python datasets/dataset_setup\.py --dataset=librispeech_mini"
    ):
        data.train_stream(small, tmp_path, 0, 8)


def test_the_full_workload_expects_the_published_counts(tmp_path):
    full = registry.get("librispeech_conformer")
    assert data._num_raw(full) == {
        "train-clean-100": 28_539,
        "train-clean-360": 104_014,
        "train-other-500": 148_688,
        "dev-clean": 2_703,
        "dev-other": 2_864,
        "test-clean": 2_620,
    }
    assert num_examples(full) == {"train": 263_840, "validation": 5_348, "test": 2_472}
    with pytest.raises(
        UsageError, match=r"No utterances of 'train-clean-100'.*--dataset=librispeech --data_dir"
    ):
        data.prepare(full, tmp_path, progress=False)


def test_verify_finds_a_changed_file(small, folder, tmp_path):
    copied = shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("raw"))
    assert data.verify(small, copied, progress=False)["dev-clean"]["utterances"] == 4
    path = copied / "dev-clean_000.samples"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    assert manifest.damaged_files(copied, progress=False) == [path.name]
    with pytest.raises(UsageError, match=r"Damaged in .*: dev-clean_000\.samples\. Delete"):
        data.verify(small, copied, progress=False)


def test_counts_follow_the_real_proportions():
    assert synthesis.counts(registry.get("librispeech_conformer_mini")) == {
        "train-clean-100": 203,
        "train-clean-360": 740,
        "train-other-500": 1057,
        "dev-clean": 62,
        "dev-other": 66,
        "test-clean": 128,
    }
