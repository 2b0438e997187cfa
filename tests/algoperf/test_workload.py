"""Specs check themselves; variants and mini twins are composed from data; names are found by folder."""

import dataclasses
import math

import pytest
from harness import shared_workload

from algoperf import registry, spec
from algoperf.spec import LossType, UsageError
from algoperf.workload import Family, Variant, WorkloadSpec

BASE = {
    "name": "toy",
    "family": "toy",
    "target_metric_name": "accuracy",
    "higher_is_better": True,
    "validation_target_value": 0.9,
    "test_target_value": 0.8,
    "loss_type": LossType.SOFTMAX_CROSS_ENTROPY,
    "num_train_examples": 100,
    "num_eval_train_examples": 10,
    "num_validation_examples": 10,
    "num_test_examples": 10,
    "eval_batch_size": 5,
    "max_allowed_runtime_sec": 10,
    "eval_period_time_sec": 1,
    "step_hint": 50,
    "default_batch_size": 4,
    "model": {"width": 8, "norm": "pre"},
    "data": {"length": 16},
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"validation_target_value": 90.0}, "validation_target_value is a accuracy"),
        ({"test_target_value": -0.1}, "test_target_value"),
        (
            {"target_metric_name": "bleu", "test_target_value": 229.4143},
            r"must be in \[0.0, 100.0\]; got 229.4143",
        ),
        ({"validation_target_value": math.nan}, "validation_target_value"),
        ({"step_hint": 0}, "step_hint must be a positive integer, got 0"),
        ({"num_train_examples": 1e6}, "num_train_examples must be a positive integer"),
        ({"eval_batch_size": -1}, "eval_batch_size"),
        (
            {"max_allowed_runtime_sec": math.inf},
            "max_allowed_runtime_sec must be a positive number of seconds",
        ),
        ({"eval_period_time_sec": 0}, "eval_period_time_sec"),
        ({"default_dropout_rate": 1.0}, r"default_dropout_rate must be in \[0, 1\)"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_a_wrong_fact_is_refused_where_it_enters(change, message):
    with pytest.raises(UsageError, match=message):
        WorkloadSpec(**{**BASE, **change})


@pytest.mark.parametrize("target", [0.0, 1.0])
def test_a_target_may_be_the_best_or_the_worst_value_there_is(target):
    facts = {"validation_target_value": target, "test_target_value": target, "default_dropout_rate": 0.0}
    assert WorkloadSpec(**{**BASE, **facts}).meets(target, target)


def test_equality_reaches_a_target_and_nan_never_does():
    up = WorkloadSpec(**BASE)
    down = WorkloadSpec(**{**BASE, "higher_is_better": False})
    assert up.meets(0.9, 0.9)
    assert down.meets(0.9, 0.9)
    assert up.meets(0.91, 0.9)
    assert not down.meets(0.91, 0.9)
    assert not up.meets(math.nan, 0.9)
    assert not down.meets(math.nan, 0.9)


def test_configurations_are_frozen():
    found = WorkloadSpec(**BASE)
    with pytest.raises(AttributeError):
        found.model.width = 9
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.step_hint = 1


def test_variants_and_mini_twins_compose():
    family = Family(
        base=WorkloadSpec(**BASE),
        variants={
            "post": Variant(
                model={"norm": "post"},
                facts={"validation_target_value": 0.7},
                mini_facts={"validation_target_value": 0.5},
            ),
            "wide": Variant(model={"width": 99}, mini_model={"width": 3}),
        },
        mini=Variant(model={"width": 2}, facts={"num_train_examples": 20, "validation_target_value": 0.6}),
    )
    found = family.specs()
    names = ["toy", "toy_mini", "toy_post", "toy_post_mini", "toy_wide", "toy_wide_mini"]
    assert sorted(found) == names
    assert (found["toy_wide"].model.width, found["toy_wide_mini"].model.width) == (99, 3)
    both = found["toy_post_mini"]
    assert (both.model.width, both.model.norm) == (2, "post")
    assert both.is_mini
    assert both.variant == "post"
    assert both.base_name == "toy"
    assert both.num_train_examples == 20
    assert [found[name].validation_target_value for name in names[:4]] == [0.9, 0.6, 0.7, 0.5]
    assert len({each.config_hash() for each in found.values()}) == len(names)


def test_the_data_settings_of_a_variant_stay_its_own_in_its_twin():
    family = Family(
        base=WorkloadSpec(**BASE),
        variants={"long": Variant(data={"length": 99})},
        mini=Variant(data={"length": 2}),
    )
    lengths = {name: found.data.length for name, found in family.specs().items()}
    assert lengths == {"toy": 16, "toy_mini": 2, "toy_long": 99, "toy_long_mini": 99}


def test_an_override_of_something_that_does_not_exist_is_refused():
    for overrides in ({"model": {"widht": 2}}, {"data": {"lenght": 2}}, {"facts": {"step_hints": 2}}):
        family = Family(base=WorkloadSpec(**BASE), variants={"x": Variant(**overrides)})
        with pytest.raises(UsageError, match=r"is called '.*'; the nearest is"):
            family.specs()


def test_the_hash_of_a_spec_follows_every_fact():
    base = WorkloadSpec(**BASE)
    assert base.config_hash() == WorkloadSpec(**BASE).config_hash()
    for change in ({"step_hint": 51}, {"model": {"width": 9, "norm": "pre"}}, {"test_target_value": 0.81}):
        assert WorkloadSpec(**{**BASE, **change}).config_hash() != base.config_hash()


def test_families_are_found_by_their_folder(tmp_path):
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "workload.py").write_text("")
    (tmp_path / "no_workload").mkdir()
    assert list(registry.discover(tmp_path)) == ["a", "b"]


def test_names_are_listed_and_unknown_ones_refused_with_the_nearest():
    assert set(registry.names()) >= {"digits", "digits_batch_norm", "wmt", "wmt_post_ln_mini"}
    assert all(registry.get(name).is_mini for name in registry.names(mini=True))
    assert set(registry.names(mini=True)) | set(registry.names(mini=False)) == set(registry.names())
    with pytest.raises(UsageError, match="nearest is 'digits'"):
        registry.get("digit")


# ---- the object that submissions see ---------------------------------------------------------------------------------


def test_facts_and_model_settings_are_attributes(framework):
    workload = shared_workload(registry.get("digits"), framework)
    assert workload.step_hint == 2000
    assert workload.target_metric_name == "accuracy"
    assert workload.hidden == 64
    assert workload.metrics_logger is None
    assert (workload.train_mean, workload.train_stddev) == (0.0, 16.0)
    with pytest.raises(AttributeError, match="'digits' has no attribute 'no_such_thing'"):
        _ = workload.no_such_thing
    assert isinstance(workload, spec.Workload)
    assert hash(workload) == hash(workload)
    assert workload == workload


def test_statistics_of_inputs_that_mean_nothing_are_refused(framework):
    with pytest.raises(NotImplementedError, match="wmt_mini has no train_mean"):
        _ = shared_workload(registry.get("wmt_mini"), framework).train_mean


def test_parameters_are_described_only_after_the_model_was_made(framework):
    from algoperf.bound_workload import Workload

    workload = Workload(registry.get("digits"), framework)
    for name in ("param_shapes", "model_params_types"):
        with pytest.raises(ValueError, match="init_model_fn"):
            getattr(workload, name)
    params, model_state = workload.init_model_fn(workload.backend.root_key(0))
    assert model_state is None
    if framework == "pytorch":
        names = [name for name, _ in params.named_parameters()]
        assert list(workload.param_shapes) == list(workload.model_params_types) == names
    else:
        import jax

        shapes = jax.tree.map(lambda leaf: leaf.shape_tuple, workload.param_shapes)
        assert shapes == jax.tree.map(lambda leaf: leaf.shape, params)
        assert jax.tree.structure(workload.model_params_types) == jax.tree.structure(params)


def test_the_output_layer_is_known_by_its_keys(framework):
    workload = shared_workload(registry.get("digits"), framework)
    inside = {"jax": "Dense_1", "pytorch": "output.weight"}[framework]
    outside = {"jax": "Dense_0", "pytorch": "hidden.weight"}[framework]
    assert workload.is_output_params(inside)
    assert not workload.is_output_params(outside)


def test_targets_are_read_from_an_evaluation(framework):
    workload = shared_workload(registry.get("digits"), framework)
    assert workload.has_reached_validation_target({"validation/accuracy": workload.validation_target_value})
    assert not workload.has_reached_validation_target({"validation/accuracy": 0.5})
    assert not workload.has_reached_validation_target({})
    assert workload.has_reached_test_target({"test/accuracy": 1.0})
    assert not workload.has_reached_test_target({"validation/accuracy": 1.0})


def test_a_missing_package_for_data_is_one_line_with_the_command():
    with (
        pytest.raises(UsageError, match=r"'wmt_mini' need the package 'notthere'.*\.\[data\]"),
        registry.data_packages(registry.get("wmt_mini")),
    ):
        raise ModuleNotFoundError("No module named 'notthere'", name="notthere")
    with pytest.raises(ModuleNotFoundError), registry.data_packages(registry.get("wmt_mini")):
        raise ModuleNotFoundError("No module named 'workloads.x'", name="workloads.x")
