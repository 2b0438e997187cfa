"""Workloads as the conformance tests see them: every mini and development workload, with little data."""

import dataclasses
import functools
import hashlib
from pathlib import Path

import numpy as np

from algoperf import evaluation, registry, spec
from algoperf.bound_workload import Workload
from algoperf.data.batch import arrays

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
    return found.is_mini or not registry.data_module(found).NEEDS_FILES


def few(name):
    """The workload with few examples of each kind."""
    found = registry.get(name)
    counts = FEW | FEW_OF.get(found.dataset, {})
    if not found.has_test_split:
        counts = {key: value for key, value in counts.items() if key != "num_test_examples"}
    changes = {key: min(value, getattr(found, key)) for key, value in counts.items()}
    if "use_specaug" in found.model:  # Random masks in every training pass would hide all else.
        changes["model"] = found.model.as_configdict().to_dict() | {"use_specaug": False}
    return dataclasses.replace(found, **changes)


def digest_of_batches(name, place):
    """A hash over the evaluation batches of all splits and the first training batches of a seed."""
    found = few(name)
    data = registry.data_module(found)
    digest = hashlib.sha256()
    for split in evaluation.splits_of(found):
        for batch in data.eval_batches(found, Path(place), split, 32):
            for array in arrays(batch):
                digest.update(array.tobytes())
    stream = data.train_stream(found, Path(place), 5, 8)
    for _ in range(2):
        for array in arrays(next(stream)):
            digest.update(array.tobytes())
    return digest.hexdigest()


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
        folder = self.workload.evaluator.folder
        stream = self.workload.data_module.train_stream(self.spec, folder, 0, 8)
        self.host_batch = next(stream)
        self.batch = self.workload.model.to_device(self.host_batch)
        self._folder = folder

    @functools.cached_property
    def eval_batch(self):
        """All validation examples, at least 32."""
        return next(iter(self.workload.data_module.eval_batches(self.spec, self._folder, "validation", 32)))

    def evaluate(self, params, model_state):
        """Outputs of the evaluation batch, as NumPy."""
        batch = self.workload.model.eval_to_device(self.eval_batch)
        return self.workload.model.eval_step(params, model_state, batch)

    def metrics_of(self, outputs):
        """What the family's metrics make of these outputs, as the evaluator checks them."""
        metrics = registry.metrics_module(self.spec).make_metrics(self.spec, self._folder)
        metrics.update(self.eval_batch, outputs)
        return evaluation.numbers_of(self.spec, metrics.result())

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


def leaves(tree):
    """All parameters (or gradients) as NumPy arrays."""
    if hasattr(tree, "parameters"):
        return [parameter.detach().numpy().copy() for parameter in tree.parameters()]
    found = []
    for value in tree.values():
        found += leaves(value) if isinstance(value, dict) else [np.asarray(value)]
    return found


def moved(params, grads, step):
    """params + step * grads; PyTorch modules are changed in place."""
    if hasattr(params, "named_parameters"):
        import torch

        with torch.no_grad():
            for name, parameter in params.named_parameters():
                parameter.add_(grads[name].clone(), alpha=step)
        return params
    return {
        key: moved(value, grads[key], step) if isinstance(value, dict) else value + step * grads[key]
        for key, value in params.items()
    }
