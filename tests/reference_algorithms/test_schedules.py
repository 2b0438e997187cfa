"""The learning-rate schedules: where they start, turn and end, in Python numbers and in JAX."""

import numpy as np
import pytest

from reference_algorithms.shared.schedules import warmup_then_cosine, warmup_then_linear

pytestmark = pytest.mark.filterwarnings("error")

COSINE = {"warmup_factor": 0.15, "step_hint": 50}  # warm-up of int(7.5) = 7 steps
LINEAR = {"warmup_factor": 0.15, "decay_steps_factor": 0.9, "end_factor": 0.001, "step_hint": 50}


def test_cosine_starts_at_zero_peaks_after_the_truncated_warmup_and_ends_at_zero():
    schedule = warmup_then_cosine(0.3, **COSINE)
    assert schedule(0) == 0
    assert schedule(6) == pytest.approx(0.3 * 6 / 7)
    assert schedule(7) == 0.3
    assert schedule(49) > 0
    assert schedule(50) == 0


def test_cosine_stays_at_zero_beyond_the_step_hint_instead_of_climbing_again():
    schedule = warmup_then_cosine(0.3, **COSINE)
    assert [schedule(step) for step in range(50, 150)] == [0] * 100


def test_linear_starts_at_zero_and_ends_at_its_constant():
    schedule = warmup_then_linear(0.3, **LINEAR)
    last = 7 + int(43 * 0.9)
    assert schedule(0) == 0
    assert schedule(7) == pytest.approx(0.3)
    assert schedule(last - 1) > schedule(last)
    assert [schedule(step) for step in range(last, last + 100)] == [0.3 * 0.001] * 100


@pytest.mark.parametrize(("make", "facts"), [(warmup_then_cosine, COSINE), (warmup_then_linear, LINEAR)])
def test_without_warmup_the_peak_comes_first(make, facts):
    assert make(0.3, **{**facts, "warmup_factor": 0.0})(0) == pytest.approx(0.3)


@pytest.mark.parametrize(("make", "facts"), [(warmup_then_cosine, COSINE), (warmup_then_linear, LINEAR)])
def test_warmup_over_all_steps_divides_by_nothing(make, facts):
    schedule = make(0.3, **{**facts, "warmup_factor": 1.0})
    assert schedule(49) == pytest.approx(0.3 * 49 / 50)
    assert 0 <= schedule(60) < 0.3


@pytest.mark.parametrize(("make", "facts"), [(warmup_then_cosine, COSINE), (warmup_then_linear, LINEAR)])
@pytest.mark.parametrize("warmup_factor", [0.0, 0.15, 1.0])
def test_jax_computes_the_same_rates_as_python(make, facts, warmup_factor):
    jax = pytest.importorskip("jax")
    facts = {**facts, "warmup_factor": warmup_factor}
    expected = [make(0.3, **facts)(step) for step in range(60)]
    found = jax.jit(jax.vmap(make(0.3, **facts, numbers=jax.numpy)))(jax.numpy.arange(60))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)
    # The ends are exact, not merely close.
    assert found[59] == np.float32(expected[59])


@pytest.mark.parametrize("warmup_factor", [-0.1, 1.5, 5])
def test_a_warmup_outside_the_run_is_refused(warmup_factor):
    with pytest.raises(ValueError, match=r"warmup_factor is a share of the steps, in \[0, 1\]; got"):
        warmup_then_cosine(0.1, warmup_factor=warmup_factor, step_hint=100)
