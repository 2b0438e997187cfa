"""The optional hyperparameters that the training step of every algorithm reads."""

from typing import Any, NamedTuple

from algoperf import spec


class StepOptions(NamedTuple):
    """Constants of a trial. Hashable, so that JAX accepts them as a static argument."""

    label_smoothing: float = 0.0
    """Probability mass spread over all classes; some workloads ignore it."""
    dropout_rate: float | None = None
    """Rate of every dropout layer of the model; None is the workload's default."""
    grad_clip: float | None = None
    """Largest global L2 norm of the gradient of the mean loss; None does not clip."""

    @classmethod
    def from_hyperparameters(cls, hyperparameters: spec.Hyperparameters) -> "StepOptions":
        """The options among the hyperparameters; a missing one has its default.

        >>> from types import SimpleNamespace
        >>> StepOptions.from_hyperparameters(SimpleNamespace(learning_rate=0.1, dropout_rate=0.0))
        StepOptions(label_smoothing=0.0, dropout_rate=0.0, grad_clip=None)
        """
        defaults: dict[str, Any] = cls._field_defaults
        return cls(**{name: getattr(hyperparameters, name, default) for name, default in defaults.items()})


LOG_EVERY_STEPS = 100
"""Loss and gradient norm are logged this often; logging is on the clock."""
