"""Batches of clicks: contiguous blocks in a shuffled order, exact positions, padded evaluation."""

import dataclasses
import gzip
import hashlib
import json

import numpy as np
import pytest
from criteo_lines import SMALL, plain_example

from algoperf import spec
from workloads.criteo1tb import data, synthesis

SIZES = {"eval_train": 96, "validation": 70, "test": 50}


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("criteo-small")
    data.synthesize(SMALL, place, progress=False)
    data.prepare(SMALL, place, progress=False)
    return place


def raw_lines(folder, days):
    return [
        line
        for day in days
        for line in gzip.decompress((folder / f"raw/day_{day}.gz").read_bytes()).splitlines()
    ]


@pytest.fixture(scope="session")
def train_rows(folder):
    """(1000, 40): label and inputs of all training lines, by the plain rules."""
    examples = [plain_example(line) for line in raw_lines(folder, range(4))]
    return np.array([[label, *inputs] for inputs, label in examples], np.float32)


def as_rows(batch):
    return np.concatenate([batch["targets"], batch["inputs"]], axis=1)


# ---- training --------------------------------------------------------------------------------------------------


def test_a_batch_is_a_run_of_consecutive_lines_of_the_day_files(folder, train_rows):
    stream = data.train_stream(SMALL, folder, 5, 64)
    starts = []
    for _ in range(1_000 // 64):
        batch = next(stream)
        assert batch["inputs"].shape == (64, 39)
        assert batch["targets"].shape == (64, 1)
        assert batch["inputs"].dtype == batch["targets"].dtype == np.float32
        rows = as_rows(batch)
        (start,) = np.flatnonzero((train_rows == rows[0]).all(axis=1))
        np.testing.assert_array_equal(rows, train_rows[start : start + 64])
        starts.append(start)
    gaps = np.diff(sorted(starts))
    assert (gaps == 64).all(), "in an epoch every row comes up at most once"
    assert starts != sorted(starts)


def test_epochs_have_their_own_order_and_leave_out_other_rows(folder):
    stream = data.train_stream(SMALL, folder, 6, 64)
    epochs = [np.concatenate([as_rows(next(stream)) for _ in range(15)]) for _ in range(2)]
    assert not np.array_equal(*epochs)
    left_out = [{row.tobytes() for row in epoch} for epoch in epochs]
    assert left_out[0] != left_out[1]


def test_batches_larger_than_the_data_go_round(folder, train_rows):
    batch = next(data.train_stream(SMALL, folder, 5, 2_500))
    np.testing.assert_array_equal(as_rows(batch), np.concatenate([train_rows] * 3)[:2_500])


def test_a_stream_continues_in_the_middle_of_an_epoch(folder):
    whole = data.train_stream(SMALL, folder, 3, 64)
    for _ in range(20):
        next(whole)
    state = json.loads(json.dumps(whole.state()))
    again = data.train_stream(SMALL, folder, 3, 64)
    again.set_state(state)
    for _ in range(20):
        np.testing.assert_array_equal(as_rows(next(again)), as_rows(next(whole)))


# ---- evaluation ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [7, 32, 128])
def test_the_last_day_is_the_test_split_and_then_the_validation_split(folder, batch_size):
    lines = raw_lines(folder, [4])
    for split, wanted in (("test", lines[:50]), ("validation", lines[50:])):
        batches = list(data.eval_batches(SMALL, folder, split, batch_size))
        weights = np.concatenate([batch["weights"] for batch in batches])
        assert weights.shape == (len(batches) * batch_size, 1)
        np.testing.assert_array_equal(weights[:, 0], np.arange(len(weights)) < SIZES[split])
        rows = np.concatenate([as_rows(batch) for batch in batches])
        for row, line in zip(rows, wanted, strict=False):
            inputs, label = plain_example(line)
            np.testing.assert_array_equal(row, [label, *inputs])
        assert not rows[SIZES[split] :].any(), "padding is zero"


def test_eval_train_is_a_fixed_set_of_training_rows_spread_over_all_days(folder, train_rows, monkeypatch):
    monkeypatch.setattr(data, "EVAL_TRAIN_RUN", 10)
    rows = np.concatenate([as_rows(b) for b in data.eval_batches(SMALL, folder, "eval_train", 32)])
    positions = [int(np.flatnonzero((train_rows == row).all(axis=1))[0]) for row in rows]
    assert len(set(positions)) == 96
    assert {position // 250 for position in positions} == {0, 1, 2, 3}
    assert data.spread_spans(100, 100) == [(start, 10) for start in range(0, 100, 10)]


def test_an_unknown_split_is_refused(folder):
    with pytest.raises(spec.UsageError, match="No evaluation split is called 'valid'"):
        data.eval_batches(SMALL, folder, "valid", 8)


# ---- synthesis -------------------------------------------------------------------------------------------------


def test_the_mini_corpus_is_the_same_everywhere(folder):
    text = b"".join(gzip.decompress((folder / f"raw/day_{day}.gz").read_bytes()) for day in range(5))
    found = hashlib.sha256(text).hexdigest()
    assert found == json.loads((folder / "raw/synthesis.json").read_text())["sha256"]
    assert found == "24b66bd5fb594375cd553e047ce5666e5b170a2ec6f0a5f637ff1fe7952c1859", (
        "raise synthesis.VERSION with every change of the text"
    )


def test_synthesized_lines_look_like_criteos(folder):
    fields = [line.split(b"\t") for line in raw_lines(folder, range(5))]
    assert all(len(line) == 40 for line in fields)
    assert {line[0] for line in fields} == {b"0", b"1"}
    numbers = [number for line in fields for number in line[1:14]]
    assert 0.05 < numbers.count(b"") / len(numbers) < 0.4
    assert b"-1" in numbers
    assert all(len(token) == 8 and int(token, 16) >= 0 for line in fields for token in line[14:])


def test_synthesis_runs_once_and_again_for_other_sizes(tmp_path):
    small = dataclasses.replace(SMALL, num_train_examples=40)
    data.synthesize(small, tmp_path, progress=False)
    marker = tmp_path / "raw/synthesis.json"
    before = marker.stat().st_mtime_ns
    data.synthesize(small, tmp_path, progress=False)
    assert marker.stat().st_mtime_ns == before
    data.prepare(small, tmp_path, progress=False)
    other = dataclasses.replace(small, num_validation_examples=71)
    assert not data.is_ready(other, tmp_path)
    data.synthesize(other, tmp_path, progress=False)
    data.prepare(other, tmp_path, progress=False)
    assert data.is_ready(other, tmp_path)


@pytest.fixture(scope="session")
def clicks():
    world = synthesis.make_world(tuple(SMALL.data.bucket_counts))
    return [synthesis.make_clicks(world, day, 20_000) for day in (0, 4)]


def test_the_floor_is_the_loss_of_the_true_probabilities(clicks):
    for day in clicks:
        p, y = day.probabilities, day.labels
        loss = -np.where(y, np.log(p), np.log1p(-p))
        assert abs(loss.mean() - day.entropy().mean()) < 4 * loss.std() / len(loss) ** 0.5


def test_the_floor_is_far_below_the_entropy_of_the_base_rate_and_the_target_between(clicks):
    for day in clicks:
        rate = day.labels.mean()
        of_base_rate = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
        assert day.entropy().mean() < 0.5 * of_base_rate
        assert 1.4 * day.entropy().mean() < SMALL.validation_target_value < 0.75 * of_base_rate
    floors = synthesis.floors(SMALL)
    assert set(floors) == {"train", "validation", "test"}
    assert all(0.1 < floor < 0.4 for floor in floors.values())
