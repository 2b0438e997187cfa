"""Batches: the same seed gives the same ones in both frameworks, and positions are exact."""

import copy
import time
import types

import numpy as np
import pytest
from harness import FRAMEWORKS, digits, shared_workload
from hypothesis import given, settings
from hypothesis import strategies as st

from algoperf import random_utils
from algoperf.data.queue import TrainingQueue
from algoperf.data.stream import ShuffledStream, epoch_permutation


def numbered(size, batch_size, seed=0):
    """A stream whose batches say which examples they hold."""
    return ShuffledStream(
        size, batch_size, seed, lambda indices, epoch: {"i": indices, "epoch": np.full(1, epoch)}
    )


def drawn(framework, seed, count=5, batch_size=32):
    queue = TrainingQueue(shared_workload(digits(), framework), seed, batch_size)
    batches = [{key: np.asarray(value) for key, value in next(queue).items()} for _ in range(count)]
    queue.close()
    return batches


def test_the_same_seed_gives_the_same_batches_in_both_frameworks_bit_for_bit():
    runs = [drawn(framework, seed=4) for framework in FRAMEWORKS]
    for first, second in zip(*runs, strict=True):
        assert first.keys() == second.keys() == {"inputs", "targets"}
        for key in first:
            assert first[key].dtype == second[key].dtype
            np.testing.assert_array_equal(first[key], second[key])


def test_another_seed_gives_other_batches(framework):
    first, second = drawn(framework, seed=4), drawn(framework, seed=5)
    assert not np.array_equal(first[0]["inputs"], second[0]["inputs"])


def test_trials_and_studies_have_seeds_of_their_own_for_every_purpose():
    found = [
        seed
        for rng_seed in (0, 1)
        for study in range(3)
        for trial in range(1, 6)
        for seed in random_utils.seeds(rng_seed, study, trial).values()
    ]
    assert len(set(found)) == 2 * 3 * 5 * 4
    assert all(0 <= seed < 2**31 for seed in found)
    assert random_utils.seeds(0, 1, 2) == random_utils.seeds(0, 1, 2)


@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 5), st.integers(0, 30))
@settings(max_examples=60, deadline=None)
def test_a_stream_continues_with_the_very_next_batch(size, batch_size, seed, position):
    whole = numbered(size, batch_size, seed)
    for _ in range(position):
        next(whole)
    continued = numbered(size, batch_size, seed)
    continued.set_state(whole.state())
    for _ in range(4):
        np.testing.assert_array_equal(next(whole)["i"], next(continued)["i"])


@given(st.integers(1, 60), st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_an_epoch_shows_an_example_at_most_once_and_batches_are_always_full(size, batch_size):
    stream = numbered(size, batch_size)
    per_epoch = size // batch_size
    batches = [next(stream)["i"] for _ in range(2 * max(per_epoch, 3))]
    assert all(len(batch) == batch_size for batch in batches)
    assert all(0 <= index < size for batch in batches for index in batch)
    if per_epoch:
        for epoch in (0, 1):
            shown = np.concatenate(batches[epoch * per_epoch : (epoch + 1) * per_epoch])
            assert len(set(shown)) == per_epoch * batch_size


def test_batches_larger_than_the_data_run_over_epochs_evenly():
    stream = numbered(5, 12)
    shown = np.concatenate([next(stream)["i"] for _ in range(5)])
    assert np.bincount(shown).tolist() == [12] * 5


@pytest.mark.parametrize(
    ("size", "batch_size", "epochs"),
    [
        (8, 4, [0, 0, 1, 1, 2]),
        (10, 4, [0, 0, 1, 1, 2]),
        (4, 4, [0, 1, 2, 3, 4]),
        (4, 8, [0, 2, 4, 6, 8]),
        (5, 12, [0, 2, 4, 7, 9]),
    ],
)
def test_a_batch_comes_with_the_epoch_of_its_first_example(size, batch_size, epochs):
    """Augmentation draws by it, so it must not change a batch early or late, resumed or not."""
    stream = numbered(size, batch_size, seed=3)
    for number, epoch in enumerate(epochs):
        resumed = numbered(size, batch_size, seed=3)
        resumed.set_state(stream.state())
        for batch in (next(stream), next(resumed)):
            assert batch["epoch"].tolist() == [epoch], number
            if batch_size <= size:
                start = number % (size // batch_size) * batch_size
                wanted = epoch_permutation(3, epoch, size)[start : start + batch_size]
                np.testing.assert_array_equal(batch["i"], wanted)


def test_the_order_of_a_seed_stays_what_it_was_in_earlier_versions():
    np.testing.assert_array_equal(epoch_permutation(3, 2, 50), np.random.default_rng([3, 2]).permutation(50))


def test_epochs_are_shuffled_differently():
    assert not np.array_equal(epoch_permutation(0, 0, 50), epoch_permutation(0, 1, 50))
    assert not np.array_equal(epoch_permutation(0, 0, 50), epoch_permutation(1, 0, 50))
    np.testing.assert_array_equal(epoch_permutation(3, 2, 50), epoch_permutation(3, 2, 50))


class ThreadedData:
    """A data module whose queue is filled by a thread, with a stream that can fail."""

    NEEDS_FILES = False
    SHARDED = False
    PREFETCH = 3

    def __init__(self, fails_at=None):
        self.fails_at = fails_at
        self.made = 0

    def train_stream(self, spec, folder, seed, batch_size):
        def fetch(indices, epoch):
            self.made += 1
            if self.made == self.fails_at:
                raise OSError("the disk is gone")
            return {"inputs": indices}

        return ShuffledStream(1000, batch_size, seed, fetch)


def threaded_workload(framework, **settings):
    workload = copy.copy(shared_workload(digits(), framework))
    workload.data_module = ThreadedData(**settings)
    return workload


def test_what_was_made_ahead_does_not_count_as_handed_out(framework):
    workload = threaded_workload(framework)
    queue = TrainingQueue(workload, 0, 10)
    first = [np.asarray(next(queue)["inputs"]) for _ in range(3)]
    time.sleep(0.05)
    state = queue.state()
    assert state == {"next_batch": 3}
    following = np.asarray(next(queue)["inputs"])
    queue.close()
    again = TrainingQueue(workload, 0, 10, state=state)
    np.testing.assert_array_equal(np.asarray(next(again)["inputs"]), following)
    assert not np.array_equal(first[-1], following)
    again.close()


def test_the_first_batch_is_there_before_the_clock_starts(framework):
    workload = threaded_workload(framework)
    queue = TrainingQueue(workload, 0, 10)
    assert workload.data_module.made >= 1
    assert queue.state() == {"next_batch": 0}, "it has not been handed out"
    queue.close()
    workload = shared_workload(digits(), framework)
    made = []
    workload = copy.copy(workload)
    workload.model = types.SimpleNamespace(to_device=lambda batch, **_: made.append(batch) or batch)
    queue = TrainingQueue(workload, 0, 10)
    assert len(made) == 1
    assert next(queue) is made[0]
    next(queue)
    assert len(made) == 2
    queue.close()


def test_the_queue_holds_few_batches_ahead(framework):
    workload = threaded_workload(framework)
    queue = TrainingQueue(workload, 0, 10)
    time.sleep(0.2)
    assert workload.data_module.made <= ThreadedData.PREFETCH + 2
    queue.close()


def test_an_error_of_the_thread_reaches_the_caller(framework):
    queue = TrainingQueue(threaded_workload(framework, fails_at=3), 0, 10)
    next(queue)
    next(queue)
    for _ in range(2):  # Who asks again must not wait for a thread that has ended.
        with pytest.raises(OSError, match="the disk is gone"):
            next(queue)
    queue.close()


def test_a_closed_queue_has_no_thread_and_no_batches(framework):
    queue = TrainingQueue(threaded_workload(framework), 0, 10)
    next(queue)
    queue.close()
    assert not queue._thread.is_alive()
    with pytest.raises(StopIteration):
        next(queue)


def test_algoperfs_own_name_for_the_queue_works(framework):
    workload = shared_workload(digits(), framework)
    queue = workload._build_input_queue(workload.backend.root_key(0), "train", None, 16)
    assert np.asarray(next(queue)["inputs"]).shape == (16, 8, 8, 1)
    queue.close()
    with pytest.raises(ValueError, match="Only the 'train' split"):
        workload._build_input_queue(workload.backend.root_key(0), "test", None, 16)


# ---- keys ------------------------------------------------------------------------------------------------------------


def test_the_keys_of_a_step_do_not_depend_on_history(framework):
    backend = shared_workload(digits(), framework).backend
    keys, again = backend.step_keys(3), backend.step_keys(3)
    in_order = [np.stack([np.asarray(key) for key in keys(step)]) for step in (0, 1, 4095, 4096, 9000)]
    backwards = [np.stack([np.asarray(key) for key in again(step)]) for step in (9000, 4096, 4095, 1, 0)]
    np.testing.assert_array_equal(np.stack(in_order), np.stack(backwards[::-1]))
    assert len({key.tobytes() for step in in_order for key in step}) == 15
    other = np.stack([np.asarray(key) for key in backend.step_keys(4)(0)])
    assert not np.array_equal(other, in_order[0])


def test_keys_of_jax_steps_are_folded_and_split_as_algoperf_does():
    import jax

    backend = shared_workload(digits(), "jax").backend
    found = np.stack([np.asarray(key) for key in backend.step_keys(3)(7)])
    wanted = jax.random.split(jax.random.fold_in(jax.random.PRNGKey(3), 7), 4)[:3]
    np.testing.assert_array_equal(found, np.asarray(wanted))


def test_keys_of_pytorch_runs_are_algoperfs_stand_ins():
    key = random_utils.PRNGKey(0)
    assert key.shape == (2,)
    assert key.dtype == np.int32
    assert random_utils.split(key, 3).shape == (3, 2)
    np.testing.assert_array_equal(random_utils.split(key), random_utils.split(key))
    np.testing.assert_array_equal(random_utils.fold_in(key, 5)[1], 5)
    assert not np.array_equal(random_utils.fold_in(key, 5), random_utils.fold_in(key, 6))
    assert not np.array_equal(random_utils.PRNGKey(1), key)
    assert random_utils.PRNGKey(2**40).shape == (2,)
