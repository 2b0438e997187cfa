"""CTC in both frameworks against a sum over every alignment, and what happens at its edges."""

import itertools

import numpy as np
import pytest

RNG = np.random.default_rng(0)
NUM_FRAMES, NUM_CLASSES, NUM_TOKENS = 6, 4, 4


def log_softmax(logits):
    return logits - np.log(np.exp(logits.astype(np.float64)).sum(axis=-1, keepdims=True))


def collapsed(alignment):
    """What an alignment says: equal neighbours are one, blanks are nothing."""
    return tuple(token for token, _ in itertools.groupby(alignment) if token != 0)


def negative_log_likelihood(logits, tokens):
    """Of one utterance, by brute force over all alignments."""
    log_probs = log_softmax(logits)
    total = 0.0
    for alignment in itertools.product(range(logits.shape[1]), repeat=len(logits)):
        if collapsed(alignment) == tuple(tokens):
            total += np.exp(log_probs[np.arange(len(logits)), alignment].sum())
    return -np.log(total)


def paddings(lengths, size):
    return (np.arange(size) >= np.asarray(lengths)[:, None]).astype(np.float32)


# Lengths of frames and tokens: full, short, repeated tokens, no token at all, and nothing but padding.
NUM_FRAMES_OF_ROW = [6, 4, 5, 3, 0]
TOKENS_OF_ROW = [(1, 2, 3), (2, 1), (3, 3, 1), (), ()]


def batch():
    tokens = np.zeros((len(TOKENS_OF_ROW), NUM_TOKENS), np.float32)
    for row, of_row in zip(tokens, TOKENS_OF_ROW, strict=True):
        row[: len(of_row)] = of_row
    labels = tokens, paddings([len(of_row) for of_row in TOKENS_OF_ROW], NUM_TOKENS)
    logits = RNG.normal(size=(len(tokens), NUM_FRAMES, NUM_CLASSES)).astype(np.float32)
    return labels, (logits, paddings(NUM_FRAMES_OF_ROW, NUM_FRAMES))


def loss_and_gradient(framework, labels, logits, mask=None, smoothing=0.0):
    """The loss as NumPy values, and the gradient of its sum for the logits."""
    if framework == "jax":
        import jax

        from algoperf.losses.jax_losses import ctc_loss

        def summed(values):
            found = ctc_loss(labels, (values, logits[1]), mask, smoothing)
            return found["summed"], found

        grad, found = jax.jit(jax.grad(summed, has_aux=True))(logits[0])
        return {key: np.asarray(value) for key, value in found.items()}, np.asarray(grad)
    import torch

    from algoperf.losses.torch_losses import ctc_loss

    values = torch.tensor(logits[0], requires_grad=True)
    mask = None if mask is None else torch.tensor(mask)
    labels = tuple(map(torch.tensor, labels))
    found = ctc_loss(labels, (values, torch.tensor(logits[1])), mask, smoothing)
    found["summed"].backward()
    return {key: value.detach().numpy() for key, value in found.items()}, values.grad.numpy()


@pytest.fixture(params=["jax", "pytorch"])
def framework(request):
    return request.param


def test_the_loss_sums_over_every_alignment(framework):
    labels, logits = batch()
    found, grad = loss_and_gradient(framework, labels, logits)
    wanted = [
        negative_log_likelihood(of_row[:frames], tokens)
        for of_row, frames, tokens in zip(logits[0], NUM_FRAMES_OF_ROW, TOKENS_OF_ROW, strict=True)
    ]
    np.testing.assert_allclose(found["per_example"], wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["summed"], sum(wanted), rtol=1e-5)
    assert found["n_valid_examples"] == sum(map(len, TOKENS_OF_ROW))
    assert np.isfinite(grad).all()
    assert not grad[logits[1] > 0].any(), "frames of padding have no part in it"


def test_a_known_value(framework):
    labels = np.array([[1.0, 2.0, 2.0]], np.float32), np.zeros((1, 3), np.float32)
    logits = np.zeros((1, 10, 5), np.float32), np.zeros((1, 10), np.float32)
    found, _ = loss_and_gradient(framework, labels, logits)
    np.testing.assert_allclose(found["per_example"], 9.265667, rtol=1e-6)


def test_a_target_that_cannot_be_aligned_costs_nothing_and_moves_nothing(framework):
    labels, logits = batch()
    labels[0][0], labels[1][0] = [1, 1, 2, 2], 0  # Six frames are needed, two of them blanks.
    found, grad = loss_and_gradient(framework, labels, logits)
    assert found["per_example"][0] > 0
    logits[1][0, 5:] = 1
    found, grad = loss_and_gradient(framework, labels, logits)
    assert found["per_example"][0] == 0
    assert not grad[0].any()
    assert np.isfinite(grad).all()


@pytest.mark.parametrize("shape", ["rows", "tokens", "column"])
def test_rows_with_mask_zero_count_neither_in_the_loss_nor_in_the_tokens(framework, shape):
    labels, logits = batch()
    everything, _ = loss_and_gradient(framework, labels, logits)
    mask = np.array([1, 0, 1, 1, 1], np.float32)
    if shape != "rows":
        mask = np.repeat(mask[:, None], NUM_TOKENS if shape == "tokens" else 1, axis=1)
    logits[0][1] = np.nan if framework == "pytorch" else 1e30
    found, _ = loss_and_gradient(framework, labels, logits, mask)
    assert found["per_example"][1] == 0
    kept = [0, 2, 3, 4]
    np.testing.assert_allclose(found["per_example"][kept], everything["per_example"][kept], rtol=1e-6)
    assert found["n_valid_examples"] == 3 + 3
    nothing, _ = loss_and_gradient(framework, labels, logits, 0 * mask)
    assert nothing["summed"] == 0
    assert nothing["n_valid_examples"] == 1, "a sum can be divided by it"


def test_the_frameworks_have_the_same_gradients():
    labels, logits = batch()
    _, in_jax = loss_and_gradient("jax", labels, logits)
    _, in_torch = loss_and_gradient("pytorch", labels, logits, smoothing=0.3)  # Ignored.
    np.testing.assert_allclose(in_jax, in_torch, atol=1e-6)
