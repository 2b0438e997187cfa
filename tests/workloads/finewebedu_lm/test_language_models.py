"""The two language models: one function of the same weights, with the sizes, types and laws that are published."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from language_models import SMALL, VARIANTS, abstract_params, small_pair, token_batch, wide_pair, with_model

from algoperf import param_utils, registry
from algoperf.losses import jax_losses
from algoperf.spec import ParameterType, UsageError
from workloads.finewebedu_lm import model_jax, model_torch, positions, weights

BASE = "finewebedu_lm"


def assert_close(found, wanted, tolerance=1e-4, **context):
    """Within `tolerance` of the largest element of `wanted`."""
    limit = tolerance * np.abs(wanted).max()
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=limit, err_msg=str(context))


# ---- one function ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_outputs_losses_and_gradients_agree_at_full_width(variant):
    pair = wide_pair(variant)
    batch = token_batch(pair.spec)
    assert_close(pair.torch_logits(batch["inputs"]), pair.jax_logits(batch["inputs"]))
    (found, found_gradients), (wanted, gradients) = pair.torch_gradients(batch), pair.jax_gradients(batch)
    assert_close(found, wanted)
    assert found_gradients.keys() == gradients.keys()
    for name in gradients:
        assert np.abs(gradients[name]).max() > 0, name
        assert_close(found_gradients[name], gradients[name], parameter=name)


def test_in_bfloat16_they_agree_within_its_rounding():
    """The two differ from each other by no more than each does from float32; losses and gradients are float32."""
    pair = wide_pair(BASE)
    batch = token_batch(pair.spec)
    half = pair.computing_in("bfloat16")
    exact = pair.jax_logits(batch["inputs"])
    found, wanted = half.torch_logits(batch["inputs"]), half.jax_logits(batch["inputs"])
    assert_same_rounding(found, wanted, exact, 0.03)
    _, exact = pair.jax_gradients(batch)
    (found, found_gradients), (wanted, gradients) = half.torch_gradients(batch), half.jax_gradients(batch)
    np.testing.assert_allclose(found, wanted, rtol=1e-3)
    for name in gradients:
        assert gradients[name].dtype == found_gradients[name].dtype == np.float32
        assert_same_rounding(found_gradients[name], gradients[name], exact[name], 0.06)


def assert_same_rounding(found, wanted, exact, most):
    rounding = np.linalg.norm(wanted - exact)
    assert 1e-4 < rounding / np.linalg.norm(exact) < most
    # One number alone may happen to be rounded well.
    rounding = max(rounding, most / 3 * np.linalg.norm(exact))
    assert np.linalg.norm(found - exact) < 1.5 * rounding
    assert np.linalg.norm(found - wanted) < 1.5 * rounding


@pytest.mark.parametrize("variant", VARIANTS[1:])
def test_a_variant_is_another_function_of_the_same_weights(variant):
    base = small_pair(BASE)
    inputs = token_batch(base.spec)["inputs"]
    model = model_torch.make_model(with_model(variant, **SMALL))
    state = base.torch_model.state_dict()
    own = {name: value for name, value in model.state_dict().items() if name not in state}
    shared = {name: state[name][: len(value)] for name, value in model.state_dict().items() if name in state}
    model.load_state_dict({**own, **shared})
    found = base._replace(torch_model=model).torch_logits(inputs)
    assert np.abs(found - base.torch_logits(inputs)).max() > 0.1


def test_no_position_sees_a_later_one():
    pair = small_pair(BASE)
    inputs = token_batch(pair.spec)["inputs"]
    changed = inputs.copy()
    changed[:, 9] = (changed[:, 9] + 1) % 503
    for logits in (pair.jax_logits, pair.torch_logits):
        difference = np.abs(logits(changed) - logits(inputs)).max(axis=(0, 2))
        assert (difference[:9] < 1e-5).all()
        assert (difference[9:] > 1e-3).all()


def test_attention_depends_on_distances_and_on_the_order_of_tokens():
    pair = small_pair("finewebedu_lm_untied")
    inputs = token_batch(pair.spec)["inputs"][:1]
    swapped = inputs.copy()
    swapped[:, [2, 3]] = swapped[:, [3, 2]]
    difference = np.abs(pair.jax_logits(swapped) - pair.jax_logits(inputs)).max(axis=(0, 2))
    assert (difference[4:] > 1e-3).all()
    # A rotation by position: only distances count, so a shorter row gives the same as the start of a longer one.
    assert_close(pair.torch_logits(inputs[:, :7]), pair.jax_logits(inputs)[:, :7])


def test_angles_are_those_of_the_paper():
    cos, sin = positions.table(1024, 128, 500_000.0)
    assert cos.shape == sin.shape == (1024, 64)
    for position, pair in ((1, 0), (1023, 1), (700, 63)):
        angle = position / 500_000.0 ** (2 * pair / 128)
        np.testing.assert_allclose(
            [cos[position, pair], sin[position, pair]], [np.cos(angle), np.sin(angle)], atol=1e-6
        )


def test_queries_and_keys_are_divided_by_norm_plus_epsilon_and_zero_ones_have_finite_gradients():
    x = np.zeros((1, 1, 2, 4), np.float32)
    x[..., 1, :] = (3e-6, 0, 4e-6, 0)
    wanted = np.zeros_like(x)
    wanted[..., 1, :] = np.array([3, 0, 4, 0]) / 6
    np.testing.assert_allclose(model_jax.of_length_1(x), wanted, rtol=1e-5)
    np.testing.assert_allclose(model_torch.of_length_1(torch.from_numpy(x)), wanted, rtol=1e-5)
    assert np.isfinite(jax.grad(lambda x: model_jax.of_length_1(x).sum())(x)).all()
    on_torch = torch.from_numpy(x).requires_grad_()
    model_torch.of_length_1(on_torch).sum().backward()
    assert on_torch.grad.isfinite().all()


# ---- the loss --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_loss_and_its_gradient_are_those_of_the_general_one(label_smoothing, dtype, monkeypatch):
    from workloads.finewebedu_lm import cross_entropy_torch

    monkeypatch.setattr(cross_entropy_torch, "CHUNK_ELEMENTS", 150)  # One row at a time, then the rest.
    rng = np.random.default_rng(0)
    logits = jnp.asarray(5 * rng.standard_normal((2, 5, 61), np.float32)).astype(dtype)
    targets = rng.integers(0, 61, (2, 5), dtype=np.int32)
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]], np.float32)

    def summed(loss, logits):
        found = loss(targets, logits, mask, label_smoothing)
        return found["summed"], found

    wanted, pull = jax.vjp(
        lambda x: summed(jax_losses.softmax_cross_entropy, x)[0], logits.astype(np.float32)
    )
    (wanted_gradient,) = pull(jnp.float32(1))
    (value, found), gradient = jax.value_and_grad(lambda x: summed(model_jax.loss, x), has_aux=True)(logits)
    assert (found["per_example"].dtype, gradient.dtype) == (np.float32, logits.dtype)
    assert float(found["n_valid_examples"]) == 7
    # In bfloat16 only the gradient is rounded, when it is stored.
    tolerance = 1e-5 if dtype == "float32" else 4e-3
    np.testing.assert_allclose(value, wanted, rtol=1e-6)
    np.testing.assert_allclose(gradient.astype(np.float32), wanted_gradient, rtol=tolerance, atol=1e-6)
    on_torch = torch.from_numpy(np.array(logits.astype(np.float32))).to(getattr(torch, dtype))
    on_torch.requires_grad_()
    found = model_torch.loss(
        torch.from_numpy(targets), on_torch, torch.from_numpy(mask), torch.tensor(label_smoothing)
    )
    assert (found["per_example"].dtype, found["per_example"].shape) == (torch.float32, (2, 5))
    found["summed"].backward()
    np.testing.assert_allclose(found["summed"].item(), wanted, rtol=1e-6)
    np.testing.assert_allclose(on_torch.grad.float(), wanted_gradient, rtol=tolerance, atol=1e-6)


def test_second_derivatives_of_the_loss_agree():
    rng = np.random.default_rng(0)
    logits, direction = rng.standard_normal((2, 3, 7), np.float32)
    targets = rng.integers(0, 7, 3)

    def of_jax(x):
        return model_jax.loss(targets, x)["summed"]

    wanted = jax.jvp(jax.grad(of_jax), (logits,), (direction,))[1]
    probabilities = jax.nn.softmax(logits)
    exact = probabilities * (direction - (probabilities * direction).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(wanted, exact, atol=1e-6)
    x = torch.from_numpy(logits).requires_grad_()
    value = model_torch.loss(torch.from_numpy(targets), x)["summed"]
    (gradient,) = torch.autograd.grad(value, x, create_graph=True)
    (found,) = torch.autograd.grad((gradient * torch.from_numpy(direction)).sum(), x)
    np.testing.assert_allclose(found, exact, atol=1e-6)


def test_probabilities_are_targets_too_and_shapes_that_do_not_fit_are_refused():
    logits = np.random.default_rng(0).standard_normal((2, 3, 5), np.float32)
    one_hot = np.eye(5, dtype=np.float32)[[[0, 1, 2], [3, 4, 0]]]
    found = [
        model_jax.loss(one_hot, logits)["summed"],
        model_torch.loss(torch.from_numpy(one_hot), torch.from_numpy(logits))["summed"],
        model_jax.loss(one_hot.argmax(axis=-1), logits)["summed"],
    ]
    np.testing.assert_allclose(found, found[0], rtol=1e-6)
    with pytest.raises(UsageError, match="logits"):
        model_jax.loss(np.zeros((3, 3), np.int32), logits)
    with pytest.raises(UsageError, match="logits"):
        model_torch.loss(torch.zeros((3, 3)).long(), torch.from_numpy(logits))


def test_xla_keeps_nothing_of_the_logits_size_but_logits_and_their_gradient():
    num_tokens, vocab_size, width = 64, 4_096, 8

    def total(x, matrix):
        logits = (x @ matrix).astype(jnp.bfloat16)
        return model_jax.loss(jnp.zeros(num_tokens, jnp.int32), logits)["summed"]

    shapes = [
        jax.ShapeDtypeStruct(shape, jnp.bfloat16) for shape in ((num_tokens, width), (width, vocab_size))
    ]
    compiled = jax.jit(jax.grad(total, argnums=(0, 1))).lower(*shapes).compile()
    per_logit = compiled.memory_analysis().temp_size_in_bytes / (num_tokens * vocab_size)
    assert per_logit < 10, "a bfloat16 pair takes 4, and CPUs multiply in float32"


# ---- evaluation ------------------------------------------------------------------------------------------------


def test_an_evaluation_sums_the_losses_of_real_tokens_of_each_row(monkeypatch):
    for module in (model_jax, model_torch):
        monkeypatch.setattr(module, "EVAL_CHUNK", 5)
    pair = small_pair(BASE)
    batch = token_batch(pair.spec)
    losses = jax_losses.softmax_cross_entropy(batch["targets"], pair.jax_logits(batch["inputs"]))[
        "per_example"
    ]
    wanted = (np.asarray(losses) * batch["weights"]).sum(axis=1)
    found = model_jax.eval_outputs(pair.jax_model, {"params": pair.params}, batch, pair.spec)["loss"]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    with torch.inference_mode():
        on_torch = {key: torch.from_numpy(value) for key, value in batch.items()}
        found = model_torch.eval_outputs(pair.torch_model, on_torch, pair.spec)["loss"]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


# ---- sizes and types -------------------------------------------------------------------------------------------

NUM_PARAMS = {
    "finewebedu_lm": 252_815_372,
    "finewebedu_lm_untied": 252_815_372 + 50_257 * 1_024,
    "finewebedu_lm_squared_relu": 252_815_372 - 12 * 1_024 * 4_096,
    "finewebedu_lm_no_qk_norm": 252_815_372 - 12,
    "finewebedu_lm_post_norm": 252_815_372 - 1_024,
}
NUM_TENSORS_BY_TYPE = {
    ParameterType.WEIGHT: 3 * 12,  # Two matrices of the MLP and the query's factor.
    ParameterType.LAYER_NORM_SCALE: 25,
    ParameterType.EMBEDDING: 1,
    ParameterType.ATTENTION_Q: 12,
    ParameterType.ATTENTION_K: 12,
    ParameterType.ATTENTION_V: 12,
    ParameterType.ATTENTION_OUT: 12,
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_full_size_models_have_the_published_number_of_parameters(variant):
    spec = registry.get(variant)
    shapes = jax.tree.leaves(abstract_params(spec))
    with torch.device("meta"):
        torch_model = model_torch.make_model(spec)
    assert sum(leaf.size for leaf in shapes) == NUM_PARAMS[variant]
    assert sum(parameter.numel() for parameter in torch_model.parameters()) == NUM_PARAMS[variant]
    assert len(shapes) == len(list(torch_model.parameters()))


def test_parameter_types_follow_from_the_names():
    spec = registry.get(BASE)
    params = abstract_params(spec)
    jax_types = param_utils.jax_param_types(param_utils.jax_param_shapes(params))
    with torch.device("meta"):
        torch_shapes = param_utils.pytorch_param_shapes(model_torch.make_model(spec))
    torch_types = param_utils.pytorch_param_types(torch_shapes)
    assert collections.Counter(jax.tree.leaves(jax_types)) == NUM_TENSORS_BY_TYPE
    assert collections.Counter(torch_types.values()) == NUM_TENSORS_BY_TYPE
    for layer in ("query", "key", "value", "out"):
        assert params["layer_11"]["attention"][layer]["kernel"].shape == (1024, 1024)
    carried = weights.jax_to_torch(jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.int8), params), spec)
    assert {name: value.shape for name, value in carried.items()} == {
        name: shape.shape_tuple for name, shape in torch_shapes.items()
    }


# ---- initialisation --------------------------------------------------------------------------------------------


def initial_weights(framework, spec):
    """Name in PyTorch -> initial value."""
    if framework == "pytorch":
        torch.manual_seed(0)
        return {name: value.numpy() for name, value in model_torch.make_model(spec).state_dict().items()}
    inputs = jax.ShapeDtypeStruct((1, spec.model.seq_len), np.int32)
    model = model_jax.make_model(spec)
    found = model.lazy_init(jax.random.PRNGKey(0), inputs, train=False, dropout_rate=0.0)
    return weights.jax_to_torch(found["params"], spec)


def test_initial_weights_follow_their_laws(framework):
    spec = with_model(BASE, **SMALL | {"seq_len": 1024, "emb_dim": 256})
    for name, value in initial_weights(framework, spec).items():
        if "norm" in name:
            assert (value == 1).all(), name
        elif name.endswith("scale"):
            np.testing.assert_allclose(value, [19.9986], rtol=1e-5)
        else:
            std = 0.02 / 2 if name.endswith(("out_proj.weight", "mlp.out.weight")) else 0.02
            np.testing.assert_allclose(value.std(), std, rtol=0.02, err_msg=name)
            np.testing.assert_allclose(value.mean(), 0, atol=4e-4, err_msg=name)


# ---- compilation and types of computation ----------------------------------------------------------------------


def test_the_pytorch_model_and_its_loss_compile_without_a_break_in_the_graph():
    pair = small_pair(BASE)
    batch = {key: torch.from_numpy(value) for key, value in token_batch(pair.spec).items()}

    def value(inputs, targets):
        return model_torch.loss(targets, pair.torch_model(inputs, dropout_rate=0.0))["summed"]

    compiled = torch.compile(value, backend="eager", fullgraph=True)
    found = compiled(batch["inputs"], batch["targets"])
    found.backward()
    assert_close(found.item(), value(batch["inputs"], batch["targets"]).item(), tolerance=1e-6)


def test_activations_are_float32_on_cpus_and_bfloat16_on_accelerators(monkeypatch):
    config = registry.get(BASE).model
    assert config.compute_dtype == "auto"
    assert model_torch.compute_dtype("auto", torch.device("cpu")) is torch.float32
    assert model_torch.compute_dtype("auto", torch.device("cuda")) is torch.bfloat16
    assert model_torch.compute_dtype("float32", torch.device("cuda")) is torch.float32
    assert model_jax.compute_dtype(config) == np.float32
    assert model_jax.attention_implementation(jnp.dtype("bfloat16")) == "xla"

    class Device:
        compute_capability = "9.0"

    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax, "devices", lambda: [Device])
    assert model_jax.compute_dtype(config) == jnp.bfloat16
    assert model_jax.attention_implementation(jnp.dtype("bfloat16")) == "cudnn"
    assert model_jax.attention_implementation(jnp.dtype("float32")) == "xla"
    Device.compute_capability = "7.0"
    assert model_jax.attention_implementation(jnp.dtype("bfloat16")) == "xla"
