"""Each algorithm in each framework against an independent NumPy transcription of its formulas."""

import math

import numpy as np
import pytest
from linear_workload import (
    FAMILIES,
    POINTS,
    RUNS,
    SHAPES,
    LinearWorkload,
    flat,
    initial_values,
    load,
    numpy_batches,
    point,
    run,
)

pytestmark = pytest.mark.filterwarnings("error")
STEP_HINT = 12
NUM_STEPS = 15  # three beyond the step hint


def numpy_cosine(s, h):
    warmup = int(h.warmup_factor * STEP_HINT)
    if s < warmup:
        return h.learning_rate * s / warmup
    length = max(STEP_HINT - warmup, 1)
    if s > warmup + length:
        return 0.0
    return h.learning_rate * 0.5 * (1 + math.cos(math.pi * (s - warmup) / length))


def numpy_linear(s, h):
    warmup = int(h.warmup_factor * STEP_HINT)
    decay = int((STEP_HINT - warmup) * h.decay_steps_factor)
    if s < warmup:
        return h.learning_rate * s / warmup
    if s < warmup + decay:
        return h.learning_rate * (1 - (1 - h.end_factor) * (s - warmup) / decay)
    return h.learning_rate * h.end_factor


class Moments:
    """Adam's averages of the gradients and of their squares."""

    def __init__(self, h):
        self.beta1, self.beta2 = 1 - h.one_minus_beta1, h.beta2
        self.num_updates, self.m, self.v = 0, 0.0, 0.0

    def take(self, g, is_nesterov=False):
        """After one more gradient: the average without bias, and the root that it is divided by."""
        beta1, beta2 = self.beta1, self.beta2
        self.num_updates += 1
        self.m = beta1 * self.m + (1 - beta1) * g
        self.v = beta2 * self.v + (1 - beta2) * g * g
        numerator = beta1 * self.m + (1 - beta1) * g if is_nesterov else self.m
        t = self.num_updates
        return numerator / (1 - beta1**t), np.sqrt(self.v / (1 - beta2**t)) + 1e-8


def numpy_adam(h, is_nesterov):
    moments = Moments(h)

    def update(w, g, s):
        m_hat, root = moments.take(g, is_nesterov)
        return w - numpy_cosine(s, h) * (m_hat / root + h.weight_decay * w)

    return update


def by_tensor(vector):
    """The slices of a vector of all parameters that are tensors."""
    sizes = [int(np.prod(SHAPES[name])) for name in sorted(SHAPES)]
    return np.split(vector, np.cumsum(sizes)[:-1])


def numpy_cautious_nadamw(h):
    moments = Moments(h)

    def update(w, g, s):
        m_hat, root = moments.take(g, is_nesterov=True)
        masks = [((a * b) > 0).astype(float) for a, b in zip(by_tensor(m_hat), by_tensor(g), strict=True)]
        mask = np.concatenate([np.atleast_1d(mask / max(mask.mean(), 1e-3)) for mask in masks])
        return w - numpy_cosine(s, h) * (mask * m_hat / root + h.weight_decay * w)

    return update


def numpy_adafactor(h):
    """Tensors of one axis or none keep the whole second moment, the others its row and column means."""
    averages = {}
    moment = 0.0

    def update(w, g, s):
        nonlocal moment
        t = s + 1
        decay = 0.99 * (1 - 0.99 ** (t - 1)) / (1 - 0.99**t)
        steps = []
        for name, flat_grad in zip(sorted(SHAPES), by_tensor(g), strict=True):
            grad = flat_grad.reshape(SHAPES[name])
            q = grad**2 + 1e-30
            parts = (q.mean(-1), q.mean(-2)) if grad.ndim > 1 else (q,)
            old = averages.get(name, [0.0] * len(parts))
            new = [decay * a + (1 - decay) * b for a, b in zip(old, parts, strict=True)]
            averages[name] = new
            v = np.outer(new[0] / new[0].mean(), new[1]) if grad.ndim > 1 else new[0]
            step = grad / np.sqrt(v)
            steps.append(np.ravel(step / max(1, np.sqrt((step**2).mean()))))
        rate = numpy_cosine(s, h)
        moment = (1 - h.one_minus_beta1) * moment + h.one_minus_beta1 * rate * np.concatenate(steps)
        return w - moment - rate * h.weight_decay * w

    return update


def numpy_ademamix(h):
    moments, m2 = Moments(h), 0.0

    def half_life(beta):
        return math.log(0.5) / math.log(beta)

    def update(w, g, s):
        nonlocal m2
        rise = min(s / STEP_HINT, 1)
        fast = half_life(moments.beta1)
        slow = fast + rise * (half_life(1 - h.one_minus_beta3) - fast)
        beta3 = 0.5 ** (1 / slow)
        m2 = beta3 * m2 + (1 - beta3) * g
        m_hat, root = moments.take(g)
        return w - numpy_cosine(s, h) * ((m_hat + rise * h.alpha * m2) / root + h.weight_decay * w)

    return update


def numpy_schedule_free(h, averages=None):
    """Steps of y, where gradients are taken; `averages` collects x."""
    beta1, beta2 = 1 - h.one_minus_beta1, h.beta2
    warmup = max(int(h.warmup_factor * STEP_HINT), 1)
    x = z = None
    v = total = 0.0

    def update(y, g, s):
        nonlocal x, z, v, total
        if s == 0:
            x = z = y
        t = s + 1
        eta = h.learning_rate * min(1, t / warmup)
        total += eta**2
        v = beta2 * v + (1 - beta2) * g * g
        z = z - eta * math.sqrt(1 - beta2**t) * (h.weight_decay * y + g / (np.sqrt(v) + 1e-8))
        x = (1 - eta**2 / total) * x + eta**2 / total * z
        if averages is not None:
            averages.append(x)
        return beta1 * x + (1 - beta1) * z

    return update


def numpy_lamb(h):
    moments = Moments(h)

    def update(w, g, s):
        m_hat, root = moments.take(g)
        steps = []
        for tensor, step in zip(by_tensor(w), by_tensor(m_hat / root + h.weight_decay * w), strict=True):
            norms = np.linalg.norm(tensor), np.linalg.norm(step)
            steps.append(step * (norms[0] / norms[1] if min(norms) > 0 else 1))
        return w - numpy_cosine(s, h) * np.concatenate(steps)

    return update


def numpy_newton_schulz(matrix):
    """The polynomial on singular values, not on matrices as the submissions do it."""
    u, s, v = np.linalg.svd(matrix, full_matrices=False)
    s = s / (np.linalg.norm(matrix) + 1e-7)
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return (u * s) @ v


def numpy_muon(h):
    adam = numpy_adam(h, is_nesterov=False)
    mu = 1 - h.one_minus_momentum
    m = 0.0
    start, stop = 3, 9  # The kernel, between bias and scale.

    def update(w, g, s):
        nonlocal m
        new = adam(w, g, s)
        m = mu * m + (1 - mu) * g
        ahead = (mu * m + (1 - mu) * g)[start:stop].reshape(SHAPES["kernel"])
        step = 0.2 * math.sqrt(max(SHAPES["kernel"])) * numpy_newton_schulz(ahead).ravel()
        kernel = w[start:stop]
        new[start:stop] = kernel - numpy_cosine(s, h) * (step + h.weight_decay * kernel)
        return new

    return update


def numpy_prodigy(h):
    beta1, beta2 = 1 - h.one_minus_beta1, h.beta2
    d = d0 = h.first_estimate
    m = v = q = r = 0.0
    start = None

    def update(w, g, s):
        nonlocal d, m, v, q, r, start
        start = w if s == 0 else start
        t = s + 1
        gamma = d * numpy_cosine(s, h) * math.sqrt(1 - beta2**t) / (1 - beta1**t)
        m = beta1 * m + (1 - beta1) * d * g
        v = beta2 * v + (1 - beta2) * (d * g) ** 2
        q = math.sqrt(beta2) * q + d / d0 * d * g
        r = math.sqrt(beta2) * r + d / d0 * gamma * g @ (start - w)
        d = max(d, r / np.abs(q).sum())
        return w - gamma * (m / (np.sqrt(v) + d * 1e-8) + h.weight_decay * w)

    return update


def numpy_soap(h):
    """The kernel in the eigenbases of L and R; the rest, and only the rest, meets the first gradient as Adam does."""
    adam = numpy_adam(h, is_nesterov=False)
    beta1, beta2 = 1 - h.one_minus_beta1, h.beta2
    m, v = np.zeros(SHAPES["kernel"]), np.zeros(SHAPES["kernel"])
    left = right = 0.0
    bases = None
    start, stop = 3, 9  # The kernel, between bias and scale.

    def refreshed(statistic, basis):
        order = np.argsort(-np.diag(basis.T @ statistic @ basis))
        return np.linalg.qr(statistic @ basis[:, order])[0], order

    def update(w, g, s):
        nonlocal m, v, left, right, bases
        new = adam(w, g, s)
        gradient = g[start:stop].reshape(SHAPES["kernel"])
        direction = np.zeros_like(gradient)
        if s > 0:
            q_left, q_right = bases
            m = beta1 * m + (1 - beta1) * gradient
            v = beta2 * v + (1 - beta2) * (q_left.T @ gradient @ q_right) ** 2
            steps = (q_left.T @ m @ q_right) / (1 - beta1**s) / (np.sqrt(v / (1 - beta2**s)) + 1e-8)
            direction = q_left @ steps @ q_right.T
        left = beta2 * left + (1 - beta2) * gradient @ gradient.T
        right = beta2 * right + (1 - beta2) * gradient.T @ gradient
        if s == 0:
            bases = [np.linalg.eigh(statistic)[1][:, ::-1] for statistic in (left, right)]
        elif s % h.precondition_frequency == 0:
            (q_left, rows), (q_right, columns) = refreshed(left, q_left), refreshed(right, q_right)
            bases, v = [q_left, q_right], v[np.ix_(rows, columns)]
        new[start:stop] = w[start:stop] - numpy_cosine(s, h) * (
            direction.ravel() + h.weight_decay * w[start:stop]
        )
        return new

    return update


def numpy_lion(h):
    beta1, beta2 = 1 - h.one_minus_beta1, h.beta2
    m = 0.0

    def update(w, g, s):
        nonlocal m
        rate = numpy_cosine(s, h)
        w = w * (1 - rate * h.weight_decay) - rate * np.sign(beta1 * m + (1 - beta1) * g)
        m = beta2 * m + (1 - beta2) * g
        return w

    return update


def numpy_shampoo(h):
    """The rule before its start, where nothing is preconditioned; test_shampoo.py has the rest."""
    beta1, beta2 = 1 - h.one_minus_beta1, h.beta2
    m = d = 0.0

    def update(w, g, s):
        nonlocal m, d
        unit = np.concatenate([grad / (np.linalg.norm(grad) + 1e-25) for grad in by_tensor(g)])
        d = beta2 * d + (1 - beta2) * unit**2
        direction = unit / (np.sqrt(d) + 1e-8) + h.weight_decay * w
        m = beta1 * m + (1 - beta1) * direction
        return w - numpy_cosine(s, h) * ((1 - beta1) * direction + beta1 * m)

    return update


def numpy_heavy_ball(h):
    b = 0.0

    def update(w, g, s):
        nonlocal b
        b = (1 - h.one_minus_beta1) * b + g + h.weight_decay * w
        return w - numpy_linear(s, h) * b

    return update


def numpy_nesterov(h):
    beta1 = 1 - h.one_minus_beta1
    b = 0.0

    def update(w, g, s):
        nonlocal b
        g = g + h.weight_decay * w
        b = beta1 * b + g
        return w - numpy_linear(s, h) * (g + beta1 * b)

    return update


RULES = {
    "adamw": lambda h: numpy_adam(h, is_nesterov=False),
    "adafactor": numpy_adafactor,
    "ademamix": numpy_ademamix,
    "sam": lambda h: numpy_adam(h, is_nesterov=False),  # Without curvature the gradient is the same uphill.
    "cautious_nadamw": numpy_cautious_nadamw,
    "ema_nadamw": lambda h: numpy_adam(h, is_nesterov=True),
    "heavy_ball": numpy_heavy_ball,
    "muon": numpy_muon,
    "prodigy": numpy_prodigy,
    "schedule_free": numpy_schedule_free,
    "soap": numpy_soap,
    "lamb": numpy_lamb,
    "lion": numpy_lion,
    "nadamw": lambda h: numpy_adam(h, is_nesterov=True),
    "nesterov": numpy_nesterov,
    "shampoo": numpy_shampoo,
}


def mean_gradient(batch, label_smoothing=0.0):
    weights = batch["weights"].astype(np.float64)
    return (1 + label_smoothing) * (weights @ batch["inputs"].astype(np.float64)) / weights.sum()


def numpy_run(family, h, num_steps, label_smoothing=0.0, grad_clip=None):
    update = RULES[family](h)
    w = flat(initial_values()).astype(np.float64)
    trajectory = []
    for s, batch in enumerate(numpy_batches(num_steps)):
        g = mean_gradient(batch, label_smoothing)
        if grad_clip is not None:
            g = g * min(1.0, grad_clip / (np.linalg.norm(g) + 1e-6))
        w = update(w, g, s)
        trajectory.append(w)
    return trajectory


@pytest.mark.parametrize("framework", ["jax", "torch"])
@pytest.mark.parametrize("family", FAMILIES)
def test_parameters_follow_the_formulas_through_warmup_decay_and_beyond_the_step_hint(family, framework):
    found = run(family, framework, POINTS[family], NUM_STEPS)
    expected = numpy_run(family, POINTS[family], NUM_STEPS)
    assert np.abs(expected[-1] - flat(initial_values())).max() > 0.01
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_both_frameworks_make_the_same_updates_on_the_same_gradients(family):
    in_jax = run(family, "jax", POINTS[family], NUM_STEPS)
    in_torch = run(family, "torch", POINTS[family], NUM_STEPS)
    np.testing.assert_allclose(in_jax, in_torch, rtol=0, atol=1e-6)


# Of the others, the rate is constant after the warm-up, or the first one is not 0, or momentum goes on behind the rate.
WITH_COSINE = [family for family in FAMILIES if family not in ("heavy_ball", "nesterov", "schedule_free")]


@pytest.mark.parametrize("framework", ["jax", "torch"])
@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "schedule_free"])
def test_the_first_update_changes_nothing_because_its_learning_rate_is_zero(family, framework):
    after_one = run(family, framework, POINTS[family], NUM_STEPS)[0]
    np.testing.assert_array_equal(after_one, flat(initial_values()))


@pytest.mark.parametrize("framework", ["jax", "torch"])
@pytest.mark.parametrize("family", [family for family in WITH_COSINE if family != "adafactor"])
def test_parameters_stand_still_beyond_the_step_hint(family, framework):
    trajectory = run(family, framework, POINTS[family], NUM_STEPS)
    np.testing.assert_array_equal(trajectory[STEP_HINT - 1], trajectory[-1])


@pytest.mark.parametrize("framework", ["jax", "torch"])
@pytest.mark.parametrize("family", ["nadamw", "nesterov"])
def test_without_warmup_the_first_update_is_already_a_full_one(family, framework):
    h = POINTS[family]._replace(warmup_factor=0.01)  # int(0.12) == 0 steps
    found = run(family, framework, h, 3)
    np.testing.assert_allclose(found, numpy_run(family, h, 3), rtol=0, atol=1e-6)
    assert np.abs(found[0] - flat(initial_values())).max() > 1e-4


@pytest.mark.parametrize("framework", ["jax", "torch"])
@pytest.mark.parametrize("family", ["ema_nadamw", "schedule_free"])
def test_evaluations_see_the_average_and_leave_training_as_it_is(family, framework):
    h, num_steps = POINTS[family], 10
    if family == "schedule_free":
        averages = []
        update = numpy_schedule_free(h, averages)
        w = flat(initial_values()).astype(np.float64)
        for s, batch in enumerate(numpy_batches(num_steps)):
            w = update(w, mean_gradient(batch), s)
    else:
        average, averages = flat(initial_values()), []
        for t, w in enumerate(numpy_run(family, h, num_steps), start=1):
            average = average + max(1 / t, 1 / (h.average_factor * STEP_HINT)) * (w - average)
            averages.append(average)
    session = RUNS[framework](load(family, framework), h)
    for s, batch in enumerate(numpy_batches(num_steps)):
        session.step(batch)
        np.testing.assert_allclose(session.vector(), run(family, framework, h, num_steps)[s], atol=1e-6)
        if s in (0, 4, 5):
            np.testing.assert_allclose(session.prepare(), averages[s], rtol=0, atol=1e-6)
    session.prepare()
    np.testing.assert_allclose(session.prepare(), averages[-1], rtol=0, atol=1e-6)  # Twice is once.


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_sam_takes_the_gradient_uphill_and_moves_running_statistics_only_once(framework):
    h, curvature = POINTS["sam"], 2.0
    session = RUNS[framework](load("sam", framework), h, LinearWorkload(curvature=curvature))
    update = numpy_adam(h, is_nesterov=False)
    w = flat(initial_values()).astype(np.float64)
    for s, batch in enumerate(numpy_batches(NUM_STEPS)):
        session.step(batch)
        first = mean_gradient(batch) + curvature * w
        uphill = w + h.rho * first / np.linalg.norm(first)
        w = update(w, mean_gradient(batch) + curvature * uphill, s)
        np.testing.assert_allclose(session.vector(), w, rtol=0, atol=2e-6)
    assert session.workload.batch_norm_updates[:2] == [True, False]


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_nadamw_with_beta1_zero_is_finite_and_follows_the_formula(framework):
    h = POINTS["nadamw"]._replace(one_minus_beta1=1.0)
    found = run("nadamw", framework, h, 5)
    np.testing.assert_allclose(found, numpy_run("nadamw", h, 5), rtol=0, atol=1e-6)


def test_nadamw_is_neither_the_nadam_of_optax_nor_that_of_torch():
    jax, optax, torch = (pytest.importorskip(name) for name in ("jax", "optax", "torch"))
    nadamw = load("nadamw", "jax")
    g = jax.numpy.array([1.0, -2.0])
    ours, theirs = nadamw.scale_by_nadam(0.9, 0.99), optax.scale_by_adam(0.9, 0.99, nesterov=True)
    our_update = ours.update(g, ours.init(g))[0]
    assert np.abs(our_update - theirs.update(g, theirs.init(g))[0]).max() > 0.1

    param = torch.nn.Parameter(torch.zeros(2))
    param.grad = torch.tensor([1.0, -2.0])
    torch.optim.NAdam([param], lr=1.0, betas=(0.9, 0.99)).step()
    assert np.abs(-our_update - param.detach().numpy()).max() > 0.1


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_gradients_are_clipped_by_their_global_norm_before_the_optimizer(framework):
    grad_clip = 1.5  # larger than some of the gradients, smaller than others
    h = POINTS["nesterov"]
    norms = [np.linalg.norm(mean_gradient(batch)) for batch in numpy_batches(6)]
    assert min(norms) < grad_clip < max(norms)
    clipped = point(**h._asdict(), grad_clip=grad_clip)
    found = run("nesterov", framework, clipped, 6)
    np.testing.assert_allclose(found, numpy_run("nesterov", h, 6, grad_clip=grad_clip), rtol=0, atol=1e-6)


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_label_smoothing_reaches_the_loss(framework):
    h = POINTS["nesterov"]
    smoothed = point(**h._asdict(), label_smoothing=0.2)
    found = run("nesterov", framework, smoothed, 6)
    np.testing.assert_allclose(found, numpy_run("nesterov", h, 6, label_smoothing=0.2), rtol=0, atol=1e-6)
