"""Shampoo with small blocks and a soon start: its rule, the layouts of real models, and work over devices."""

import ast
import dataclasses
import functools
import itertools
import math

import numpy as np
import pytest
from linear_workload import load, point
from test_training_step import output, start
from test_update_rules import numpy_cosine

from algoperf import param_utils, registry
from reference_algorithms.shampoo.blocks import blocks_of, is_preconditioned, merged_shape
from reference_algorithms.shampoo.self_tuning import PAPER, Settings, settings_for

pytestmark = pytest.mark.filterwarnings("error")
BOTH = pytest.mark.parametrize("framework", ["jax", "torch"])

SMALL = Settings(block_size=4, merge_up_to=8, largest_dimension=10, root_interval=3, start=7)
POINT = point(learning_rate=0.02, one_minus_beta1=0.2, beta2=0.9, weight_decay=0.2, warmup_factor=0.25)
STEP_HINT = 12

# The first statistics have eigenvalues near the ridge, 1e-6 of the largest; float32 knows those to a tenth.
ROUNDING = 1e-4
SHAPES = {
    "all_ones": (1, 1),
    "conv": (2, 2, 3, 4),  # Merged to (4, 3, 4).
    "long": (11, 2),  # Skipped.
    "matrix": (6, 5),  # Cut into four blocks.
    "merged": (2, 1, 3),  # A vector of 6, cut into two blocks.
    "scalar": (),
}


def values(seed, scale=1.0):
    rng = np.random.default_rng(seed)
    return {name: (scale * rng.normal(size=shape)).astype(np.float32) for name, shape in SHAPES.items()}


def gradients(num_steps=STEP_HINT):
    """Of very different lengths: Shampoo's direction does not depend on their scale, statistics do."""
    return [values(seed, scale=0.1 * 2.0 ** (seed % 4)) for seed in range(1, num_steps + 1)]


class NumpyShampoo:
    """One tensor under the rule, in float64, block by block."""

    def __init__(self, w, settings, h):
        self.w, self.settings, self.h = w.astype(np.float64), settings, h
        self.d = self.ma = self.ms = np.zeros(w.shape)
        self.merged, self.state = None, {}
        if w.size > 1 and max(w.shape) <= settings.largest_dimension:
            self.merged = [1]
            for size in w.shape:
                fits = self.merged[-1] * size <= settings.merge_up_to
                self.merged = [*self.merged[:-1], self.merged[-1] * size] if fits else [*self.merged, size]
            self.merged = [size for size in self.merged if size > 1]

    def precondition(self, g, s):
        settings, b2 = self.settings, self.h.beta2
        whole = g.reshape(self.merged)
        result = np.zeros_like(whole)
        cuts = [range(0, size, settings.block_size) for size in self.merged]
        for corner in itertools.product(*cuts):
            place = tuple(slice(begin, begin + settings.block_size) for begin in corner)
            block = direction = whole[place]
            p = 2 * block.ndim
            for axis, side in enumerate(block.shape):
                others = [other for other in range(block.ndim) if other != axis]
                L, P = self.state.get((corner, axis), (1e-6 * np.eye(side), np.eye(side)))
                L = b2 * L + (1 - b2) * np.tensordot(block, block, (others, others))
                if s % settings.root_interval == 0:
                    largest = np.linalg.eigvalsh(L)[-1]
                    root, vectors = np.linalg.eigh(L + 1e-6 * max(largest, 1e-25) * np.eye(side))
                    P = vectors @ np.diag(root ** (-1 / p)) @ vectors.T
                self.state[corner, axis] = L, P
                direction = np.moveaxis(np.tensordot(P, direction, (1, axis)), 0, axis)
            result[place] = direction
        return result.reshape(g.shape)

    def step(self, g, s):
        g = g.astype(np.float64)
        b1, b2, decay = 1 - self.h.one_minus_beta1, self.h.beta2, self.h.weight_decay * self.w
        unit = g / (np.linalg.norm(g) + 1e-25)
        self.d = b2 * self.d + (1 - b2) * unit**2
        a = unit / (np.sqrt(self.d) + 1e-8)
        if self.merged is not None:
            G = self.precondition(g, s)
            S = G * np.linalg.norm(a) / (np.linalg.norm(G) + 1e-25)
        else:
            S = a
        self.ms = b1 * self.ms + (1 - b1) * (S + decay)
        self.ma = b1 * self.ma + (1 - b1) * (a + decay)
        u, m = (S + decay, self.ms) if s >= self.settings.start else (a + decay, self.ma)
        self.w = self.w - numpy_cosine(s, self.h) * ((1 - b1) * u + b1 * m)


@functools.cache
def expected(settings):
    tensors = {name: NumpyShampoo(w, settings, POINT) for name, w in values(0).items()}
    trajectory = []
    for s, grads in enumerate(gradients()):
        for name, tensor in tensors.items():
            tensor.step(grads[name], s)
        trajectory.append({name: tensor.w for name, tensor in tensors.items()})
    return trajectory


class InJax:
    """The JAX rule on given gradients; names are in the order of leaves."""

    def __init__(self, params, types=None, settings=SMALL):
        import jax

        module = load("shampoo", "jax")
        shapes = (
            [params[name].shape for name in sorted(params)]
            if types is None
            else module.tensor_shapes(params, types)
        )
        optimizer = module.make_optimizer(POINT, STEP_HINT, shapes, settings)
        self.params = jax.tree.map(jax.numpy.asarray, params)
        self.state = jax.jit(optimizer.init)(self.params)
        self.update = jax.jit(optimizer.update)

    def step(self, grads):
        import optax

        updates, self.state = self.update(grads, self.state, self.params)
        self.params = optax.apply_updates(self.params, updates)
        return {name: np.array(value) for name, value in self.params.items()}


class InTorch:
    """The PyTorch rule on given gradients."""

    def __init__(self, params, settings=SMALL, layouts=None):
        import torch

        from reference_algorithms.shared.layouts_torch import Layout

        module = load("shampoo", "torch")
        self.params = {name: torch.nn.Parameter(torch.tensor(value)) for name, value in params.items()}
        self.optimizer = module.Shampoo(
            self.params.values(),
            layouts or [Layout()] * len(params),
            lr=0.0,
            betas=(1 - POINT.one_minus_beta1, POINT.beta2),
            weight_decay=POINT.weight_decay,
            settings=settings,
        )
        self.global_step = 0

    def step(self, grads):
        import torch

        for name, param in self.params.items():
            param.grad = torch.tensor(grads[name])
        for group in self.optimizer.param_groups:
            group["lr"] = numpy_cosine(self.global_step, POINT)
        self.optimizer.step()
        self.global_step += 1
        return {name: param.detach().numpy().copy() for name, param in self.params.items()}


RUNS = {"jax": InJax, "torch": InTorch}


@functools.cache
def found(framework, settings):
    session = RUNS[framework](values(0), settings=settings)
    return [session.step(grads) for grads in gradients()]


@BOTH
def test_parameters_follow_the_formulas_before_and_after_the_start(framework):
    for s, (new, wanted) in enumerate(zip(found(framework, SMALL), expected(SMALL), strict=True)):
        for name in SHAPES:
            np.testing.assert_allclose(new[name], wanted[name], rtol=0, atol=ROUNDING, err_msg=f"{name}, {s}")


@pytest.mark.parametrize(
    ("change", "concerned"),
    [
        ({"start": 100}, {"conv", "matrix", "merged"}),
        ({"root_interval": 4}, {"conv", "matrix", "merged"}),
        ({"block_size": 8}, {"matrix", "merged"}),
        ({"merge_up_to": 5}, {"merged"}),
        ({"largest_dimension": 5}, {"matrix"}),
    ],
)
def test_every_setting_moves_the_tensors_that_it_is_about(change, concerned):
    """So the check against the formulas would see each of them go wrong."""
    other, usual = expected(dataclasses.replace(SMALL, **change))[-1], expected(SMALL)[-1]
    assert {name for name in SHAPES if np.abs(other[name] - usual[name]).max() > 1e-3} == concerned


def test_shapes_are_merged_and_cut_as_in_the_paper():
    assert merged_shape((3, 3, 512, 512), PAPER) == (9, 512, 512)
    assert merged_shape((1, 1, 64, 64), PAPER) == (4096,)
    assert merged_shape((64, 65), PAPER) == (64, 65)
    shapes = [block.shape for block in blocks_of((2048, 1500), PAPER)]
    assert shapes == [(1024, 1024), (1024, 476)] * 2
    assert is_preconditioned((2048, 2048), PAPER)
    assert not is_preconditioned((2049, 2), PAPER)
    assert not is_preconditioned((), PAPER)
    assert not is_preconditioned((1, 1), PAPER)


def test_layers_of_small_models_are_not_made_into_one_axis():
    assert settings_for(5_000_000) == PAPER
    small = settings_for(118_096)
    assert merged_shape((64, 64), small) == (64, 64)
    assert max(max(block.shape) for block in blocks_of((512, 410), small)) == 256


@BOTH
def test_a_gradient_that_is_not_finite_leaves_the_roots_as_they_are(framework):
    session = RUNS[framework](values(0))
    for grads in gradients(3):
        session.step(grads)
    before = roots(session, framework)
    session.step({name: np.full_like(grad, np.nan) for name, grad in gradients(1)[0].items()})
    for old, new in zip(before, roots(session, framework), strict=True):
        np.testing.assert_array_equal(old, new)
        assert np.isfinite(new).all()


def roots(session, framework):
    if framework == "jax":
        return [np.array(stack) for stacks in session.state[0].roots for stack in stacks]
    states = session.optimizer.state.values()
    return [root.numpy().copy() for state in states for block in state.get("roots", []) for root in block]


def test_a_resumed_jax_run_equals_an_uninterrupted_one_bit_for_bit():
    import jax

    whole = InJax(values(0))
    for grads in gradients()[:8]:
        whole.step(grads)
    saved = jax.tree.map(np.array, (whole.params, whole.state))
    resumed = InJax(values(0))
    resumed.params, resumed.state = jax.tree.map(jax.numpy.asarray, saved)
    for grads in gradients()[8:]:
        final, again = whole.step(grads), resumed.step(grads)
    assert all(np.array_equal(final[name], again[name]) for name in SHAPES)
    assert roots(whole, "jax")[0].any()


def test_a_resumed_pytorch_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path):
    import torch

    whole = InTorch(values(0))
    for grads in gradients()[:8]:
        params = whole.step(grads)
    torch.save(whole.optimizer.state_dict(), tmp_path / "optimizer")
    resumed = InTorch(params)
    resumed.optimizer.load_state_dict(torch.load(tmp_path / "optimizer"))
    resumed.global_step = 8
    for grads in gradients()[8:]:
        final, again = whole.step(grads), resumed.step(grads)
    assert all(np.array_equal(final[name], again[name]) for name in SHAPES)
    assert roots(whole, "torch")


# ---- layouts of real models ----------------------------------------------------------------------------------------

MODELS = [
    "criteo1tb_mini",
    "digits",
    "fastmri_mini",
    "imagenet_resnet_mini",
    "imagenet_vit_mini",
    "imagenet_vit_map_mini",
    "librispeech_conformer_mini",
    "librispeech_deepspeech_mini",
    "ogbg_mini",
    "wmt_mini",
]
FULL = sorted({registry.get(name).family for name in MODELS} - {"digits"})


def abstract_params(spec):
    """Shapes of the Flax model, without compiling anything."""
    import jax

    family = registry.model_module(spec, "jax")
    batch = jax.tree.map(
        lambda array: jax.ShapeDtypeStruct(np.shape(array), array.dtype), family.example_batch(spec)
    )
    module = family.make_model(spec)
    init = functools.partial(
        module.lazy_init, **family.call_args(batch, train=False), train=False, dropout_rate=0.0
    )
    return jax.eval_shape(init, jax.random.PRNGKey(0))["params"]


def torch_model(spec, device="cpu"):
    import torch

    with torch.device(device):
        model = registry.model_module(spec, "torch").make_model(spec)
    return model, param_utils.pytorch_param_types(param_utils.pytorch_param_shapes(model))


def jax_tensors(params):
    """(shape as it is merged, array) of each leaf."""
    import jax

    types = param_utils.jax_param_types(param_utils.jax_param_shapes(params))
    return zip(load("shampoo", "jax").tensor_shapes(params, types), jax.tree.leaves(params), strict=True)


@pytest.mark.parametrize("name", MODELS)
def test_both_frameworks_merge_the_same_tensors(name):
    jax, torch = pytest.importorskip("jax"), pytest.importorskip("torch")
    from reference_algorithms.shared.layouts_torch import layouts_of

    spec = registry.get(name)
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: rng.random(leaf.shape, np.float32), abstract_params(spec))
    weights = registry.weights_module(spec).jax_to_torch(params, spec)
    model, types = torch_model(spec)
    model.load_state_dict({key: torch.tensor(value) for key, value in weights.items()}, strict=False)
    settings = Settings(merge_up_to=512)
    wanted = sorted((merged_shape(shape, settings), leaf.tobytes()) for shape, leaf in jax_tensors(params))
    there = []
    for layout, param in zip(layouts_of(model, types), model.parameters(), strict=True):
        for tensor in layout.split(param.detach()):
            in_jax = layout.to_jax(tensor)
            assert tuple(in_jax.shape) == layout.jax_shape(param.shape)
            assert torch.equal(layout.from_jax(in_jax), tensor)
            merged = merged_shape(tuple(in_jax.shape), settings)
            there.append((merged, in_jax.contiguous().numpy().tobytes()))
    assert sorted(there) == wanted


@pytest.mark.parametrize("name", FULL)
def test_at_full_size_both_frameworks_have_the_same_blocks(name):
    pytest.importorskip("jax"), pytest.importorskip("torch")
    from reference_algorithms.shared.layouts_torch import layouts_of

    def blocks(shape):
        return (
            [b.shape for b in blocks_of(shape, PAPER)]
            if is_preconditioned(shape, PAPER)
            else [math.prod(shape)]
        )

    spec = registry.get(name)
    model, types = torch_model(spec, "meta")
    there = [
        blocks(layout.jax_shape(param.shape))
        for layout, param in zip(layouts_of(model, types), model.parameters(), strict=True)
        for _ in range(layout.num_tensors)
    ]
    wanted = [blocks(shape) for shape, _ in jax_tensors(abstract_params(spec))]
    assert sorted(map(str, there)) == sorted(map(str, wanted))


def test_fused_and_permuted_parameters_follow_the_rule_of_the_tensors_in_them():
    pytest.importorskip("torch")
    from reference_algorithms.shared.layouts_torch import Layout

    layouts = {
        "fused": Layout(num_tensors=3, axes=(1, 0)),
        "conv": Layout(axes=(2, 3, 1, 0)),
        "turned": Layout(axes=(2, 3, 0, 1), turned=(0, 1)),
    }

    def draw(seed):
        rng = np.random.default_rng(seed)
        shapes = {"q": (6, 5), "k": (6, 5), "v": (6, 5), "conv": (3, 2, 3, 4), "turned": (3, 2, 3, 4)}
        return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}

    def in_torch(tensors):
        return {
            "fused": np.concatenate([tensors[name].T for name in "qkv"]),
            "conv": tensors["conv"].transpose(3, 2, 0, 1).copy(),
            "turned": tensors["turned"][::-1, ::-1].transpose(2, 3, 0, 1).copy(),
        }

    separate = {name: NumpyShampoo(w, SMALL, POINT) for name, w in draw(0).items()}
    together = InTorch(in_torch(draw(0)), layouts=[layouts[name] for name in in_torch(draw(0))])
    for s in range(STEP_HINT):
        grads = draw(s + 1)
        for name, tensor in separate.items():
            tensor.step(grads[name], s)
        params = together.step(in_torch(grads))
    for name, wanted in in_torch({name: tensor.w for name, tensor in separate.items()}).items():
        np.testing.assert_allclose(params[name], wanted, rtol=0, atol=ROUNDING, err_msg=name)


def test_pytorch_decomposes_again_in_float64_what_does_not_converge(monkeypatch):
    torch = pytest.importorskip("torch")
    module = load("shampoo", "torch")
    plain = torch.linalg.eigh
    matrices = torch.tensor([[[5.0, 4.0], [4.0, 5.0]]])
    wanted = module.inverse_roots(matrices, (-0.5,), 1e-6)

    def stubborn(matrices):
        if matrices.dtype == torch.float32:
            raise torch.linalg.LinAlgError
        return plain(matrices)

    monkeypatch.setattr(torch.linalg, "eigh", stubborn)
    again = module.inverse_roots(matrices, (-0.5,), 1e-6)
    assert again.dtype == torch.float32
    torch.testing.assert_close(again, wanted)
    torch.testing.assert_close(again, torch.tensor([[[2 / 3, -1 / 3], [-1 / 3, 2 / 3]]]), atol=1e-5, rtol=0)


# ---- several devices -----------------------------------------------------------------------------------------------

TWO_DEVICES = """
import jax
import reference_algorithms.shampoo.submission_jax as module
from test_shampoo import InJax, gradients, values
assert jax.device_count() == 2
shares, plain = [], module.inverse_roots
module.inverse_roots = lambda matrices, *rest: shares.append(len(matrices)) or plain(matrices, *rest)
names = ("conv", "merged")
session = InJax({name: values(0)[name] for name in names})
for grads in gradients():
    params = session.step({name: grads[name] for name in names})
assert all(leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(session.state))
print((shares, {name: value.tolist() for name, value in params.items()}))
"""

TWO_PROCESSES = """
import sys, torch
import reference_algorithms.shampoo.submission_torch as module
from test_shampoo import InTorch, gradients, values
torch.set_num_threads(1)
torch.distributed.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=int(sys.argv[1]), world_size=2)
shares, plain = [], module.inverse_roots
module.inverse_roots = lambda matrices, *rest: shares.append(len(matrices)) or plain(matrices, *rest)
session = InTorch(values(0))
for grads in gradients():
    params = session.step(grads)
torch.distributed.destroy_process_group()
print((sum(shares), {name: value.tolist() for name, value in params.items()}))
"""


def test_roots_shared_out_over_two_jax_devices_are_those_of_one():
    flags = "--xla_force_host_platform_device_count=2"
    shares, params = ast.literal_eval(output(start(TWO_DEVICES, XLA_FLAGS=flags, JAX_PLATFORMS="cpu")))
    assert shares[:3] == [1, 1, 2]  # Of one matrix of side 2, one of 3 and three of 4.
    for name, vector in params.items():
        np.testing.assert_allclose(vector, found("jax", SMALL)[-1][name], rtol=0, atol=1e-6)


def test_roots_shared_out_over_two_pytorch_processes_are_those_of_one(tmp_path):
    processes = [start(TWO_PROCESSES, rank, tmp_path / "rendezvous") for rank in (0, 1)]
    (first, params), (second, others) = [ast.literal_eval(output(process)) for process in processes]
    assert params == others
    num_updates = STEP_HINT // SMALL.root_interval
    assert (first, second) == (7 * num_updates, 6 * num_updates)  # 3 + 8 + 2 matrices
    for name, wanted in found("torch", SMALL)[-1].items():
        np.testing.assert_allclose(params[name], wanted, rtol=0, atol=1e-6)
