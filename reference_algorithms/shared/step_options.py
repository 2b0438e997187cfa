"""The optional hyperparameters that the training step of every algorithm reads."""

from typing import Any, NamedTuple

from algoperf import spec

LOG_EVERY_STEPS = 100
"""How often steps are logged unless the hyperparameter `log_every_steps` says otherwise; logging is on the clock."""


class StepOptions(NamedTuple):
    """Constants of a trial. Hashable, so that JAX accepts them as a static argument."""

    label_smoothing: float = 0.0
    """Probability mass spread over all classes; some workloads ignore it."""
    dropout_rate: float | None = None
    """Rate of every dropout layer of the model; None is the workload's default."""
    grad_clip: float | None = None
    """Largest global L2 norm of the gradient of the mean loss; None does not clip."""
    log_every_steps: int = LOG_EVERY_STEPS
    """Loss, gradient norm and, where the shared step knows it, learning rate are logged this often; 0 is never."""

    @classmethod
    def from_hyperparameters(cls, hyperparameters: spec.Hyperparameters) -> "StepOptions":
        """The options among the hyperparameters; a missing one has its default.

        >>> from types import SimpleNamespace
        >>> StepOptions.from_hyperparameters(SimpleNamespace(learning_rate=0.1, dropout_rate=0.0))
        StepOptions(label_smoothing=0.0, dropout_rate=0.0, grad_clip=None, log_every_steps=100)
        """
        defaults: dict[str, Any] = cls._field_defaults
        return cls(**{name: getattr(hyperparameters, name, default) for name, default in defaults.items()})


def is_logged(options: StepOptions, global_step: int) -> bool:
    """Whether a step is logged: every n-th, from the first one on; never where n is 0.

    >>> [is_logged(StepOptions(log_every_steps=every), 10) for every in (0, 5, 100)]
    [False, True, False]
    """
    return bool(options.log_every_steps) and global_step % options.log_every_steps == 0
