"""What every workload must do, in both frameworks: the checks, for workloads of ours and for mistakes alike.

A check returns where all is well, raises an exception where it is not, and skips (`unittest.SkipTest`) where it says
nothing. There are three kinds, by what they look at: data, one framework's model, and the two models together. This
file and what it imports do without pytest, so that `check_workload.py` runs the checks anywhere.
"""

import contextlib
import dataclasses
import functools
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import numpy as np
from bound_workloads import Bound, digest_of_batches, few, leaves, moved

from algoperf import data_seed, registry, spec
from algoperf.data import locate, sealed
from algoperf.data.batch import arrays
from algoperf.direction import METRIC_RANGES

HELPERS = os.path.dirname(__file__)
ROOT = os.path.dirname(os.path.dirname(HELPERS))

DATA_CHECKS: list[Callable] = []
"""check(spec, data module, data folder)."""
MODEL_CHECKS: list[Callable] = []
"""check(Bound)."""
PAIR_CHECKS: list[Callable] = []
"""check(Bound in JAX, Bound in PyTorch); for bases and variants."""
BASE_PAIR_CHECKS: list[Callable] = []
"""The same, but a JAX training step takes seconds to compile: for bases alone."""


def one_of(checks):
    return lambda check: checks.append(check) or check


@dataclasses.dataclass(frozen=True)
class Check:
    """One check on one workload."""

    name: str
    """Of the function: a sentence with underscores."""
    frameworks: tuple[str, ...]
    """That it looks at; empty for data."""
    run: Callable[[], None]


def checks_of(
    name: str, data_dir, frameworks: tuple[str, ...] = ("pytorch", "jax"), with_data: bool = True
) -> Iterator[Check]:
    """All checks on a workload, in the order in which they are to be run; data are made when the first one is.

    Args:
      name: of a workload with little data.
      data_dir: root of the data, which are made there.
      frameworks: to look at.
      with_data: False leaves out the checks of data.
    """

    @functools.cache
    def data_of():
        found = few(name)
        return found, registry.data_module(found), locate.ready_folder(found, data_dir, progress=False)

    bound = functools.cache(lambda framework: Bound(name, framework, data_dir))
    is_base = registry.get(name).variant is None
    # What a check takes is made when its turn comes: mistakes in data are found without a model.
    if with_data:
        for check in DATA_CHECKS:
            yield Check(check.__name__, (), lambda check=check: check(*data_of()))
    for framework in frameworks:
        for check in MODEL_CHECKS if framework == "pytorch" or is_base or len(frameworks) == 1 else ():
            yield Check(
                check.__name__,
                (framework,),
                lambda check=check, framework=framework: check(bound(framework)),
            )
    if {"jax", "pytorch"} <= set(frameworks):
        for check in [*PAIR_CHECKS, *(BASE_PAIR_CHECKS if is_base else ())]:
            yield Check(
                check.__name__,
                ("jax", "pytorch"),
                lambda check=check: check(bound("jax"), bound("pytorch")),
            )


def first_refusal(name, data_dir):
    """(name of the check, error) of the first check that a workload does not pass; None if it passes them all."""
    for check in checks_of(name, data_dir):
        try:
            check.run()
        except unittest.SkipTest:
            continue
        except (AssertionError, spec.UsageError) as error:
            return check.name, error
    return None


@contextlib.contextmanager
def refused(kind, words):
    """Within this context an error has to be raised, of a kind and with a text."""
    found = None
    try:
        yield
    except kind as error:
        found = str(error)
    assert found is not None, f"no {kind.__name__} was raised"
    assert re.search(words, found), f"the error should mention {words!r}: {found}"


def assert_same(first, second):
    for one, two in zip(arrays(first), arrays(second), strict=True):
        np.testing.assert_array_equal(one, two)


# ---- data ------------------------------------------------------------------------------------------------------------


@one_of(DATA_CHECKS)
def training_batches_are_full_and_the_same_for_the_same_seed(found, data, place):
    streams = [data.train_stream(found, place, seed, 8) for seed in (1, 1, 2)]
    differs = False
    for _ in range(5):
        first, second, other = (next(stream) for stream in streams)
        assert set(first) >= {"inputs", "targets"}
        assert all(isinstance(value, np.ndarray) for value in arrays(first))
        assert data.SHARDED or all(len(value) == 8 for value in arrays(first))
        assert all(value.flags.c_contiguous for value in arrays(first))
        assert all(np.isfinite(value).all() for value in arrays(first))
        assert_same(first, second)
        assert [value.shape for value in arrays(first)] == [value.shape for value in arrays(other)]
        differs |= any(
            not np.array_equal(one, two) for one, two in zip(arrays(first), arrays(other), strict=True)
        )
    assert differs, "another seed gives other batches"


@one_of(DATA_CHECKS)
def a_stream_continues_where_its_state_says_over_the_end_of_an_epoch_too(found, data, place):
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


@one_of(DATA_CHECKS)
def processes_that_make_their_own_rows_make_the_whole_batch_together(found, data, place):
    streams = [data.train_stream(found, place, 3, 8) for _ in range(3)]
    if not hasattr(streams[0], "keep_rows"):
        raise unittest.SkipTest("every process makes whole batches")
    whole, *shares = streams
    for index, share in enumerate(shares):
        share.keep_rows(slice(4 * index, 4 * index + 4))
    for _ in range(3):
        batch, parts = next(whole), [next(share) for share in shares]
        for value, *shares_of_it in zip(*map(arrays, (batch, *parts)), strict=True):
            np.testing.assert_array_equal(np.concatenate(shares_of_it), value)


@one_of(DATA_CHECKS)
def evaluation_batches_have_one_size_and_weights_for_what_is_real(found, data, place, batch_size=5):
    sizes = {
        "eval_train": found.num_eval_train_examples,
        "validation": found.num_validation_examples,
    }
    if found.has_test_split:
        sizes["test"] = found.num_test_examples
    for split, size in sizes.items():
        batches = list(data.eval_batches(found, place, split, batch_size))
        if data.SHARDED:
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
    with refused(spec.UsageError, "split"):
        next(iter(data.eval_batches(found, place, "training", batch_size)))


@contextlib.contextmanager
def another_process():
    """Within this context: digest(name, place), of the batches that a process of its own makes."""
    code = (
        f"import sys; sys.path[:0] = [{ROOT!r}, {HELPERS!r}]; from bound_workloads import digest_of_batches\n"
    )
    code += "for line in sys.stdin: print(digest_of_batches(*line.rstrip('\\n').split('\\t')), flush=True)"
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, **pipes) as process:

        def digest(name, place):
            process.stdin.write(f"{name}\t{place}\n")
            process.stdin.flush()
            found = process.stdout.readline().strip()
            assert found, f"the process that makes batches of {name} has ended: its error is above"
            return found

        yield digest


@one_of(DATA_CHECKS)
def another_process_makes_the_same_batches(found, data, place, digest=None):
    """A split that is drawn without a seed is the same for as long as a process lives, and then another one.

    `digest` is that of `another_process`, which several checks may share: it takes a second to start.
    """
    with contextlib.nullcontext(digest) if digest else another_process() as digest_there:
        found_there = digest_there(found.name, place)
    assert found_there == digest_of_batches(found.name, place), f"{found.name}: are all draws seeded?"


@one_of(DATA_CHECKS)
def another_data_seed_makes_other_samples_of_the_same_shapes(found, data, place):
    """In all splits, and the same every time; `place` is the folder of the public data."""
    if not (found.is_mini and data.RESEEDS):
        raise unittest.SkipTest("data.py does not say RESEEDS = True")
    seed = data_seed.parse("17")
    other = sealed.of_seed(found, seed)
    if "vocab_size" not in found.model:  # Else there may be a tokenizer, which needs text.
        other = dataclasses.replace(other, num_train_examples=max(64, found.num_train_examples // 8))
    there = locate.ready_folder(other, place.parent, progress=False, seed=seed.entropy)
    assert there != place
    assert not data.is_ready(found, there), "is_ready takes data of a seed for the public ones"
    for split in ("eval_train", *(("validation", "test") if found.has_test_split else ("validation",))):
        public, own = (
            next(iter(data.eval_batches(one, folder, split, 8)))
            for one, folder in ((found, place), (other, there))
        )
        assert [value.shape[1:] for value in arrays(public)] == [value.shape[1:] for value in arrays(own)]
        inputs = [np.concatenate([part.ravel() for part in arrays(one["inputs"])]) for one in (public, own)]
        assert not np.array_equal(*inputs), f"{split} has the public samples"


@one_of(DATA_CHECKS)
def training_needs_only_what_a_confined_submission_may_read(found, data, place):
    with tempfile.TemporaryDirectory() as root:
        own = Path(root) / "own"
        own.mkdir()
        variables = {}
        if data.write_training_part(found, place, own):
            variables = {locate.TRAINING_PART: str(own)}
        elif (readable := data.training_files(found, place)) is None:
            raise unittest.SkipTest("it does not say which files training needs")
        else:
            _copy_with_zeros_for_all_but(readable, place, own)
            wanted = _validation_batch(found, data, place)
            shown = _validation_batch(found, data, own)
            assert shown is None or any(not np.array_equal(*pair) for pair in zip(wanted, shown, strict=True))
        whole = data.train_stream(found, place, 3, 8)
        with mock.patch.dict(os.environ, variables):
            part = data.train_stream(found, own, 3, 8)
            for _ in range(3):
                assert_same(next(whole), next(part))


def _validation_batch(found, data, place):
    """The arrays of the first one; None if the files hold none."""
    try:
        return list(arrays(next(iter(data.eval_batches(found, place, "validation", 5)))))
    except Exception:  # Most formats notice it.
        return None


def _copy_with_zeros_for_all_but(readable, place, target):
    for path in [path for path in place.rglob("*") if path.is_file()]:
        copy = target / path.relative_to(place)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if {path, *path.parents} & set(readable):
            copy.symlink_to(path)
        else:
            copy.touch()
            os.truncate(copy, path.stat().st_size)


# ---- what an evaluation must leave alone -----------------------------------------------------------------------------


@contextlib.contextmanager
def disturbed(module):
    """A PyTorch module, and a process, in a state that no evaluation would choose."""
    import torch

    def see(*_):
        raise AssertionError("a hook of the submission was run on evaluation data")

    layers = list(module.modules())
    modes = [layer.training for layer in layers]
    handles = [layers[-1].register_forward_hook(see), layers[0].register_forward_pre_hook(see)]
    handles.append(torch.nn.modules.module.register_module_forward_hook(see))
    frozen = next(module.parameters())
    frozen.requires_grad_(False)
    for index, layer in enumerate(layers):
        layer.training = index % 2 == 0
    for index, parameter in enumerate(module.parameters()):
        parameter.grad = None if index % 2 else torch.full_like(parameter, index)
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            yield
    finally:
        for handle in handles:
            handle.remove()
        frozen.requires_grad_(True)
        for layer, mode in zip(layers, modes):
            layer.training = mode
        module.zero_grad()


def everything(run):
    """Name -> value of all that a submission could see of an evaluation."""
    found = {"numpy errors": sorted(np.geterr().items())}
    for name, state in run.workload.backend.random_state().items():
        for index, part in enumerate(state if isinstance(state, tuple) else [state]):
            found[f"{name} generator {index}"] = np.array(part)
    if run.framework == "jax":
        import jax

        for path, leaf in jax.tree_util.tree_leaves_with_path((run.params, run.model_state)):
            found[jax.tree_util.keystr(path)] = np.array(leaf)  # Raises where it was donated.
        return found
    import torch

    found["gradients are on"] = torch.is_grad_enabled()
    found["autocast"] = (torch.is_autocast_enabled("cpu"), str(torch.get_autocast_dtype("cpu")))
    for name, layer in run.params.named_modules():
        found[f"{name} mode"] = layer.training
        found[f"{name} hooks"] = [*layer._forward_hooks, *layer._forward_pre_hooks]
    for name, parameter in run.params.named_parameters():
        found[f"{name} flags"] = (id(parameter), parameter.data_ptr(), parameter.requires_grad)
        found[f"{name} gradient"] = np.array(-1 if parameter.grad is None else parameter.grad.numpy().copy())
        found[name] = parameter.detach().numpy().copy()
    for name, buffer in run.params.named_buffers():
        found[name] = buffer.numpy().copy()
    return found


# ---- models ----------------------------------------------------------------------------------------------------------


@one_of(MODEL_CHECKS)
def a_gradient_step_lowers_the_loss_on_its_own_batch(run):
    before, grads = run.mean_loss(run.params)
    flat = leaves(grads)
    assert all(np.isfinite(grad).all() for grad in flat)
    assert all(np.abs(grad).max() > 0 for grad in flat), "every parameter has a part in the loss"
    size = math.sqrt(sum(float((grad.astype(np.float64) ** 2).sum()) for grad in flat))
    after, _ = run.mean_loss(moved(run.params, grads, -0.05 / size))
    moved(run.params, grads, 0.05 / size)  # PyTorch moves in place: there and back.
    assert float(after) < float(before), run.spec.name


@one_of(MODEL_CHECKS)
def the_loss_of_new_weights_is_that_of_guessing(run):
    if run.spec.loss_type is not spec.LossType.SOFTMAX_CROSS_ENTROPY:
        raise unittest.SkipTest("only classes can be guessed evenly")
    classes = next(run.spec.model[key] for key in ("num_classes", "vocab_size") if key in run.spec.model)
    loss, _ = run.mean_loss(run.params)
    assert 0.5 * math.log(classes) < float(loss) < 2.0 * math.log(classes)


@one_of(MODEL_CHECKS)
def dropout_is_an_argument_of_the_call(run):
    without, _ = run.mean_loss(run.params, 0.0, 1)
    again, _ = run.mean_loss(run.params, 0.0, 2)
    assert float(without) == float(again), "a rate of exactly 0 leaves no trace of the random key"
    losses = {float(run.mean_loss(run.params, 0.5, seed)[0]) for seed in range(3)}
    assert len(losses) == (3 if run.spec.has_dropout else 1)
    assert all(map(math.isfinite, losses))
    if run.framework == "jax":
        assert run._compiled._cache_size() == 1, "the rate is traced: one compiled step serves them all"


@one_of(MODEL_CHECKS)
def shapes_and_types_line_up_with_the_parameters(run):
    shapes, types = run.workload.param_shapes, run.workload.model_params_types
    if run.framework == "jax":
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
    assert all(key in keys for key in run.spec.output_params[run.framework])


@one_of(MODEL_CHECKS)
def update_batch_norm_without_training_is_an_error(run):
    with refused(ValueError, r"ForwardPassMode.TRAIN only"):
        run.workload.model_fn(
            run.params, run.batch, run.model_state, spec.ForwardPassMode.EVAL, None, update_batch_norm=True
        )


@one_of(MODEL_CHECKS)
def evaluation_changes_nothing(run):
    """Weights, running statistics, modes, hooks, gradients, random generators, precision: all are as before."""
    with disturbed(run.params) if run.framework == "pytorch" else contextlib.nullcontext():
        before = everything(run)
        run.workload.evaluator.evaluate_split("validation", run.params, run.model_state, batch_size=32)
        after = everything(run)
    assert before.keys() == after.keys()
    for name in before:
        np.testing.assert_array_equal(after[name], before[name], err_msg=name)


@one_of(MODEL_CHECKS)
def the_same_key_gives_the_same_initial_weights_and_another_key_others(run):
    if run.framework == "jax":
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


@one_of(MODEL_CHECKS)
def untrained_weights_do_not_meet_the_target(run):
    """Where they do, the metric is taken for better in the wrong direction, or the target is no target."""
    params, model_state = run.workload.init_model_fn(run.workload.backend.root_key(0))
    value = run.metrics_of(run.evaluate(params, model_state))[run.spec.target_metric_name]
    for split in ("validation", "test") if run.spec.has_test_split else ("validation",):
        target = getattr(run.spec, f"{split}_target_value")
        assert not run.spec.meets(value, target), (
            f"{run.spec.name}: {run.spec.target_metric_name} of untrained weights is {value:.4g}, which meets the "
            f"{split} target of {target:.4g} already: is higher_is_better={run.spec.higher_is_better} right?"
        )


# ---- both models -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def carried_over(in_jax, in_torch):
    """Within this context, the PyTorch module has the weights of the JAX model."""
    import jax
    import torch

    convert = registry.weights_module(in_jax.spec).jax_to_torch
    weights = convert(jax.tree.map(np.asarray, in_jax.params), in_jax.spec)
    own = {key: value.clone() for key, value in in_torch.params.state_dict().items()}
    try:
        missing = in_torch.params.load_state_dict(
            {key: torch.tensor(value) for key, value in weights.items()}, strict=False
        )
        assert not missing.unexpected_keys
        assert not set(missing.missing_keys) & set(dict(in_torch.params.named_parameters()))
        yield
    finally:
        in_torch.params.load_state_dict(own)


@functools.cache
def outputs_of(in_jax, in_torch):
    """Outputs of one evaluation batch with the same weights, in JAX and in PyTorch."""
    with carried_over(in_jax, in_torch):
        found = in_torch.evaluate(in_torch.params, None)
    return in_jax.evaluate(in_jax.params, in_jax.model_state), found


@one_of(PAIR_CHECKS)
def frameworks_agree_on_the_outputs_of_an_evaluation_with_the_same_weights(in_jax, in_torch):
    wanted, found = outputs_of(in_jax, in_torch)
    assert set(found) == set(wanted), (
        f"{in_jax.spec.name}: eval_outputs must give the same in every framework"
    )
    weights = in_jax.eval_batch["weights"]
    is_real = weights.reshape(len(weights), -1).max(axis=1) > 0
    for key, value in wanted.items():
        assert found[key].shape == value.shape, key
        one, two = found[key][is_real], value[is_real]
        if np.issubdtype(value.dtype, np.floating):
            # They agree to 5e-6 of the mean; another activation changes the losses of new weights by 2e-2 and more.
            np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-4 * np.abs(two).mean(), err_msg=key)
        else:  # The largest of two that are nearly the same may be either.
            assert (one == two).mean() > 0.98, f"{in_jax.spec.name}: {key} differ between the frameworks"


@one_of(PAIR_CHECKS)
def metrics_hold_the_target_metric_and_are_floats_in_range(in_jax, in_torch):
    wanted, found = (
        run.metrics_of(outputs) for run, outputs in zip((in_jax, in_torch), outputs_of(in_jax, in_torch))
    )
    target = in_jax.spec.target_metric_name
    for metrics in (wanted, found):
        low, high = METRIC_RANGES.get(target, (0.0, math.inf))
        assert math.isfinite(metrics[target]), metrics
        assert low <= metrics[target] <= high, metrics
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=2e-2, atol=1e-3, err_msg=name)


@one_of(PAIR_CHECKS)
def frameworks_hold_the_same_numbers_of_parameters_of_every_type(in_jax, in_torch):
    import jax

    sizes = [int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(in_jax.params)]
    assert sum(sizes) == sum(parameter.numel() for parameter in in_torch.params.parameters())
    output = sum(
        leaf.size for key in in_jax.spec.output_params["jax"] for leaf in jax.tree.leaves(in_jax.params[key])
    )
    named = dict(in_torch.params.named_parameters())
    assert output == sum(named[key].numel() for key in in_torch.spec.output_params["pytorch"])


@one_of(PAIR_CHECKS)
def frameworks_draw_new_weights_from_the_same_distributions(in_jax, in_torch):
    import jax

    convert = registry.weights_module(in_jax.spec).jax_to_torch
    wanted = convert(jax.tree.map(np.asarray, in_jax.initial_params), in_jax.spec)
    module, _ = in_torch.workload.init_model_fn(in_torch.workload.backend.root_key(0))
    for name, parameter in module.named_parameters():
        one, two = parameter.detach().numpy(), wanted[name]
        assert one.shape == two.shape, name
        if two.std() == 0:
            np.testing.assert_array_equal(one, two, err_msg=name)
        elif one.size >= 200:  # The standard deviation of 200 draws is off by 5 %.
            np.testing.assert_allclose(one.std(), two.std(), rtol=0.25, err_msg=name)
            np.testing.assert_allclose(one.mean(), two.mean(), atol=0.25 * two.std(), err_msg=name)


@one_of(BASE_PAIR_CHECKS)
def frameworks_agree_on_loss_and_gradients_with_the_same_weights(in_jax, in_torch):
    import jax

    assert_same(in_jax.host_batch, in_torch.host_batch)
    with carried_over(in_jax, in_torch):
        found, found_grads = in_torch.mean_loss(in_torch.params)
    wanted, wanted_grads = in_jax.mean_loss(in_jax.params)
    np.testing.assert_allclose(float(found), float(wanted), rtol=1e-5)
    convert = registry.weights_module(in_jax.spec).jax_to_torch
    carried_grads = convert(jax.tree.map(np.asarray, wanted_grads), in_jax.spec)
    for key, grad in carried_grads.items():
        if key in found_grads:
            # A key's bias shifts all logits of a softmax alike: its gradient is zero but for rounding.
            scale = np.linalg.norm(carried_grads[key.replace("key.bias", "query.bias")])
            # Coarse, because one ReLU that rounding puts on its other side moves gradients by up to 1e-2: the tests
            # of each family compare to 1e-4, where need be in float64.
            assert np.linalg.norm(found_grads[key].numpy() - grad) <= 2e-2 * scale, key
