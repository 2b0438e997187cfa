"""Batches: what they hold, and that only seed, epoch and position decide on it."""

import dataclasses
import json

import numpy as np
import pytest

from algoperf.spec import UsageError
from workloads.imagenet import crops, data, jpeg, mixup, pipeline, preparation


def with_settings(spec, **settings):
    return dataclasses.replace(spec, data={**spec.data.to_dict(), **settings})


@pytest.mark.parametrize("number", [1, 4])
@pytest.mark.parametrize("kind", ["spec", "vit_spec"])
def test_batches_do_not_depend_on_the_number_of_workers(folder, request, kind, number):
    found = request.getfixturevalue(kind)
    one = data.train_stream(with_settings(found, num_workers=2), folder, 3, 16)
    two = data.train_stream(with_settings(found, num_workers=number), folder, 3, 16)
    for _ in range(6):  # Over the end of an epoch.
        first, second = next(one), next(two)
        for key, value in first.items():
            np.testing.assert_array_equal(value, second[key])


def test_training_batches_hold_normalised_crops_and_their_classes(spec, folder):
    batch = next(data.train_stream(spec, folder, 0, 64))
    size = spec.data.crop_size
    assert batch["inputs"].shape == (64, size, size, 3)
    assert batch["inputs"].dtype == np.float32
    assert batch["targets"].dtype == np.int32
    assert set(batch) == {"inputs", "targets"}
    assert abs(batch["inputs"].mean()) < 1
    assert 0.5 < batch["inputs"].std() < 2
    assert set(batch["targets"]) <= set(range(16))


def test_every_image_comes_once_an_epoch_each_time_cropped_anew(spec, folder):
    stream = data.train_stream(spec, folder, 0, 35)
    epochs = [[next(stream), next(stream)] for _ in range(2)]
    targets = [np.concatenate([batch["targets"] for batch in epoch]) for epoch in epochs]
    counts = np.bincount(preparation.load_split(folder, "train").labels)
    for own in targets:
        np.testing.assert_array_equal(np.bincount(own), counts)
    rows = np.concatenate([batch["inputs"].reshape(35, -1) for epoch in epochs for batch in epoch])
    assert len(np.unique(rows[:, :50], axis=0)) == 140


def test_a_stream_continues_in_the_middle_of_an_epoch(vit_spec, folder):
    whole = data.train_stream(vit_spec, folder, 5, 16)
    for _ in range(6):
        next(whole)
    state = json.loads(json.dumps(whole.state()))
    wanted = [next(whole) for _ in range(3)]
    again = data.train_stream(vit_spec, folder, 5, 16)
    again.set_state(state)
    for batch in wanted:
        found = next(again)
        for key, value in batch.items():
            np.testing.assert_array_equal(found[key], value)


def test_a_batch_may_be_larger_than_the_data_set(spec, folder):
    batch = next(data.train_stream(spec, folder, 0, 100))
    assert batch["inputs"].shape[0] == 100
    assert np.isfinite(batch["inputs"]).all()


def test_mixup_blends_the_batch_that_would_come_without_it(vit_spec, folder):
    plain = data.train_stream(with_settings(vit_spec, mixup_alpha=0.0), folder, 1, 16)
    mixed = data.train_stream(vit_spec, folder, 1, 16)
    for number in range(3):
        one, two = next(plain), next(mixed)
        weight = mixup.share(1, number, 0.2)
        wanted = weight * one["inputs"] + (1 - weight) * np.roll(one["inputs"], 1, axis=0)
        np.testing.assert_allclose(two["inputs"], wanted, atol=1e-5)
        assert two["targets"].shape == (16, 16)
        assert two["targets"].dtype == np.float32
        np.testing.assert_allclose(two["targets"].sum(axis=1), 1, rtol=1e-6)
        np.testing.assert_allclose(two["targets"], mixup.mix_targets(one["targets"], 16, weight))


def test_randaugment_works_on_whole_numbers(vit_spec, folder):
    batch = next(data.train_stream(with_settings(vit_spec, mixup_alpha=0.0), folder, 1, 32))
    pixels = batch["inputs"] * np.array(vit_spec.train_stddev) + np.array(vit_spec.train_mean)
    np.testing.assert_allclose(pixels, pixels.round(), atol=1e-3)
    assert pixels.min() > -0.01
    assert pixels.max() < 255.01


def test_half_of_the_images_are_flipped(spec, folder, monkeypatch):
    flips = []
    real = pipeline.resize.to_normalised

    def to_normalised(image, box, flip, *rest):
        flips.append(flip)
        real(image, box, flip, *rest)

    monkeypatch.setattr(pipeline.resize, "to_normalised", to_normalised)
    stream = data.train_stream(spec, folder, 0, 64)
    for _ in range(10):
        next(stream)
    assert abs(np.mean(flips) - 0.5) < 0.1


def test_evaluation_shows_the_centre_square_of_every_image_in_order(spec, folder):
    own = preparation.load_split(folder, "validation")
    batches = list(data.eval_batches(spec, folder, "validation", 8))
    assert [batch["weights"].sum() for batch in batches] == [8, 8, 4]
    assert all(batch["weights"].dtype == np.float32 for batch in batches)
    np.testing.assert_array_equal(np.concatenate([batch["targets"] for batch in batches])[:20], own.labels)
    assert not batches[-1]["inputs"][4:].any()
    image = jpeg.decode(own.jpeg(9))
    size = spec.data.crop_size
    wanted = np.empty((size, size, 3), np.float32)
    ones, zeros = np.ones(3 * size, np.float32), np.zeros(3 * size, np.float32)
    pipeline.resize.to_normalised(image, crops.centre_square(64, 64, 0.875), False, ones, zeros, wanted)
    found = batches[1]["inputs"][1] * np.array(spec.train_stddev) + np.array(spec.train_mean)
    np.testing.assert_allclose(found, wanted, atol=1e-3)


def test_eval_train_is_a_fixed_subset_spread_over_the_classes(spec, folder):
    targets = np.concatenate([batch["targets"] for batch in data.eval_batches(spec, folder, "eval_train", 8)])
    assert len(targets) == 24
    assert len(set(targets)) == 16


def test_unknown_splits_and_worker_numbers_are_refused(spec, folder):
    with pytest.raises(UsageError, match=r"No evaluation split is called 'training'"):
        data.eval_batches(spec, folder, "training", 8)
    with pytest.raises(UsageError, match=r"num_workers must be 0 \(all cores\) or positive, got -1"):
        data.train_stream(with_settings(spec, num_workers=-1), folder, 0, 8)
    assert 1 <= pipeline.num_workers(0) <= 16
    assert pipeline.num_workers(3) == 3


def test_an_image_that_cannot_be_decoded_is_named(spec, folder, monkeypatch):
    stream = data.train_stream(spec, folder, 0, 8)
    monkeypatch.setattr(pipeline.jpeg, "decode", lambda *_: (_ for _ in ()).throw(ValueError("bad marker")))
    with pytest.raises(UsageError, match=r"Image \d+ cannot be decoded \(bad marker\)"):
        next(stream)
