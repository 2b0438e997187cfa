"""Both frameworks on the parameters of real models, whose shapes and layouts differ, and on the same gradients."""

import dataclasses
import functools
import itertools
import types

import jax
import numpy as np
import pytest
import torch
from discovered import ALGORITHMS, module_of

from algoperf import registry
from algoperf.bound_workload import Workload
from algoperf.spec import LossType

# Attention, embeddings and layer norm; convolutions and batch norm. Fewer of the layers that only repeat.
MODELS = {
    "wmt_mini": {"num_layers": 1, "vocab_size": 96, "emb_dim": 64, "mlp_dim": 96},
    "imagenet_resnet_mini": {"stage_sizes": (1, 1), "num_filters": 8},
}
# Transposed convolutions, for algorithms whose own tests have none and to which the axes matter.
TRANSPOSED = {"fastmri_mini": {"num_channels": 16}}
BY_AXES = ("muon",)
NUM_STEPS = 10
STEP_HINT = 250  # Warm-up of the self-tuning points, 1.5 to 5 %, is 3 to 12 steps.
CURVATURE = 0.1
GRADIENT_SIZE = 0.1

# Algorithm -> what differs from its self-tuning point.
CHANGES = {"prodigy": {"first_estimate": 1e-3}}  # Its own is so small that 10 steps move nothing.
# Algorithm -> shapes in JAX of parameters that frameworks update differently.
DIFFERENT = {
    # Factors are over the last two axes, which are others in the two layouts: README.md.
    "adafactor": lambda shape: len(shape) > 2,
}

# Algorithm -> relative difference that is allowed. The first gradient of a matrix that is not square leaves a space in
# which eigenvectors are arbitrary, so the bases of SOAP start differently there: README.md.
TOLERANCES = {"soap": 2e-2}


class GivenGradients:
    """A bound workload with a loss whose gradient the test chooses: <gradient, params> + c/2 |params|²."""

    def __init__(self, workload):
        self.step_hint, self.metrics_logger = STEP_HINT, None
        self.model_params_types = workload.model_params_types
        self.is_output_params = workload.is_output_params

    def model_fn(self, params, augmented_and_preprocessed_input_batch, model_state, *args, **kwargs):
        del args, kwargs
        given = augmented_and_preprocessed_input_batch["inputs"]
        if isinstance(params, torch.nn.Module):
            params = dict(params.named_parameters())
        products = [
            (param * (grad + CURVATURE / 2 * param)).sum()
            for param, grad in zip(jax.tree.leaves(params), jax.tree.leaves(given), strict=True)
        ]
        return sum(products), model_state

    def loss_fn(self, label_batch, logits_batch, mask_batch=None, label_smoothing=0.0):
        del label_batch, mask_batch, label_smoothing
        count = torch.ones(()) if isinstance(logits_batch, torch.Tensor) else 1.0
        return {"summed": logits_batch, "n_valid_examples": count}


@functools.cache
def bound(name, framework):
    """The workload, after it has learnt the shapes of its parameters."""
    base = registry.get(name)
    workload = Workload(
        dataclasses.replace(base, model={**base.model, **{**MODELS, **TRANSPOSED}[name]}), framework
    )
    workload.init_model_fn(workload.backend.root_key(0))
    return workload


@functools.cache
def weights_and_gradients(name):
    """Trees of NumPy arrays in the layout of JAX: the first weights, and a gradient for each step."""
    rng = np.random.default_rng(0)
    shapes = bound(name, "jax").param_shapes

    def normal(size):
        return jax.tree.map(lambda leaf: size * rng.standard_normal(leaf.shape_tuple, np.float32), shapes)

    return normal(0.3), [normal(GRADIENT_SIZE) for _ in range(NUM_STEPS)]


def in_torch(name, tree):
    """The same values under the names and in the layouts of PyTorch."""
    weights = registry.weights_module(registry.get(name))
    return weights.jax_to_torch(tree, bound(name, "jax").spec)


def point_of(algorithm, module):
    """The self-tuning point with its changes; the submission looks it up where it gets None."""
    changes = CHANGES.get(algorithm)
    return types.SimpleNamespace(**{**vars(module.SELF_TUNING_POINT), **changes}) if changes else None


def updates(algorithm, framework, workload, params, gradients):
    """Parameters after an update with each gradient."""
    module = module_of(algorithm, framework)
    point = point_of(algorithm, module)
    state = module.init_optimizer_state(workload, params, None, point, None)
    for global_step, gradient in enumerate(gradients):
        state, params, _ = module.update_params(
            workload=workload,
            current_param_container=params,
            current_params_types=workload.model_params_types,
            model_state=None,
            hyperparameters=point,
            batch={"inputs": gradient, "targets": None},
            loss_type=LossType.SOFTMAX_CROSS_ENTROPY,
            optimizer_state=state,
            eval_results=[],
            global_step=global_step,
            rng=None,
        )
    return params


@functools.cache
def given(name, framework):
    return GivenGradients(bound(name, framework))


def run_jax(algorithm, name):
    weights, gradients = weights_and_gradients(name)
    params = jax.tree.map(jax.numpy.array, weights)
    return in_torch(name, updates(algorithm, "jax", given(name, "jax"), params, gradients))


def run_torch(algorithm, name):
    weights, gradients = weights_and_gradients(name)
    workload = bound(name, "pytorch")
    model, _ = workload.init_model_fn(workload.backend.root_key(0))
    names = list(dict(model.named_parameters()))
    tensors = [{key: torch.from_numpy(v) for key, v in in_torch(name, tree).items()} for tree in gradients]
    state = {key: torch.tensor(value) for key, value in in_torch(name, weights).items()}
    missing = model.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys
    assert not set(missing.missing_keys) & set(names)
    gradients = [{key: gradient[key] for key in names} for gradient in tensors]
    model = updates(algorithm, "pytorch", given(name, "pytorch"), model, gradients)
    return {key: param.detach().numpy() for key, param in model.named_parameters()}


def may_differ(algorithm, name):
    """Names, in PyTorch, of parameters that both frameworks need not update alike."""
    is_different = DIFFERENT.get(algorithm, lambda shape: False)
    marks = jax.tree.map(
        lambda leaf: np.full(leaf.shape, is_different(leaf.shape)), weights_and_gradients(name)[0]
    )
    return {key for key, mark in in_torch(name, marks).items() if mark.flat[0]}


@pytest.mark.parametrize(
    ("algorithm", "name"),
    [*itertools.product(ALGORITHMS, MODELS), *itertools.product(BY_AXES, TRANSPOSED)],
)
def test_both_frameworks_make_the_same_updates_whatever_the_layout(algorithm, name):
    start = in_torch(name, weights_and_gradients(name)[0])
    in_jax, torch_params = run_jax(algorithm, name), run_torch(algorithm, name)
    assert in_jax.keys() == torch_params.keys()
    excepted = may_differ(algorithm, name)
    for key, expected in in_jax.items():
        length = np.linalg.norm(expected)
        assert np.linalg.norm(expected - start[key]) > 1e-3 * length, f"{key} hardly moved"
        difference = np.linalg.norm(torch_params[key] - expected)
        if key in excepted:
            assert difference > 1e-5 * length, f"{key} agrees: take it off the list"
        else:
            assert difference <= TOLERANCES.get(algorithm, 1e-5) * length, key
