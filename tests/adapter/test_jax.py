"""Optimizers of optax as submissions."""

import numpy as np
import pytest

from algoperf.spec import UsageError
from audit.audit import audit

optax = pytest.importorskip("optax")

RATE = {"learning_rate": 0.01}
LOOKAHEAD = {
    "fast_optimizer": "optax.sgd",
    "fast_optimizer.learning_rate": 0.1,
    "sync_period": 5,
    "slow_step_size": 0.5,
}


@pytest.mark.parametrize(
    ("text", "settings", "averages"),
    [
        ("optax.adamw", {**RATE, "weight_decay": 0.1, "clip": 1.0}, False),
        ("optax.polyak_sgd", {}, False),
        ("optax.lookahead", LOOKAHEAD, True),
        ("optax.contrib.schedule_free_adamw", RATE, True),
    ],
)
def test_it_trains_and_nothing_of_the_folder_is_forbidden(text, settings, averages, adapt, train):
    folder = adapt(text, settings)
    start, _ = train(folder, steps=0)
    trained, evaluated = train(folder, steps=3)
    assert np.isfinite(trained).all()
    assert not np.array_equal(trained, start)
    assert np.array_equal(trained, evaluated) != averages
    assert audit(folder).exit_code == 0


def test_ejected_it_trains_to_the_same_parameters(adapt, train, tmp_path):
    folder = adapt("optax.adamw", {**RATE, "weight_decay": 0.1, "clip": 1.0})
    ejected = adapt("optax.adamw", {**RATE, "weight_decay": 0.1, "clip": 1.0}, eject=tmp_path / "edited")
    np.testing.assert_array_equal(train(folder, steps=20)[0], train(ejected, steps=20)[0])


@pytest.mark.parametrize(
    ("text", "settings", "said"),
    [
        ("optax.adam", {}, "needs learning_rate"),
        ("optax.adam", {**RATE, "beta1": 0.9}, "Choose from"),
        ("optax.scale_by_adam", {}, "go uphill"),
        (
            "optax.contrib.dpsgd",
            {**RATE, "l2_norm_clip": 1.0, "noise_multiplier": 0.1, "seed": 0},
            "batch dimension",
        ),
        ("optax.lookahead", {"fast_optimizer": "torch.optim.SGD"}, "for one framework"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(text, settings, said, adapt):
    with pytest.raises(UsageError, match=said):
        adapt(text, settings)
