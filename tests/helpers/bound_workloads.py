"""Workloads as the conformance tests see them: every mini and development workload, with little data."""

import dataclasses
import functools

import numpy as np

from algoperf import registry, spec
from algoperf.bound_workload import Workload

FEW = {
    "num_train_examples": 1_000,
    "num_eval_train_examples": 32,
    "num_validation_examples": 32,
    "num_test_examples": 32,
}
# Speech takes longer to make.
FEW_OF = {"librispeech": {"num_train_examples": 160}}


def names():
    """Workloads that are small enough for a test: mini twins, and families that need no files."""
    small = [name for name in registry.names() if is_small(registry.get(name))]
    assert "digits" in small
    assert set(registry.names(mini=True)) <= set(small)
    return small


def is_small(found):
    return found.is_mini or not getattr(registry.data_module(found), "NEEDS_FILES", True)


def few(name):
    """The workload with few examples of each kind."""
    found = registry.get(name)
    counts = FEW | FEW_OF.get(found.dataset, {})
    changes = {key: min(value, getattr(found, key)) for key, value in counts.items()}
    if "use_specaug" in found.model:  # Random masks in every training pass would hide all else.
        changes["model"] = found.model.as_configdict().to_dict() | {"use_specaug": False}
    return dataclasses.replace(found, **changes)


def woken(params):
    """Parameters in which nothing is all zero: a zero output layer or scale hides whatever comes before it."""
    rng = np.random.default_rng(0)
    if hasattr(params, "named_parameters"):
        import torch

        with torch.no_grad():
            for parameter in params.parameters():
                if not parameter.any():
                    parameter.copy_(torch.tensor(0.02 * rng.normal(size=parameter.shape)))
        return params

    def wake(tree):
        if isinstance(tree, dict):
            return {key: wake(value) for key, value in tree.items()}
        return tree if tree.any() else tree + 0.02 * rng.normal(size=tree.shape).astype(np.float32)

    return wake(params)


class Bound:
    """A workload with weights and a batch."""

    def __init__(self, name, framework, data_dir):
        self.spec, self.framework = few(name), framework
        self.workload = Workload(self.spec, framework, data_dir)
        params, self.model_state = self.workload.init_model_fn(self.workload.backend.root_key(0))
        self.initial_params, self.params = params, woken(params)
        folder = self.workload.evaluator._folder
        stream = self.workload.data_module.train_stream(self.spec, folder, 0, 8)
        self.host_batch = next(stream)
        self.batch = self.workload.model.to_device(self.host_batch)

    def mean_loss(self, params, dropout_rate=0.0, seed=0):
        """Loss per valid example on the batch and its gradient, in training mode."""
        return (
            self._compiled(params, dropout_rate, seed)
            if self.framework == "jax"
            else self._torch(dropout_rate)
        )

    @functools.cached_property
    def _compiled(self):
        import jax

        def loss(params, dropout_rate, seed):
            rng = jax.random.PRNGKey(seed)
            return self._loss(params, self.batch, rng, dropout_rate)

        return jax.jit(jax.value_and_grad(loss))

    def _loss(self, params, batch, rng, dropout_rate):
        train = spec.ForwardPassMode.TRAIN
        logits, _ = self.workload.model_fn(
            params, batch, self.model_state, train, rng, update_batch_norm=False, dropout_rate=dropout_rate
        )
        found = self.workload.loss_fn(
            label_batch=batch["targets"], logits_batch=logits, mask_batch=batch.get("weights")
        )
        return found["summed"] / found["n_valid_examples"]

    def _torch(self, dropout_rate):
        self.params.zero_grad()
        loss = self._loss(self.params, self.batch, None, dropout_rate)
        loss.backward()
        return loss.detach(), {name: parameter.grad for name, parameter in self.params.named_parameters()}
