"""Mean average precision by its definition, on valid labels only, whatever the batches."""

import math

import numpy as np
import pytest
from raw_molecules import SMALL
from sklearn.metrics import average_precision_score

from workloads.ogbg import metrics


def plain_average_precision(targets, scores):
    """The sum over distinct scores, best first, of precision times what recall gains there."""
    found, recall = 0.0, 0.0
    for score in sorted(set(scores), reverse=True):
        taken = scores >= score
        gained = targets[taken].sum() / targets.sum()
        found += (gained - recall) * targets[taken].mean()
        recall = gained
    return found


def random_graphs(num_graphs=60, num_tasks=7, seed=0):
    rng = np.random.default_rng(seed)
    targets = rng.random((num_graphs, num_tasks)) < 0.3
    valid = rng.random((num_graphs, num_tasks)) < 0.6
    logits = rng.integers(-6, 7, (num_graphs, num_tasks)).astype(np.float32)  # With ties.
    return targets, valid, logits


def result(targets, valid, logits, batch_size=1_000, padding=0):
    """Of these graphs in batches with that many padding graphs, whose outputs are anything."""
    found = metrics.make_metrics(SMALL, None)
    with np.errstate(invalid="ignore"):
        loss = np.logaddexp(0, logits) - logits * targets
    for start in range(0, len(targets), batch_size):
        rows = slice(start, start + batch_size)
        parts = [targets[rows] * valid[rows], valid[rows], logits[rows], loss[rows]]
        fills = [0, 0, np.nan, np.nan]
        padded = [
            np.concatenate([part.astype(np.float32), np.full((padding, part.shape[1]), fill, np.float32)])
            for part, fill in zip(parts, fills, strict=True)
        ]
        padded[3] = np.where(padded[1] > 0, padded[3], np.inf)
        found.update({"targets": padded[0], "weights": padded[1]}, {"logits": padded[2], "loss": padded[3]})
    return found.result()


def test_it_is_the_mean_over_tasks_of_average_precision_on_valid_labels():
    targets, valid, logits = random_graphs()
    columns = [(targets[valid[:, task], task], logits[valid[:, task], task]) for task in range(7)]
    wanted = np.mean([plain_average_precision(*column) for column in columns])
    by_sklearn = np.mean(
        [average_precision_score(target, 1 / (1 + np.exp(-logit))) for target, logit in columns]
    )
    found = result(targets, valid, logits)
    np.testing.assert_allclose(found["mean_average_precision"], wanted, rtol=1e-12)
    np.testing.assert_allclose(found["mean_average_precision"], by_sklearn, rtol=1e-12)
    hits = ((logits > 0) == targets)[valid]
    np.testing.assert_allclose(found["accuracy"], hits.mean(), rtol=1e-12)
    loss = np.logaddexp(0, logits) - logits * targets
    np.testing.assert_allclose(found["loss"], loss[valid].mean(), rtol=1e-6)


def test_neither_batches_nor_padding_nor_missing_labels_matter():
    targets, valid, logits = random_graphs()
    wanted = result(targets, valid, logits)
    assert result(targets, valid, logits, batch_size=7, padding=3) == pytest.approx(wanted, rel=1e-12)
    changed = np.where(valid, logits, np.nan)
    assert result(targets ^ ~valid, valid, changed, padding=1) == pytest.approx(wanted, rel=1e-12)


def test_a_constant_model_gets_the_share_of_positives_and_a_perfect_one_1():
    targets, valid, _ = random_graphs()
    shares = [targets[valid[:, task], task].mean() for task in range(7)]
    constant = result(targets, valid, np.zeros(targets.shape, np.float32))
    np.testing.assert_allclose(constant["mean_average_precision"], np.mean(shares), rtol=1e-12)
    assert result(targets, valid, 2.0 * targets - 1)["mean_average_precision"] == 1.0


def test_tasks_without_positives_are_left_out():
    targets, valid, logits = random_graphs()
    wanted = result(targets[:, 1:], valid[:, 1:], logits[:, 1:])
    targets[:, 0] = False
    assert result(targets, valid, logits)["mean_average_precision"] == wanted["mean_average_precision"]
    valid[:, 0] = False
    assert result(targets, valid, logits)["mean_average_precision"] == wanted["mean_average_precision"]


def test_a_task_without_negatives_counts_if_labels_are_missing():
    # AlgoPerf looks at the column with 0 for missing labels.
    targets, valid, logits = random_graphs()
    wanted = result(targets[:, 1:], valid[:, 1:], logits[:, 1:])["mean_average_precision"]
    targets[:, 0] = True
    found = result(targets, valid, logits)["mean_average_precision"]
    np.testing.assert_allclose(found, (6 * wanted + 1) / 7, rtol=1e-12)
    valid[:, 0] = True
    np.testing.assert_allclose(result(targets, valid, logits)["mean_average_precision"], wanted)


def test_undefined_metrics_are_nan():
    targets, valid, logits = random_graphs()
    nothing = result(np.zeros_like(targets), valid, logits)
    assert math.isnan(nothing["mean_average_precision"])
    assert math.isfinite(nothing["accuracy"])
    empty = result(targets, np.zeros_like(valid), logits)
    assert all(map(math.isnan, empty.values()))
    assert all(map(math.isnan, metrics.make_metrics(SMALL, None).result().values()))


def test_a_model_that_has_diverged_gets_a_result():
    targets, valid, logits = random_graphs()
    large = np.where(logits > 3, np.inf, np.where(logits < -3, -np.inf, logits)).astype(np.float32)
    steps = np.clip(logits, -4, 4)
    np.testing.assert_allclose(
        metrics.mean_average_precision(targets, large, valid),
        metrics.mean_average_precision(targets, steps, valid),
    )
    logits[valid] = np.nan
    assert math.isnan(metrics.mean_average_precision(targets, logits, valid))
