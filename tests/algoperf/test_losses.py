"""Losses of both frameworks against plain NumPy."""

import numpy as np
import pytest
from harness import shared_workload

from algoperf import registry
from algoperf.spec import LossType, UsageError

RNG = np.random.default_rng(0)


def to_framework(value, framework):
    if framework == "jax":
        import jax.numpy as jnp

        return jnp.asarray(value)
    import torch

    return torch.tensor(value)


def loss_function(loss_type, framework):
    if framework == "jax":
        from algoperf.losses import jax_losses as losses
    else:
        from algoperf.losses import torch_losses as losses
    return losses.LOSSES[loss_type]


def log_softmax(logits):
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def softmax_cross_entropy(labels, logits, smoothing):
    num_classes = logits.shape[-1]
    targets = labels if labels.ndim == logits.ndim else np.eye(num_classes)[labels]
    targets = targets * (1 - smoothing) + smoothing / num_classes
    return -(targets * log_softmax(logits)).sum(axis=-1)


def sigmoid_cross_entropy(labels, logits, smoothing):
    logits, labels = logits.astype(np.float64), labels.reshape(logits.shape)
    if logits.shape[-1] > 1:
        labels = (1 - smoothing) * labels + smoothing / logits.shape[-1]
    losses = np.maximum(logits, 0) - logits * labels + np.log1p(np.exp(-np.abs(logits)))
    return losses if logits.shape[-1] > 1 else losses[:, 0]


def mean_squared_error(labels, logits, smoothing):
    del smoothing
    return ((logits.astype(np.float64) - labels) ** 2).reshape(len(logits), -1).mean(axis=1)


def mean_absolute_error(labels, logits, smoothing):
    del smoothing
    return np.abs(logits.astype(np.float64) - labels).reshape(len(logits), -1).mean(axis=1)


def floats(*shape):
    return RNG.normal(size=shape).astype(np.float32) * 3


CASES = {
    "classes": (
        LossType.SOFTMAX_CROSS_ENTROPY,
        softmax_cross_entropy,
        RNG.integers(0, 7, 6).astype(np.int32),
        floats(6, 7),
    ),
    "class_of_each_token": (
        LossType.SOFTMAX_CROSS_ENTROPY,
        softmax_cross_entropy,
        RNG.integers(0, 7, (4, 5)).astype(np.int32),
        floats(4, 5, 7),
    ),
    "probabilities": (
        LossType.SOFTMAX_CROSS_ENTROPY,
        softmax_cross_entropy,
        RNG.dirichlet(np.ones(7), 6).astype(np.float32),
        floats(6, 7),
    ),
    "extreme_logits": (
        LossType.SOFTMAX_CROSS_ENTROPY,
        softmax_cross_entropy,
        RNG.integers(0, 7, 6).astype(np.int32),
        floats(6, 7) * 1e4,
    ),
    "binary": (
        LossType.SIGMOID_CROSS_ENTROPY,
        sigmoid_cross_entropy,
        RNG.integers(0, 2, (6, 1)).astype(np.float32),
        floats(6, 1),
    ),
    "binary_without_last_axis": (
        LossType.SIGMOID_CROSS_ENTROPY,
        sigmoid_cross_entropy,
        RNG.integers(0, 2, 6).astype(np.float32),
        floats(6, 1),
    ),
    "many_labels": (
        LossType.SIGMOID_CROSS_ENTROPY,
        sigmoid_cross_entropy,
        RNG.integers(0, 2, (6, 9)).astype(np.float32),
        floats(6, 9),
    ),
    "squared": (LossType.MEAN_SQUARED_ERROR, mean_squared_error, floats(6, 3, 3), floats(6, 3, 3)),
    "absolute": (LossType.MEAN_ABSOLUTE_ERROR, mean_absolute_error, floats(6, 3, 3), floats(6, 3, 3)),
    "squared_numbers": (LossType.MEAN_SQUARED_ERROR, mean_squared_error, floats(6), floats(6)),
    "absolute_numbers": (LossType.MEAN_ABSOLUTE_ERROR, mean_absolute_error, floats(6), floats(6)),
}


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
@pytest.mark.parametrize("case", CASES)
def test_a_loss_is_that_of_plain_numpy(framework, case, masked, smoothing):
    loss_type, reference, labels, logits = CASES[case]
    wanted = reference(labels, logits, smoothing)
    mask = np.ones(wanted.shape, np.float32)
    if masked:
        mask.ravel()[::2] = 0
    found = loss_function(loss_type, framework)(
        label_batch=to_framework(labels, framework),
        logits_batch=to_framework(logits, framework),
        mask_batch=to_framework(mask, framework) if masked else None,
        label_smoothing=smoothing,
    )
    np.testing.assert_allclose(np.asarray(found["per_example"]), wanted * mask, rtol=2e-5, atol=1e-5)
    np.testing.assert_allclose(float(found["summed"]), (wanted * mask).sum(), rtol=2e-5, atol=1e-4)
    assert float(found["n_valid_examples"]) == mask.sum()
    if framework == "pytorch":
        import torch

        assert isinstance(found["n_valid_examples"], torch.Tensor), "it must be possible to all-reduce it"


@pytest.mark.parametrize(
    "loss_type", [t for t in LossType if t is not LossType.CTC_LOSS], ids=lambda t: t.name
)
def test_an_item_with_mask_zero_counts_as_nothing_even_if_its_loss_is_not_finite(framework, loss_type):
    logits = floats(4, 3)
    labels = RNG.integers(0, 3, 4).astype(np.int32) if "SOFTMAX" in loss_type.name else floats(4, 3)
    per_item = loss_type is LossType.SIGMOID_CROSS_ENTROPY
    mask = np.ones((4, 3) if per_item else 4, np.float32)
    mask[2] = 0
    function = loss_function(loss_type, framework)

    def summed(values):
        arguments = (to_framework(value, framework) for value in (labels, values, mask))
        return float(function(*arguments)["summed"])

    broken = logits.copy()
    broken[2] = np.nan
    assert np.isfinite(summed(broken))
    assert summed(broken) == summed(logits)


def test_a_mask_between_zero_and_one_weighs_an_item(framework):
    logits, labels = floats(3, 2), floats(3, 2)
    mask = np.array([0.5, 2.0, 0.0], np.float32)
    arguments = [to_framework(value, framework) for value in (labels, logits, mask)]
    found = loss_function(LossType.MEAN_SQUARED_ERROR, framework)(*arguments)
    wanted = ((logits - labels) ** 2).mean(axis=1) * mask
    np.testing.assert_allclose(np.asarray(found["per_example"]), wanted, rtol=1e-5)
    np.testing.assert_allclose(float(found["summed"]), wanted.sum(), rtol=1e-5)
    assert float(found["n_valid_examples"]) == 2.5


WRONG_SHAPES = {
    "squared_error_of_pairs": (LossType.MEAN_SQUARED_ERROR, (6,), (6, 1)),
    "absolute_error_of_pairs": (LossType.MEAN_ABSOLUTE_ERROR, (6, 1), (6,)),
    "one_column_of_labels": (LossType.MEAN_SQUARED_ERROR, (6, 1), (6, 3)),
    "column_of_classes": (LossType.SOFTMAX_CROSS_ENTROPY, (6, 1), (6, 7)),
    "other_rows": (LossType.SOFTMAX_CROSS_ENTROPY, (5,), (6, 7)),
    "flattened_tokens": (LossType.SOFTMAX_CROSS_ENTROPY, (20,), (4, 5, 7)),
    "no_axis_of_labels": (LossType.SIGMOID_CROSS_ENTROPY, (6,), (6,)),
    "one_label_for_many_logits": (LossType.SIGMOID_CROSS_ENTROPY, (6, 1), (6, 9)),
    "one_label_of_many": (LossType.SIGMOID_CROSS_ENTROPY, (6,), (6, 9)),
    "transposed_labels": (LossType.SIGMOID_CROSS_ENTROPY, (9, 6), (6, 9)),
}


@pytest.mark.parametrize("case", WRONG_SHAPES)
def test_shapes_that_would_broadcast_are_refused_with_one_message_in_both_frameworks(framework, case):
    loss_type, of_labels, of_logits = WRONG_SHAPES[case]
    labels, logits = (
        to_framework(np.zeros(shape, np.float32), framework) for shape in (of_labels, of_logits)
    )
    with pytest.raises(UsageError) as refused:
        loss_function(loss_type, framework)(labels, logits)
    text = str(refused.value)
    assert text.startswith(f"{loss_type.name.lower()} takes ")
    assert text.endswith(f", got labels {of_labels} and logits {of_logits}.")


def test_sequences_whose_paddings_have_another_shape_are_refused(framework):
    good = [(4, 3), (4, 3), (4, 9, 5), (4, 9)]
    wrong = [
        [*good[:index], shape, *good[index + 1 :]]
        for index, shape in enumerate([(4, 2), (4,), (4, 9), (4, 8)])
    ]
    for shapes in (*wrong, [*good[:2], (3, 9, 5), (3, 9)]):  # The last: logits of other rows.
        arrays = [to_framework(np.zeros(shape, np.float32), framework) for shape in shapes]
        with pytest.raises(UsageError, match=r"ctc_loss takes tokens and their paddings of one shape"):
            loss_function(LossType.CTC_LOSS, framework)(tuple(arrays[:2]), tuple(arrays[2:]))


def test_smoothing_and_masks_work_under_jit_with_traced_values():
    import jax

    loss_type, reference, labels, logits = CASES["classes"]
    compiled = jax.jit(loss_function(loss_type, "jax"))
    for smoothing in (0.0, 0.3):
        found = compiled(labels, logits, np.ones(6, np.float32), smoothing)
        wanted = reference(labels, logits, smoothing)
        np.testing.assert_allclose(np.asarray(found["per_example"]), wanted, rtol=2e-5)
    assert compiled._cache_size() == 1


def test_boolean_masks_are_masks(framework):
    loss_type, _, labels, logits = CASES["classes"]
    mask = np.array([True, False, True, True, False, True])
    function = loss_function(loss_type, framework)
    some = function(*(to_framework(value, framework) for value in (labels, logits, mask)))
    same = function(*(to_framework(value, framework) for value in (labels, logits, mask.astype(np.float32))))
    assert float(some["summed"]) == float(same["summed"])
    assert float(some["n_valid_examples"]) == 4


def test_gradients_of_the_frameworks_agree(framework):
    loss_type, _, labels, logits = CASES["classes"]
    probabilities = np.exp(log_softmax(logits))
    wanted = probabilities - (0.9 * np.eye(7)[labels] + 0.1 / 7)
    if framework == "jax":
        import jax

        def summed(logits):
            return loss_function(loss_type, "jax")(labels, logits, None, 0.1)["summed"]

        found = jax.grad(summed)(logits)
    else:
        import torch

        values = torch.tensor(logits, requires_grad=True)
        loss_function(loss_type, "pytorch")(torch.tensor(labels), values, None, 0.1)["summed"].backward()
        found = values.grad
    np.testing.assert_allclose(np.asarray(found), wanted, atol=1e-5)


def test_the_activation_follows_the_loss_type(framework):
    import dataclasses

    workload = shared_workload(registry.get("digits"), framework)
    logits = floats(3, 4)
    found = workload.output_activation_fn(to_framework(logits, framework), framework)
    np.testing.assert_allclose(np.asarray(found), np.exp(log_softmax(logits)), rtol=1e-5)
    wanted = {
        LossType.SIGMOID_CROSS_ENTROPY: 1 / (1 + np.exp(-logits)),
        LossType.MEAN_SQUARED_ERROR: logits,
        LossType.MEAN_ABSOLUTE_ERROR: logits,
    }
    for loss_type, values in wanted.items():
        workload.spec = dataclasses.replace(registry.get("digits"), loss_type=loss_type)
        found = workload.output_activation_fn(to_framework(logits, framework), framework)
        np.testing.assert_allclose(np.asarray(found), values, rtol=1e-5)
    workload.spec = registry.get("digits")
    with pytest.raises(ValueError, match="No framework is called 'numpy'"):
        workload.output_activation_fn(logits, "numpy")
