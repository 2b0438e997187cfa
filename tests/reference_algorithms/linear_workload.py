"""A workload whose gradients the test chooses, and ways to run any submission on it in either framework."""

import functools
import importlib
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from algoperf import spec

ROOT = Path(__file__).resolve().parents[2]
FAMILIES = (
    "adafactor",
    "adamw",
    "ademamix",
    "cautious_nadamw",
    "heavy_ball",
    "ema_nadamw",
    "lamb",
    "lion",
    "muon",
    "nadamw",
    "nesterov",
    "prodigy",
    "sam",
    "schedule_free",
    "shampoo",
    "soap",
)
SHAPES = {"bias": (3,), "kernel": (2, 3), "scale": ()}
SIZE = sum(int(np.prod(shape)) for shape in SHAPES.values())


def point(**values):
    """Hyperparameters as the harness hands them over."""
    return namedtuple("Hyperparameters", values)(**values)


# For a step hint of 12: warm-up of 3 steps.
COMMON = {"learning_rate": 0.01, "one_minus_beta1": 0.2, "weight_decay": 0.2, "warmup_factor": 0.25}
ADAM = {**COMMON, "beta2": 0.9}
SLOWER = {**ADAM, "one_minus_beta1": 0.1, "beta2": 0.99, "weight_decay": 0.3}
MOMENTUM = {
    **COMMON,
    "learning_rate": 0.05,
    "one_minus_beta1": 0.1,
    "weight_decay": 0.01,
    "decay_steps_factor": 0.7,
    "end_factor": 0.01,
}
POINTS = {
    "adafactor": point(**COMMON),
    "adamw": point(**SLOWER),
    "ademamix": point(**{**ADAM, "beta2": 0.95}, one_minus_beta3=0.03, alpha=3.0),
    "cautious_nadamw": point(**ADAM),
    "ema_nadamw": point(**ADAM, average_factor=0.3),
    "heavy_ball": point(**MOMENTUM),
    "lamb": point(**SLOWER),
    "lion": point(**{**SLOWER, "beta2": 0.8}),
    "muon": point(**{**ADAM, "one_minus_beta1": 0.1}, one_minus_momentum=0.2),
    "nadamw": point(**ADAM),
    "nesterov": point(**MOMENTUM),
    "prodigy": point(**{**ADAM, "learning_rate": 1.0}, first_estimate=0.01),
    "sam": point(**SLOWER, rho=0.5),
    "schedule_free": point(**{**ADAM, "learning_rate": 0.05}),
    "shampoo": point(**ADAM),
    "soap": point(**ADAM, precondition_frequency=3),
}


def load(family, framework):
    """The submission module of one family, or of the template."""
    pytest.importorskip(framework)
    folder = "submissions.template" if family == "template" else f"reference_algorithms.{family}"
    return importlib.import_module(f"{folder}.submission_{framework}")


class Logger:
    """Keeps what a submission logs."""

    def __init__(self):
        self.rows = []

    def append_scalar_metrics(self, metrics, global_step):
        self.rows.append((global_step, {name: float(value) for name, value in metrics.items()}))


class LinearWorkload:
    """Logits are <inputs, params>, so the gradient of the mean loss is the mean of the inputs.

    With a curvature `c` the logits have a part c/2 |params|^2, and the gradient a part c * params. Label smoothing `a`
    multiplies the loss by 1 + a, which makes it visible in the gradient.
    """

    def __init__(self, step_hint=12, curvature=0.0):
        self.step_hint, self.curvature = step_hint, curvature
        self.batch_norm_updates = []
        self.metrics_logger = None
        self.dropout_rates = []
        types = {"bias": spec.ParameterType.BIAS, "kernel": spec.ParameterType.WEIGHT}
        self.model_params_types = {name: types.get(name, spec.ParameterType.WEIGHT) for name in SHAPES}

    def model_fn(
        self,
        params,
        augmented_and_preprocessed_input_batch,
        model_state,
        mode,
        rng,
        update_batch_norm,
        dropout_rate="workload default",
    ):
        assert mode is spec.ForwardPassMode.TRAIN
        self.batch_norm_updates.append(update_batch_norm)
        self.dropout_rates.append(dropout_rate)
        flat = self.flatten(params)
        logits = augmented_and_preprocessed_input_batch["inputs"] @ flat
        return logits + 0.5 * self.curvature * (flat * flat).sum(), model_state

    def is_output_params(self, param_key):
        return False

    def loss_fn(self, label_batch, logits_batch, mask_batch=None, label_smoothing=0.0):
        per_example = (1 + label_smoothing) * (logits_batch - label_batch)
        if mask_batch is None:
            mask_batch = per_example * 0 + 1
        per_example = per_example * mask_batch
        return {
            "summed": per_example.sum(),
            "n_valid_examples": mask_batch.sum(),
            "per_example": per_example,
        }


def initial_values():
    rng = np.random.default_rng(1)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}


def flat(values):
    """All parameters as one vector, in the order of their names."""
    return np.concatenate([values[name].ravel() for name in sorted(values)])


def numpy_batches(num_steps, batch_size=4, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(num_steps):
        weights = np.ones(batch_size, np.float32)
        weights[-1] = 0.0  # one padded example
        yield {
            "inputs": rng.normal(size=(batch_size, SIZE)).astype(np.float32),
            "targets": np.zeros(batch_size, np.float32),
            "weights": weights,
        }


class Run:
    """Runs a submission on the linear workload."""

    def __init__(self, module, hyperparameters, workload=None):
        self.module, self.hyperparameters = module, hyperparameters
        self.workload = workload or LinearWorkload()
        self.params, self.rng = self.start()
        self.state = module.init_optimizer_state(self.workload, self.params, None, hyperparameters, self.rng)
        self.global_step = 0

    def arguments(self):
        """What `update_params` and `prepare_for_eval` both get."""
        return {
            "workload": self.workload,
            "current_param_container": self.params,
            "current_params_types": None,
            "model_state": None,
            "hyperparameters": self.hyperparameters,
            "loss_type": spec.LossType.MEAN_SQUARED_ERROR,
            "optimizer_state": self.state,
            "eval_results": [],
            "global_step": self.global_step,
            "rng": self.rng,
        }

    def step(self, batch):
        batch = self.module.data_selection(
            *(self.workload, iter([batch]), self.state, self.params, None, self.hyperparameters),
            *(self.global_step, self.rng),
        )
        self.state, self.params, _ = self.module.update_params(**self.arguments(), batch=batch)
        self.global_step += 1

    def prepare(self):
        """What `prepare_for_eval` makes of the parameters, as one vector; training goes on from there."""
        self.state, self.params, _ = self.module.prepare_for_eval(**self.arguments())
        return self.vector()


class JaxRun(Run):
    def start(self):
        """Parameters and random state; the workload learns how parameters become one vector."""
        import jax
        import jax.numpy as jnp

        self.workload.flatten = lambda params: jnp.concatenate([params[n].ravel() for n in sorted(params)])
        return jax.tree.map(jnp.asarray, initial_values()), jax.random.PRNGKey(0)

    def vector(self):
        return flat({name: np.array(value) for name, value in self.params.items()})


class TorchRun(Run):
    def start(self):
        """The same in PyTorch."""
        import torch

        self.workload.flatten = lambda model: torch.cat([p.reshape(-1) for _, p in sorted(model.items())])
        values = {name: torch.nn.Parameter(torch.tensor(v)) for name, v in initial_values().items()}
        return torch.nn.ParameterDict(values), np.array([0, 1], np.int32)

    def step(self, batch):
        import torch

        super().step({name: torch.from_numpy(value) for name, value in batch.items()})

    def vector(self):
        return flat({name: param.detach().numpy() for name, param in self.params.items()})


RUNS = {"jax": JaxRun, "torch": TorchRun}


@functools.cache
def run(family, framework, hyperparameters, num_steps):
    """Parameters after each update, each as one vector in the order of their names."""
    session = RUNS[framework](load(family, framework), hyperparameters)
    trajectory = []
    for batch in numpy_batches(num_steps):
        session.step(batch)
        trajectory.append(session.vector())
    return np.array(trajectory)
