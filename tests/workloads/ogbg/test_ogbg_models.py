"""The two graph networks: one function of the same weights, with the sizes, names, types and laws AlgoPerf states."""

import copy
import dataclasses
import functools
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from algoperf import param_utils, registry
from algoperf.bound_workload import Workload
from algoperf.jax_utils import dropout_key
from algoperf.layers.torch_initializers import TRUNCATED_STDDEV
from algoperf.losses import jax_losses, torch_losses
from algoperf.spec import LossType, ParameterType, UsageError
from workloads.ogbg import model_jax, model_torch, weights
from workloads.ogbg.graphs import GraphsTuple

VARIANTS = ("ogbg", "ogbg_gelu", "ogbg_silu", "ogbg_model_size")
NUM_PARAMS = {"ogbg": 3_554_176, "ogbg_gelu": 3_554_176, "ogbg_silu": 3_554_176, "ogbg_model_size": 2_571_648}
NODES, EDGES = 26, 56  # Budget for each graph of the batch size.


# ---- batches and weights ---------------------------------------------------------------------------------------


def batch(num_labels, batch_size=6, num_shards=1, seed=0, dtype=np.float32):
    """Random molecules in the layout of the pipeline: shards one after the other, each with its own padding."""
    rng = np.random.default_rng(seed)
    shards = [shard(rng, index, batch_size) for index in range(num_shards)]
    nodes, edges, receivers, senders, n_node, n_edge = map(np.concatenate, zip(*shards))
    graphs = GraphsTuple(nodes.astype(dtype), edges.astype(dtype), receivers, senders, {}, n_node, n_edge)
    targets = rng.integers(0, 2, (len(n_node), num_labels)).astype(dtype)
    is_real = np.tile(np.arange(batch_size + 1) < batch_size - 1, num_shards)[:, None]
    labelled = (rng.random(targets.shape) < 0.7) & is_real
    return {"inputs": graphs, "targets": targets * labelled, "weights": labelled.astype(dtype)}


def shard(rng, index, batch_size):
    """All but one of the graphs that would fit, the second without bonds; then a padding graph and an empty one."""
    num_nodes, num_edges = NODES * batch_size + 1, EDGES * batch_size
    senders, receivers, n_node, n_edge = [], [], [], []
    for graph in range(batch_size - 1):
        first, size = sum(n_node), int(rng.integers(3, NODES))
        num_bonds = 0 if graph == 1 else size
        ends = first + rng.integers(0, size, (2, num_bonds))
        senders += [*ends[0], *ends[1]]
        receivers += [*ends[1], *ends[0]]
        n_node.append(size)
        n_edge.append(2 * num_bonds)
    real_nodes, real_edges = sum(n_node), sum(n_edge)
    padding = [real_nodes] * (num_edges - real_edges)
    nodes = rng.integers(0, 9, (num_nodes, 9)) * (np.arange(num_nodes) < real_nodes)[:, None]
    edges = rng.integers(0, 4, (num_edges, 3)) * (np.arange(num_edges) < real_edges)[:, None]
    n_node, n_edge = [*n_node, num_nodes - real_nodes, 0], [*n_edge, num_edges - real_edges, 0]
    ends = (np.int32(end) + np.int32(index * num_nodes) for end in (receivers + padding, senders + padding))
    return nodes, edges, *ends, np.int32(n_node), np.int32(n_edge)


def with_model(spec, **changes):
    return dataclasses.replace(spec, model={**spec.model, **changes})


def tensors(tree):
    return jax.tree.map(lambda array: torch.tensor(np.asarray(array)), tree)


@functools.cache
def pair(name, **changes):
    """Spec, Flax model, its weights in float64, and a PyTorch model with the same weights; nothing is 0 or 1."""
    spec, rng = with_model(registry.get(name), **changes), np.random.default_rng(1)
    model, inputs = model_jax.make_model(spec), model_jax.example_batch(spec)["inputs"]
    init = functools.partial(model.init, train=False, dropout_rate=0.0)

    def draw(path, leaf):
        noise, kind = rng.standard_normal(leaf.shape), path[-1].key
        return noise / len(noise) ** 0.5 if kind == "kernel" else (kind == "scale") + 0.1 * noise

    shapes = jax.eval_shape(init, jax.random.key(0), inputs)["params"]
    params = jax.tree_util.tree_map_with_path(draw, shapes)
    module = model_torch.make_model(spec).double()
    carried = weights.jax_to_torch(params, spec)
    module.load_state_dict({key: torch.tensor(value) for key, value in carried.items()})
    return spec, model, params, module


@functools.cache
def in_float32(name):
    spec, model, params, module = pair(name)
    params = jax.tree.map(jnp.float32, params)
    logits = jax.jit(lambda graphs: model.apply({"params": params}, graphs, train=False, dropout_rate=0.0))
    return spec, logits, copy.deepcopy(module).float().eval()


def both_logits(name, graphs):
    """Of the mini model in evaluation mode, in JAX and in PyTorch."""
    _, in_jax, module = in_float32(name)
    with torch.no_grad():
        return np.asarray(in_jax(graphs)), module(tensors(graphs), dropout_rate=0.0).numpy()


def plain_logits(params, graphs, config):
    """The graph network graph by graph, written as the sentences that describe it."""

    def linear(name, x):
        return x @ params[name]["kernel"] + params[name]["bias"]

    def activation(x):
        if config.activation_fn_name == "gelu":
            return 0.5 * x * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3)))
        return np.maximum(x, 0) if config.activation_fn_name == "relu" else x / (1 + np.exp(-x))

    def mlp(mlp_index, *parts):
        x = np.concatenate(parts, axis=-1)
        for layer in range(len(config.hidden_dims)):
            index = mlp_index * len(config.hidden_dims) + layer
            x, norm = linear(f"Dense_{index}", x), params[f"LayerNorm_{index}"]
            x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
            x = activation(x * norm["scale"] + norm["bias"])
        return x

    found, first_node, first_edge = [], 0, 0
    for n_node, n_edge in zip(graphs.n_node, graphs.n_edge, strict=True):
        own_edges = slice(first_edge, first_edge + n_edge)
        nodes = linear("node_embedding", graphs.nodes[first_node : first_node + n_node].astype(float))
        edges = linear("edge_embedding", graphs.edges[own_edges].astype(float))
        from_, to = graphs.senders[own_edges] - first_node, graphs.receivers[own_edges] - first_node
        glob = np.zeros(config.num_outputs)
        for step in range(config.num_message_passing_steps):
            edges = mlp(3 * step, edges, nodes[from_], nodes[to], np.tile(glob, (n_edge, 1)))
            sent, received = np.zeros((2, n_node, edges.shape[1]))
            for edge in range(n_edge):
                sent[from_[edge]] += edges[edge]
                received[to[edge]] += edges[edge]
            nodes = mlp(3 * step + 1, nodes, sent, received, np.tile(glob, (n_node, 1)))
            glob = mlp(3 * step + 2, nodes.sum(0), edges.sum(0), glob)
        num_mlps = 3 * config.num_message_passing_steps
        found.append(linear(f"Dense_{num_mlps * len(config.hidden_dims)}", glob))
        first_node, first_edge = first_node + n_node, first_edge + n_edge
    return np.stack(found)


# ---- the same function -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "num_steps"), zip(VARIANTS, (3, 2, 2, 2)))
def test_frameworks_agree_on_logits_loss_and_gradients(name, num_steps):
    # Full width, but fewer of the steps, which only repeat: each takes a second to compile. In
    # float64: in float32 one ReLU that rounding puts on its other side moves gradients by up to a hundredth.
    spec, model, params, module = pair(name, num_message_passing_steps=num_steps)
    examples = batch(spec.model.num_outputs, dtype=np.float64)
    graphs, targets, mask = (examples[key] for key in ("inputs", "targets", "weights"))
    with jax.enable_x64(True):

        @jax.jit
        @functools.partial(jax.value_and_grad, has_aux=True)
        def jax_loss(params):
            logits = model.apply({"params": params}, graphs, train=True, dropout_rate=0.0)
            loss = jax_losses.LOSSES[spec.loss_type](targets, logits, mask, 0.1)
            return loss["summed"] / loss["n_valid_examples"], (logits, loss)

        (wanted_loss, (wanted, wanted_parts)), grads = jax.tree.map(np.asarray, jax_loss(params))
    module.zero_grad()
    logits = module.train()(tensors(graphs), dropout_rate=0.0)
    loss = torch_losses.LOSSES[spec.loss_type](torch.tensor(targets), logits, torch.tensor(mask), 0.1)
    (loss["summed"] / loss["n_valid_examples"]).backward()

    np.testing.assert_allclose(logits.detach(), wanted, rtol=1e-9, atol=1e-9)
    assert float(loss["n_valid_examples"]) == wanted_parts["n_valid_examples"] == mask.sum()
    assert (wanted_parts["per_example"][mask == 0] == 0).all()
    np.testing.assert_allclose(loss["per_example"].detach(), wanted_parts["per_example"], atol=1e-9)
    np.testing.assert_allclose(loss["summed"].item() / mask.sum(), wanted_loss, rtol=1e-9)
    carried = weights.jax_to_torch(grads, spec)
    found = {key: parameter.grad.numpy() for key, parameter in module.named_parameters()}
    assert found.keys() == carried.keys()
    for key, grad in carried.items():
        assert np.abs(grad).max() > 0, key
        np.testing.assert_allclose(found[key], grad, atol=1e-8 * np.abs(grad).max(), err_msg=key)
    # Globals start as zeros, so the rows that read them first teach nothing.
    assert not grads["Dense_0"]["kernel"][-spec.model.num_outputs :].any()


@pytest.mark.parametrize("name", VARIANTS)
def test_the_function_is_that_of_the_fact_sheet_in_plain_numpy(name):
    spec, _, params, module = pair(name)
    examples = batch(spec.model.num_outputs, seed=3)
    wanted = plain_logits(params, examples["inputs"], spec.model)
    with torch.no_grad():
        found = module.eval()(
            tensors(
                examples["inputs"]._replace(
                    nodes=examples["inputs"].nodes.astype(float), edges=examples["inputs"].edges.astype(float)
                )
            ),
            dropout_rate=0.0,
        )
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["ogbg", "ogbg_model_size"])
def test_evaluation_in_float32_gives_the_same_logits_and_losses_in_both_frameworks(name):
    spec, model, params, module = pair(name)
    examples = batch(spec.model.num_outputs, seed=3)
    variables = {"params": jax.tree.map(np.float32, params)}
    wanted = jax.jit(lambda variables: model_jax.eval_outputs(model, variables, examples, spec))(variables)
    with torch.inference_mode():
        own = copy.deepcopy(module).float().eval()
        found = model_torch.eval_outputs(own, tensors(examples), spec)
    assert found.keys() == wanted.keys() == {"logits", "loss"}
    logits = plain_logits(params, examples["inputs"], spec.model)
    loss = np.logaddexp(0, logits) - logits * examples["targets"]
    for key, value in {"logits": logits, "loss": loss}.items():
        assert value.shape == (7, 128)
        np.testing.assert_allclose(wanted[key], value, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found[key], value, rtol=1e-4, atol=1e-5)


# ---- graphs keep to themselves ---------------------------------------------------------------------------------


def test_padding_does_not_influence_real_graphs():
    graphs = batch(24)["inputs"]
    real_nodes, real_edges = graphs.n_node[:-2].sum(), graphs.n_edge[:-2].sum()
    other = graphs._replace(
        nodes=graphs.nodes.copy(), edges=graphs.edges.copy(), senders=graphs.senders.copy()
    )
    other.nodes[real_nodes:] = 50.0
    other.edges[real_edges:] = -30.0
    other.senders[real_edges:] = len(graphs.nodes) - 1
    other = other._replace(
        n_node=graphs.n_node[[0, 1, 2, 3, 4, 6, 5]], n_edge=graphs.n_edge[[0, 1, 2, 3, 4, 6, 5]]
    )
    for before, after in zip(both_logits("ogbg_mini", graphs), both_logits("ogbg_mini", other)):
        np.testing.assert_array_equal(before[:-2], after[:-2])
        assert not np.array_equal(before[-2:], after[-2:])


def test_graphs_of_a_batch_do_not_influence_each_other():
    graphs = batch(24)["inputs"]
    first = graphs.n_node[:2].sum()
    changed = graphs.nodes.copy()
    changed[first : first + graphs.n_node[2]] += 1
    together = both_logits("ogbg_mini", graphs)
    for before, after in zip(together, both_logits("ogbg_mini", graphs._replace(nodes=changed))):
        is_same = (before == after).all(axis=1)
        assert is_same.tolist() == [True, True, False, True, True, True, True]
    first_node = first_edge = 0
    for index, (n_node, n_edge) in enumerate(zip(graphs.n_node, graphs.n_edge)):
        nodes, edges = slice(first_node, first_node + n_node), slice(first_edge, first_edge + n_edge)
        ends = (end[edges] - first_node for end in (graphs.receivers, graphs.senders))
        counts = (np.int32([n_node]), np.int32([n_edge]))
        alone = GraphsTuple(graphs.nodes[nodes], graphs.edges[edges], *ends, {}, *counts)
        with torch.no_grad():
            logits = in_float32("ogbg_mini")[2](tensors(alone), dropout_rate=0.0)
        np.testing.assert_allclose(logits[0], together[1][index], rtol=1e-4, atol=1e-5)
        first_node, first_edge = first_node + n_node, first_edge + n_edge


def test_shards_of_a_batch_give_together_what_they_give_alone(monkeypatch):
    whole = batch(24, num_shards=2)
    split = model_jax.split_over_devices(whole, 2)
    assert split["inputs"].nodes.shape == (2, NODES * 6 + 1, 9)
    assert split["targets"].shape == split["weights"].shape == (2, 7, 24)
    in_jax, in_torch = both_logits("ogbg_mini", whole["inputs"])
    np.testing.assert_allclose(in_torch, in_jax, rtol=1e-4, atol=1e-5)
    for rank in range(2):
        share = jax.tree.map(lambda array, rank=rank: array[rank], split)
        rows = slice(7 * rank, 7 * rank + 7)
        np.testing.assert_allclose(
            both_logits("ogbg_mini", share["inputs"])[0], in_jax[rows], rtol=1e-4, atol=1e-5
        )
        parts = jax.tree.map(lambda array, rank=rank: np.split(array, 2)[rank], whole)
        assert model_torch.arrange(tensors(parts))["inputs"].senders.max() == parts["inputs"].senders.max()
        monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        arranged = model_torch.arrange(tensors(parts))
        monkeypatch.undo()
        for found, wanted in zip(jax.tree.leaves(arranged), jax.tree.leaves(tensors(share)), strict=True):
            assert found.dtype == wanted.dtype
            assert torch.equal(found, wanted)


# ---- loss ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("smoothing", "losses", "total"),
    [(0.0, [0.126928, 0.313262, 0.974077], 1.414267), (0.1, [0.325366, 0.314043, 0.973686], 1.613095)],
)
def test_the_loss_is_that_of_the_published_vectors(framework, smoothing, losses, total):
    workload = Workload(registry.get("ogbg"), framework)
    assert workload.loss_type is LossType.SIGMOID_CROSS_ENTROPY
    logits, labels, mask = np.zeros((3, 1, 128), np.float32)
    logits[0, :3], labels[0, :3], mask[0, :3] = (2, -1, 0.5), (1, 0, 0), 1
    logits[0, 3:] = 7
    arrays = (labels, logits, mask) if framework == "jax" else map(torch.tensor, (labels, logits, mask))
    found = workload.loss_fn(*arrays, label_smoothing=smoothing)
    np.testing.assert_allclose(found["per_example"][0, :3], losses, atol=2e-6)
    assert not found["per_example"][0, 3:].any()
    np.testing.assert_allclose(float(found["summed"]), total, atol=4e-6)
    assert found["n_valid_examples"] == 3


# ---- parameters ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VARIANTS)
def test_parameters_have_the_published_number_names_and_types(name):
    spec, _, shapes, module = pair(name)
    assert sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(shapes)) == NUM_PARAMS[name]
    assert sum(parameter.numel() for parameter in module.parameters()) == NUM_PARAMS[name]
    num_hidden = 3 * spec.model.num_message_passing_steps * len(spec.model.hidden_dims)
    numbered = {f"{kind}_{index}" for kind in ("Dense", "LayerNorm") for index in range(num_hidden)}
    assert set(shapes) == numbered | {"node_embedding", "edge_embedding", f"Dense_{num_hidden}"}
    wanted = Counter(
        WEIGHT=num_hidden + 1,
        BIAS=num_hidden + 3,
        LAYER_NORM_SCALE=num_hidden,
        LAYER_NORM_BIAS=num_hidden,
        EMBEDDING=2,
    )
    assert wanted.total() == (78 if name == "ogbg_model_size" else 66)
    in_jax = param_utils.jax_param_types(param_utils.jax_param_shapes(shapes))
    in_torch = param_utils.pytorch_param_types(param_utils.pytorch_param_shapes(module))
    assert Counter(kind.name for kind in jax.tree.leaves(in_jax)) == wanted
    assert Counter(kind.name for kind in in_torch.values()) == wanted
    assert in_jax["node_embedding"]["kernel"] is in_torch["edge_embedder.weight"] is ParameterType.EMBEDDING
    named = dict(module.named_parameters())
    assert [named[key].numel() for key in spec.output_params["pytorch"]] == [256 * 128, 128]
    assert spec.output_params["jax"] == (f"Dense_{num_hidden}",)
    assert named["graph_network.1.update_node_fn.dense_0.weight"].shape == (256, 1024)


def test_initial_weights_follow_the_same_law_in_both_frameworks():
    found = registry.get("ogbg_mini")
    torch.manual_seed(0)
    named = dict(model_torch.make_model(found).named_parameters())
    in_jax, _ = Workload(found, "jax").init_model_fn(jax.random.key(0))
    carried = weights.jax_to_torch(jax.tree.map(np.asarray, in_jax), found)
    for key, parameter in named.items():
        for values in (parameter.detach().numpy(), carried[key]):
            if values.ndim == 1:
                assert (values == (1 if key.endswith("weight") else 0)).all(), key
                continue
            scaled = values * values.shape[1] ** 0.5
            assert abs(scaled.std() - 1) < 4 / values.size**0.5, key
            assert np.abs(scaled).max() < 2 / TRUNCATED_STDDEV + 1e-3


def test_settings_that_no_model_has_are_refused():
    found = registry.get("ogbg_mini")
    for model in (model_jax, model_torch):
        with pytest.raises(
            UsageError, match=r"No activation of ogbg_mini is called 'rely'; the nearest is 'relu'"
        ):
            model.make_model(with_model(found, activation_fn_name="rely"))
        with pytest.raises(UsageError, match=r"one step of message passing, got .*steps=0"):
            model.make_model(with_model(found, num_message_passing_steps=0))


# ---- dropout and compilation -----------------------------------------------------------------------------------


def test_dropout_follows_every_hidden_layer_the_last_one_too():
    spec, model, params, module = pair("ogbg_mini")
    graphs, params = batch(24)["inputs"], jax.tree.map(np.float32, params)
    traces = 0

    @jax.jit
    def logits(graphs, seed, rate):
        nonlocal traces
        traces += 1
        rngs = {"dropout": dropout_key(jax.random.PRNGKey(seed))}
        return model.apply({"params": params}, graphs, train=True, dropout_rate=rate, rngs=rngs)

    module = copy.deepcopy(module).float().train()

    def in_torch(graphs, seed, rate):
        torch.manual_seed(seed)
        return module(tensors(graphs), dropout_rate=rate).detach().numpy()

    name = spec.output_params["jax"][0]
    evaluated = both_logits("ogbg_mini", graphs)[0]
    for function in (logits, in_torch):
        np.testing.assert_allclose(function(graphs, 0, 0.0), evaluated, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(function(graphs, 0, 0.3), function(graphs, 0, 0.3))
        assert not np.array_equal(function(graphs, 0, 0.3), function(graphs, 1, 0.3))
        # With everything dropped, globals included, the bias of the output layer is left.
        np.testing.assert_allclose(function(graphs, 0, 1.0), np.tile(params[name]["bias"], (7, 1)), rtol=1e-6)
    logits(batch(24, seed=9)["inputs"], 0, 0.1)
    assert traces == 1, "one compiled step serves every batch and rate"


@pytest.mark.parametrize(("name", "mode"), [("ogbg_mini", "train"), ("ogbg_model_size_mini", "eval")])
def test_pytorch_compiles_one_graph_for_every_batch(name, mode):
    module = model_torch.make_model(registry.get(name))
    getattr(module, mode)()
    torch.compiler.reset()
    compiled = torch.compile(module, fullgraph=True, backend="eager")
    with torch._dynamo.config.patch(error_on_recompile=True):
        for seed in range(3):
            graphs = tensors(batch(24, seed=seed)["inputs"])
            torch.testing.assert_close(compiled(graphs, dropout_rate=0.0), module(graphs, dropout_rate=0.0))
    torch.compiler.reset()
