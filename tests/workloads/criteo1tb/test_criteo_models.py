"""The two DLRMs: one function of the same weights, with the sizes, names, types and laws that AlgoPerf states."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
import torch

from algoperf import param_utils, registry
from algoperf.jax_utils import dropout_key
from algoperf.losses import jax_losses, torch_losses
from algoperf.spec import ParameterType, UsageError
from workloads.criteo1tb import model_jax, model_torch, weights

VARIANTS = ("criteo1tb", "criteo1tb_layernorm", "criteo1tb_resnet", "criteo1tb_embed_init")
NUM_PARAMS = {
    "criteo1tb": 539_267_457,
    "criteo1tb_layernorm": 539_275_137,
    "criteo1tb_resnet": 538_121_473,
    "criteo1tb_embed_init": 539_267_457,
    "criteo1tb_test": 10_785_153,
}
ROWS = 4_096  # Of the table, instead of 4 million; all else has its full width.


def with_model(found, **changes):
    return dataclasses.replace(found, model={**found.model, **changes})


def small(name):
    return with_model(registry.get(name), vocab_size=ROWS)


def batch(num_rows=16, seed=0):
    rng = np.random.default_rng(seed)
    inputs = np.empty((num_rows, 39), np.float32)
    inputs[:, :13] = rng.exponential(2.0, (num_rows, 13))
    inputs[:, 13:] = rng.integers(0, 40_000_000, (num_rows, 26))
    return {"inputs": inputs, "targets": rng.integers(0, 2, (num_rows, 1)).astype(np.float32)}


@functools.cache
def pair(name):
    """A JAX model, its weights, and a PyTorch model with the same weights."""
    found = small(name)
    flax_model = model_jax.make_model(found)
    args = {"train": False, "dropout_rate": 0.0}
    shapes = jax.eval_shape(functools.partial(flax_model.init, **args), jax.random.key(1), batch(1)["inputs"])
    # PyTorch's initial values take no time to compile; no scale or bias stays at a value that hides what it does.
    torch.manual_seed(1)
    torch_model = model_torch.make_model(found)
    with torch.no_grad():
        for parameter in torch_model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.02)
    params = torch_to_jax(torch_model, shapes["params"], found)
    return found, flax_model, params, torch_model


def torch_to_jax(torch_model, shapes, found):
    """Fills a tree of `shapes` with what `jax_to_torch` would turn into the module's own parameters."""
    leaves, structure = jax.tree.flatten(shapes)
    ends = np.cumsum([leaf.size for leaf in leaves])
    numbers = np.split(np.arange(ends[-1]), ends[:-1])
    places = jax.tree.unflatten(structure, [n.reshape(leaf.shape) for n, leaf in zip(numbers, leaves)])
    flat = np.full(ends[-1], np.nan, np.float32)
    for key, where in weights.jax_to_torch(places, found).items():
        flat[where] = torch_model.get_parameter(key).detach().numpy()
    assert not np.isnan(flat).any()
    return jax.tree.map(lambda where: jax.numpy.asarray(flat[where]), places)


def assert_close(found, wanted, tolerance=1e-4, name=""):
    limit = tolerance * np.abs(wanted).max()
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=limit, err_msg=name)


# ---- one function ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VARIANTS)
def test_logits_loss_and_gradients_agree(name):
    found, flax_model, params, torch_model = pair(name)
    examples = batch()
    mask = (np.arange(16) < 13).astype(np.float32)[:, None]

    def jax_loss(params):
        logits = flax_model.apply({"params": params}, examples["inputs"], train=True, dropout_rate=0.0)
        loss = jax_losses.sigmoid_cross_entropy(examples["targets"], logits, mask, label_smoothing=0.1)
        return loss["summed"] / loss["n_valid_examples"], (logits, loss["per_example"])

    (value, (logits, per_example)), gradients = jax.jit(jax.value_and_grad(jax_loss, has_aux=True))(params)
    tensors = {key: torch.from_numpy(array) for key, array in examples.items()}
    torch_logits = torch_model.train()(tensors["inputs"], dropout_rate=0.0)
    loss = torch_losses.sigmoid_cross_entropy(
        tensors["targets"], torch_logits, torch.from_numpy(mask), label_smoothing=0.1
    )
    torch_model.zero_grad()
    (loss["summed"] / loss["n_valid_examples"]).backward()

    assert logits.shape == torch_logits.shape == (16, 1)
    assert_close(torch_logits.detach().numpy(), logits)
    assert_close(loss["per_example"].detach().numpy().ravel(), np.ravel(per_example))
    assert_close((loss["summed"] / loss["n_valid_examples"]).item(), float(value))
    wanted = weights.jax_to_torch(gradients, found)
    own = {key: parameter.grad.numpy() for key, parameter in torch_model.named_parameters()}
    assert own.keys() == wanted.keys()
    for key in wanted:
        assert_close(own[key], wanted[key], name=key)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_function_is_that_of_the_fact_sheet_in_plain_numpy(name):
    found, _, params, torch_model = pair(name)
    examples = batch(8, seed=3)
    with torch.no_grad():
        logits = torch_model.eval()(torch.from_numpy(examples["inputs"]), dropout_rate=0.0)
    assert_close(logits.numpy(), plain_logits(params, examples["inputs"], found.model))


def plain_logits(params, inputs, config):
    """DLRM in float64, written as the sentences that describe it."""
    dense = [
        (np.float64(p["kernel"]), np.float64(p["bias"])) for p in (params[f"Dense_{i}"] for i in range(8))
    ]
    norms = iter([params[f"LayerNorm_{i}"] for i in range(8)] if config.use_layer_norm else [])

    def norm(x):
        if not config.use_layer_norm:
            return x
        p = next(norms)
        scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
        return scaled * p["scale"] + p["bias"]

    def hidden(x, layer, first):
        kernel, bias = layer
        h = norm(np.maximum(x @ kernel + bias, 0))
        return x + h if config.use_resnet and not first else h

    bottom = np.float64(inputs[:, :13])
    for index, layer in enumerate(dense[:3]):
        bottom = hidden(bottom, layer, first=index == 0)
    table = np.float64(params["embedding_table"])
    embedded = norm(table[inputs[:, 13:].astype(np.int64) % ROWS])
    if config.use_resnet:
        top = np.concatenate([bottom, embedded.reshape(len(inputs), -1)], axis=1)
    else:
        vectors = np.concatenate([bottom[:, None], embedded], axis=1)
        products = [(vectors[:, i] * vectors[:, j]).sum(-1) for i in range(27) for j in range(i, 27)]
        top = np.concatenate([bottom, np.stack(products, axis=1)], axis=1)
    for index, layer in enumerate(dense[3:7]):
        top = hidden(top, layer, first=index == 0)
    return top @ dense[7][0] + dense[7][1]


def test_buckets_above_the_table_share_its_rows():
    _, _, _, torch_model = pair("criteo1tb")
    inputs = torch.from_numpy(batch(4)["inputs"])
    assert inputs[:, 13:].max() > 2**24
    wrapped = torch.cat([inputs[:, :13], inputs[:, 13:] % ROWS], dim=1)
    with torch.no_grad():
        own = [torch_model.eval()(x, dropout_rate=0.0) for x in (inputs, wrapped)]
    assert torch.equal(*own)


# ---- dropout and compilation -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["criteo1tb", "criteo1tb_resnet"])
def test_the_dropout_rate_may_be_traced_and_acts_on_the_last_hidden_layer(name):
    _, flax_model, params, torch_model = pair(name)
    inputs = batch(4)["inputs"]

    @jax.jit
    def logits(rate, key):
        rngs = {"dropout": dropout_key(key)}
        return flax_model.apply({"params": params}, inputs, train=True, dropout_rate=rate, rngs=rngs)

    with torch.no_grad():
        without = torch_model.eval()(torch.from_numpy(inputs), dropout_rate=0.5)  # Not when evaluating.
    np.testing.assert_allclose(logits(0.0, jax.random.key(0)), without, rtol=1e-4, atol=1e-5)
    assert not np.allclose(logits(0.5, jax.random.key(0)), without)
    assert logits._cache_size() == 1
    # Everything dropped: what is left is the bias of the output, and in the residual variant the skips.
    dropped = np.asarray(logits(1.0, jax.random.key(0)))
    bias_only = np.allclose(dropped, params["Dense_7"]["bias"])
    assert bias_only == (name == "criteo1tb")
    with torch.no_grad():
        tensor = torch.from_numpy(inputs)
        np.testing.assert_allclose(
            torch_model.train()(tensor, dropout_rate=1.0), dropped, rtol=1e-4, atol=1e-5
        )
        assert not torch.allclose(torch_model(tensor, dropout_rate=0.5), without)
        torch.testing.assert_close(torch_model(tensor, dropout_rate=0.0), without)


@pytest.mark.parametrize("name", VARIANTS[:3])  # The fourth has the graph of the first.
def test_pytorch_compiles_the_model_as_one_graph(name):
    _, _, _, torch_model = pair(name)
    compiled = torch.compile(torch_model.train(), fullgraph=True, backend="eager")
    inputs = torch.from_numpy(batch(8)["inputs"])
    torch.testing.assert_close(compiled(inputs, dropout_rate=0.0), torch_model(inputs, dropout_rate=0.0))
    if name == "criteo1tb":  # Another rate takes another second.
        assert torch.isfinite(compiled(inputs, dropout_rate=0.1)).all()
    torch.compiler.reset()


# ---- parameters ------------------------------------------------------------------------------------------------


@functools.cache
def abstract_params(name):
    return jax.eval_shape(functools.partial(initial_jax, registry.get(name)), jax.random.key(0))


@pytest.mark.parametrize("name", NUM_PARAMS)
def test_parameter_counts_are_algoperfs_in_both_frameworks(name):
    leaves = jax.tree.leaves(abstract_params(name))
    assert sum(leaf.size for leaf in leaves) == NUM_PARAMS[name]
    assert len(leaves) == (33 if name.endswith("layernorm") else 17)
    with torch.device("meta"):
        meta = model_torch.make_model(with_model(registry.get(name), vocab_size=8))
    table = meta.embedding_table.weight
    rest = sum(parameter.numel() for parameter in meta.parameters()) - table.numel()
    assert rest + registry.get(name).model.vocab_size * table.shape[1] == NUM_PARAMS[name]
    assert len(list(meta.parameters())) == len(leaves)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_parameter_has_its_type(name):
    _, _, params, torch_model = pair(name)
    in_jax = param_utils.jax_param_types(param_utils.jax_param_shapes(params))
    in_torch = param_utils.pytorch_param_types(param_utils.pytorch_param_shapes(torch_model))
    assert in_jax["embedding_table"] is in_torch["embedding_table.weight"] is ParameterType.EMBEDDING
    carried = weights.jax_to_torch(
        jax.tree.map(
            lambda kind: np.array([[kind.name]]), in_jax, is_leaf=lambda x: isinstance(x, ParameterType)
        ),
        small(name),
    )
    assert {key: value.item() for key, value in carried.items()} == {
        key: kind.name for key, kind in in_torch.items()
    }
    kinds = [kind.name for kind in in_torch.values()]
    num_norms = 8 if name.endswith("layernorm") else 0
    assert kinds.count("LAYER_NORM_SCALE") == kinds.count("LAYER_NORM_BIAS") == num_norms
    assert kinds.count("WEIGHT") == kinds.count("BIAS") == 8


@pytest.mark.parametrize("name", VARIANTS)
def test_the_output_layer_is_the_last_one(name):
    found, _, params, torch_model = pair(name)
    assert params[found.output_params["jax"][0]]["kernel"].shape[1] == 1
    named = dict(torch_model.named_parameters())
    assert all(len(named[key]) == 1 for key in found.output_params["pytorch"])
    assert [key for key in named if key.startswith("top_mlp") and "norm" not in key][::2] == [
        f"top_mlp.{index}.weight" for index in (0, 2, 4, 6, 9)
    ]


def initial_jax(found, key):
    model, inputs = model_jax.make_model(found), model_jax.example_batch(found)["inputs"]
    return model.lazy_init(key, inputs, train=False, dropout_rate=0.0)["params"]


@functools.cache
def initial(framework):
    """Layer -> its new (kernel, bias); in JAX one layer of each kind, because each takes a second to compile."""
    found = small("criteo1tb")
    if framework == "jax":
        names = {"Dense_1": "bot_mlp.2", "Dense_3": "top_mlp.0", "Dense_7": "top_mlp.9"}
        params = jax.jit(lambda key: [initial_jax(found, key)[name] for name in names])(jax.random.key(5))
        return {
            name: (np.asarray(p["kernel"]), np.asarray(p["bias"])) for name, p in zip(names.values(), params)
        }
    torch.manual_seed(5)
    modules = dict(model_torch.make_model(found).named_modules())
    return {
        name: (module.weight.detach().numpy().T, module.bias.detach().numpy())
        for name, module in modules.items()
        if isinstance(module, torch.nn.Linear)
    }


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_initial_values_follow_the_stated_laws(framework):
    layers = initial(framework)
    assert len(layers) == (3 if framework == "jax" else 8)
    for name, (kernel, bias) in layers.items():
        fan_in, fan_out = kernel.shape
        tolerance = 4 / min(kernel.size, 1_000) ** 0.5
        np.testing.assert_allclose(kernel.std(), (2 / (fan_in + fan_out)) ** 0.5, rtol=tolerance)
        # Uniform in the bottom, normal in the top.
        assert (np.abs(kernel).max() <= (6 / (fan_in + fan_out)) ** 0.5) == name.startswith("bot")
        if fan_out > 1:
            np.testing.assert_allclose(bias.std(), fan_out**-0.5, rtol=0.25)
        else:
            assert 0.001 < abs(bias.item()) < 4, "its standard deviation is 1"


@pytest.mark.parametrize(("name", "top"), [("criteo1tb", ROWS**-0.5), ("criteo1tb_embed_init", 1.0)])
def test_the_table_starts_uniform_from_0_to_its_multiplier(name, top):
    found = small(name)
    # Only what is asked for is compiled.
    in_jax = jax.jit(lambda key: initial_jax(found, key)["embedding_table"])(jax.random.key(5))
    torch.manual_seed(5)
    in_torch = model_torch.make_model(found).embedding_table.weight.detach().numpy()
    for table in (np.asarray(in_jax), in_torch):
        assert table.min() >= 0
        np.testing.assert_allclose([table.mean(), table.max()], [0.5 * top, top], rtol=0.01)
        np.testing.assert_allclose(table.std(), top / 12**0.5, rtol=0.01)


def test_settings_that_no_dlrm_has_are_refused():
    base, resnet = small("criteo1tb"), small("criteo1tb_resnet")
    for found, message in (
        (with_model(base, embed_dim=64), "the last of mlp_bottom_dims must be embed_dim"),
        (with_model(base, mlp_top_dims=(8, 2)), "the last of mlp_top_dims must be 1"),
        (with_model(resnet, use_layer_norm=True), "use_resnet goes without"),
        (with_model(resnet, mlp_bottom_dims=(8, 16)), "need one width"),
    ):
        for module in (model_jax, model_torch):
            with pytest.raises(UsageError, match=message):
                module.make_model(found)
