"""What every workload must do, in both frameworks: run for each one that discovery finds and that is small."""

import functools
import itertools
import json
import math

import numpy as np
import pytest
from bound_workloads import Bound, few, names

from algoperf import registry, spec
from algoperf.data import locate
from algoperf.data.batch import arrays
from algoperf.metrics import averages

# A training step takes seconds to compile in JAX, so variants are stepped through there only where that is quick;
# `tests/workloads/<family>/` compares the variants' forward and backward passes between the frameworks.
STEPPED_IN_JAX = [name for name in names() if registry.get(name).variant is None]
DATA_NAMES = sorted({(few(name).dataset, str(few(name).data)): name for name in reversed(names())}.values())


@pytest.fixture(scope="session")
def bound(data_dir):
    return functools.cache(functools.partial(Bound, data_dir=data_dir))


@pytest.fixture(scope="session")
def folder(data_dir):
    def get(name):
        found = few(name)
        return found, registry.data_module(found), locate.ready_folder(found, data_dir, progress=False)

    return get


def is_sharded(found):
    """Whether batches have no rows to count: graphs, which are cut into parts of one size by the pipeline."""
    return getattr(registry.data_module(found), "SHARDED", False)


def stepped(function):
    cases = [(name, "pytorch") for name in names()] + [(name, "jax") for name in STEPPED_IN_JAX]
    return pytest.mark.parametrize(("name", "framework"), cases)(function)


def of_each_data_set(function):
    """Variants that have the same data need not show it each."""
    return pytest.mark.parametrize("name", DATA_NAMES)(function)


def assert_same(first, second):
    for one, two in zip(arrays(first), arrays(second), strict=True):
        np.testing.assert_array_equal(one, two)


# ---- data ------------------------------------------------------------------------------------------------------------


@of_each_data_set
def test_training_batches_are_full_and_the_same_for_the_same_seed(folder, name):
    found, data, place = folder(name)
    streams = [data.train_stream(found, place, seed, 8) for seed in (1, 1, 2)]
    differs = False
    for _ in range(5):
        first, second, other = (next(stream) for stream in streams)
        assert set(first) >= {"inputs", "targets"}
        assert all(isinstance(value, np.ndarray) for value in arrays(first))
        assert is_sharded(found) or all(len(value) == 8 for value in arrays(first))
        assert all(value.flags.c_contiguous for value in arrays(first))
        assert all(np.isfinite(value).all() for value in arrays(first))
        assert_same(first, second)
        assert [value.shape for value in arrays(first)] == [value.shape for value in arrays(other)]
        differs |= any(
            not np.array_equal(one, two) for one, two in zip(arrays(first), arrays(other), strict=True)
        )
    assert differs, "another seed gives other batches"


@of_each_data_set
def test_a_stream_continues_where_its_state_says_over_the_end_of_an_epoch_too(folder, name):
    found, data, place = folder(name)
    batch_size = 64
    num_batches = 2 * found.num_train_examples // batch_size + 3  # Packed rows hold more than one example.
    whole = data.train_stream(found, place, 0, batch_size)
    kept = {}
    for index in range(num_batches):
        state = json.loads(json.dumps(whole.state()))
        batch = next(whole)
        if index in (0, 1, num_batches // 2, num_batches - 1):
            kept[index] = state, batch
    for state, batch in kept.values():
        again = data.train_stream(found, place, 0, batch_size)
        again.set_state(state)
        assert_same(next(again), batch)


@of_each_data_set
def test_processes_that_make_their_own_rows_make_the_whole_batch_together(folder, name):
    found, data, place = folder(name)
    streams = [data.train_stream(found, place, 3, 8) for _ in range(3)]
    if not hasattr(streams[0], "keep_rows"):
        pytest.skip("every process makes whole batches")
    whole, *shares = streams
    for index, share in enumerate(shares):
        share.keep_rows(slice(4 * index, 4 * index + 4))
    for _ in range(3):
        batch, parts = next(whole), [next(share) for share in shares]
        for value, *shares_of_it in zip(*map(arrays, (batch, *parts)), strict=True):
            np.testing.assert_array_equal(np.concatenate(shares_of_it), value)


@pytest.mark.parametrize("batch_size", [5, 32])
@of_each_data_set
def test_evaluation_batches_have_one_size_and_weights_for_what_is_real(folder, name, batch_size):
    found, data, place = folder(name)
    sizes = {
        "eval_train": found.num_eval_train_examples,
        "validation": found.num_validation_examples,
        "test": found.num_test_examples,
    }
    for split, size in sizes.items():
        batches = list(data.eval_batches(found, place, split, batch_size))
        if is_sharded(found):
            shapes = {tuple(value.shape for value in arrays(batch)) for batch in batches}
            assert len(shapes) == 1
        else:
            assert len(batches) == math.ceil(size / batch_size)
            assert all(len(value) == batch_size for batch in batches for value in arrays(batch))
        weights = np.concatenate([batch["weights"].reshape(len(batch["weights"]), -1) for batch in batches])
        assert set(np.unique(weights)) <= {0.0, 1.0}
        assert (weights.max(axis=1) > 0).sum() == size, "a row without weight is padding"
        again = next(iter(data.eval_batches(found, place, split, batch_size)))
        assert_same(again, batches[0])
    with pytest.raises(spec.UsageError, match="split"):
        next(iter(data.eval_batches(found, place, "training", batch_size)))


@pytest.mark.parametrize("name", names())
def test_metrics_hold_the_target_metric_and_are_floats_in_range(folder, name):
    found, _, place = folder(name)
    metrics = (registry.metrics_module(found) or averages).make_metrics(found, place)
    assert callable(metrics.update)
    assert callable(metrics.result)
    assert found.target_metric_name


# ---- models ----------------------------------------------------------------------------------------------------------


@stepped
def test_a_gradient_step_lowers_the_loss_on_its_own_batch(bound, name, framework):
    run = bound(name, framework)
    before, grads = run.mean_loss(run.params)
    flat = leaves(grads)
    assert all(np.isfinite(grad).all() for grad in flat)
    assert all(np.abs(grad).max() > 0 for grad in flat), "every parameter has a part in the loss"
    size = math.sqrt(sum(float((grad.astype(np.float64) ** 2).sum()) for grad in flat))
    after, _ = run.mean_loss(moved(run.params, grads, -0.05 / size))
    moved(run.params, grads, 0.05 / size)  # PyTorch moves in place: there and back.
    assert float(after) < float(before), run.spec.name


@stepped
def test_the_loss_of_new_weights_is_that_of_guessing(bound, name, framework):
    run = bound(name, framework)
    if run.spec.loss_type is not spec.LossType.SOFTMAX_CROSS_ENTROPY:
        pytest.skip("only classes can be guessed evenly")
    classes = next(run.spec.model[key] for key in ("num_classes", "vocab_size") if key in run.spec.model)
    loss, _ = run.mean_loss(run.params)
    assert 0.5 * math.log(classes) < float(loss) < 2.0 * math.log(classes)


@stepped
def test_dropout_is_an_argument_of_the_call(bound, name, framework):
    run = bound(name, framework)
    without, _ = run.mean_loss(run.params, 0.0, 1)
    again, _ = run.mean_loss(run.params, 0.0, 2)
    assert float(without) == float(again), "a rate of exactly 0 leaves no trace of the random key"
    losses = {float(run.mean_loss(run.params, 0.5, seed)[0]) for seed in range(3)}
    assert len(losses) == (3 if run.spec.has_dropout else 1)
    assert all(map(math.isfinite, losses))
    if framework == "jax":
        assert run._compiled._cache_size() == 1, "the rate is traced: one compiled step serves them all"


@stepped
def test_shapes_and_types_line_up_with_the_parameters(bound, name, framework):
    run = bound(name, framework)
    shapes, types = run.workload.param_shapes, run.workload.model_params_types
    if framework == "jax":
        import jax

        structure = jax.tree.structure(run.params)
        assert jax.tree.structure(shapes) == jax.tree.structure(types) == structure
        pairs = zip(jax.tree.leaves(shapes), jax.tree.leaves(run.params), strict=True)
        kinds = jax.tree.leaves(types)
        keys = list(run.params)
    else:
        named = dict(run.params.named_parameters())
        assert list(shapes) == list(types) == list(named)
        pairs = zip(shapes.values(), named.values(), strict=True)
        kinds, keys = list(types.values()), list(named)
    assert all(shape.shape_tuple == tuple(parameter.shape) for shape, parameter in pairs)
    assert all(isinstance(kind, spec.ParameterType) for kind in kinds)
    assert any(run.workload.is_output_params(key) for key in keys)
    assert all(key in keys for key in run.spec.output_params[framework])


@pytest.mark.parametrize("name", STEPPED_IN_JAX)
def test_frameworks_hold_the_same_numbers_of_parameters_of_every_type(bound, name):
    import jax

    in_jax, in_torch = bound(name, "jax"), bound(name, "pytorch")
    sizes = [int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(in_jax.params)]
    assert sum(sizes) == sum(parameter.numel() for parameter in in_torch.params.parameters())
    output = sum(
        leaf.size for key in in_jax.spec.output_params["jax"] for leaf in jax.tree.leaves(in_jax.params[key])
    )
    named = dict(in_torch.params.named_parameters())
    assert output == sum(named[key].numel() for key in in_torch.spec.output_params["pytorch"])


@stepped
def test_update_batch_norm_without_training_is_an_error(bound, name, framework):
    run = bound(name, framework)
    with pytest.raises(ValueError, match=r"ForwardPassMode.TRAIN only"):
        run.workload.model_fn(
            run.params, run.batch, run.model_state, spec.ForwardPassMode.EVAL, None, update_batch_norm=True
        )


@stepped
def test_the_same_key_gives_the_same_initial_weights_and_another_key_others(bound, name, framework):
    run = bound(name, framework)
    if framework == "jax":
        # What `bound` made stays; only the compiled function is shared.
        first = leaves(run.workload.init_model_fn(run.workload.backend.root_key(0))[0])
        wanted = leaves(run.initial_params)
    else:
        first = leaves(run.workload.init_model_fn(run.workload.backend.root_key(0))[0])
        wanted = leaves(run.workload.init_model_fn(run.workload.backend.root_key(0))[0])
    other = leaves(run.workload.init_model_fn(run.workload.backend.root_key(1))[0])
    for one, two in zip(first, wanted, strict=True):
        np.testing.assert_array_equal(one, two)
    assert any(not np.array_equal(one, two) for one, two in zip(first, other, strict=True))


@pytest.mark.parametrize("name", STEPPED_IN_JAX)
def test_frameworks_agree_on_loss_and_gradients_with_the_same_weights(bound, name):
    import importlib

    import jax
    import torch

    in_jax, in_torch = bound(name, "jax"), bound(name, "pytorch")
    assert_same(in_jax.host_batch, in_torch.host_batch)
    weights = importlib.import_module(f"workloads.{in_jax.spec.family}.weights")
    carried = weights.jax_to_torch(jax.tree.map(np.asarray, in_jax.params), in_jax.spec)
    own = {key: value.clone() for key, value in in_torch.params.state_dict().items()}
    try:
        missing = in_torch.params.load_state_dict(
            {key: torch.tensor(value) for key, value in carried.items()}, strict=False
        )
        assert not missing.unexpected_keys
        assert not set(missing.missing_keys) & set(dict(in_torch.params.named_parameters()))
        found, found_grads = in_torch.mean_loss(in_torch.params)
    finally:
        in_torch.params.load_state_dict(own)
    wanted, wanted_grads = in_jax.mean_loss(in_jax.params)
    np.testing.assert_allclose(float(found), float(wanted), rtol=1e-5)
    carried_grads = weights.jax_to_torch(jax.tree.map(np.asarray, wanted_grads), in_jax.spec)
    for key, grad in carried_grads.items():
        if key in found_grads:
            # A key's bias shifts all logits of a softmax alike: its gradient is zero but for rounding.
            scale = np.linalg.norm(carried_grads[key.replace("key.bias", "query.bias")])
            # Coarse, because one ReLU that rounding puts on its other side moves gradients by up to 1e-2: the tests
            # of each family compare to 1e-4, where need be in float64.
            assert np.linalg.norm(found_grads[key].numpy() - grad) <= 2e-2 * scale, key


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


def test_there_is_something_to_conform():
    assert len(names()) >= 2
    assert set(itertools.chain(names(), registry.names(mini=True))) == set(names())
