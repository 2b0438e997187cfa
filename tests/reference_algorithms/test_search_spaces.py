"""Search spaces and batch sizes: they load, their keys are read, their values are those of the sources."""

import json
from types import SimpleNamespace

import pytest
from linear_workload import FAMILIES, ROOT, TorchRun, load, numpy_batches

from algoperf import registry, tuning
from algoperf.submission import batch_size
from reference_algorithms.shared import batch_sizes

pytestmark = pytest.mark.filterwarnings("error")

FOLDERS = [ROOT / "reference_algorithms" / family for family in FAMILIES] + [
    ROOT / "submissions" / "template"
]
PAPER = ("adamw", "nadamw", "nesterov", "heavy_ball", "lamb", "adafactor", "sam", "shampoo")
"""Families of the AlgoPerf paper."""
SPACES = sorted(path for folder in FOLDERS for path in folder.glob("tuning_search_space*.json"))


def corner_points(space):
    """Complete points of a search space: every listed one, or its two extreme corners."""
    if isinstance(space, list):
        return space
    ends = {name: axis.get("feasible_points") or [axis["min"], axis["max"]] for name, axis in space.items()}
    return [{name: values[end] for name, values in ends.items()} for end in (0, -1)]


def named(path):
    return f"{path.parent.name}/{path.name}"


@pytest.mark.parametrize("path", SPACES, ids=named)
def test_every_range_is_well_formed(path):
    space = json.loads(path.read_text())
    axes = space if isinstance(space, dict) else {}
    for name, axis in axes.items():
        if set(axis) == {"feasible_points"}:
            assert len(axis["feasible_points"]) > 0
        else:
            assert set(axis) == {"min", "max", "scaling"}
            assert 0 < axis["min"] < axis["max"]
            assert axis["scaling"] == ("linear" if name == "decay_steps_factor" else "log")


@pytest.mark.parametrize("path", SPACES, ids=named)
def test_the_algorithm_reads_every_hyperparameter_of_its_space_and_runs_at_its_corners(path):
    module = load(path.parent.name, "torch")
    for values in corner_points(json.loads(path.read_text())):
        hyperparameters = tuning.make_hyperparameters(values)
        run = TorchRun(module, hyperparameters)
        run.step(next(numpy_batches(1)))
        unread = tuning.unread(hyperparameters)
        assert not unread, f"{named(path)}: never read: {unread}"


def load_space(family, suffix=""):
    path = ROOT / "reference_algorithms" / family / f"tuning_search_space{suffix}.json"
    return json.loads(path.read_text())


@pytest.mark.parametrize("family", PAPER)
def test_the_space_with_fixed_beta1_differs_in_beta1_alone(family):
    tuned, fixed = load_space(family), load_space(family, "_fixed_beta1")
    assert fixed.pop("one_minus_beta1") == {"feasible_points": [0.1]}
    tuned.pop("one_minus_beta1")
    assert fixed == tuned


@pytest.mark.parametrize(
    ("family", "learning_rate", "one_minus_beta1", "weight_decay"),
    [
        ("adamw", (1e-4, 1e-2), (0.02, 0.5), (0.005, 1)),
        ("nadamw", (1e-4, 1e-2), (0.004, 0.1), (0.005, 1)),
        ("nesterov", (0.02, 5), (0.005, 0.3), (1e-7, 5e-5)),
        ("heavy_ball", (0.02, 5), (0.005, 0.3), (1e-7, 5e-5)),
        ("adafactor", (1e-4, 1e-2), (0.01, 0.45), (0.001, 1)),
        ("sam", (1e-4, 1e-2), (0.05, 0.43), (0.01, 0.2)),
        ("shampoo", (1e-4, 1e-2), (0.01, 0.15), (0.005, 1)),
        ("lamb", (1e-4, 1e-2), (0.05, 0.3), (0.001, 1)),
    ],
)
def test_the_tuned_ranges_are_those_of_the_paper(family, learning_rate, one_minus_beta1, weight_decay):
    space = load_space(family)
    for name, range_ in [
        ("learning_rate", learning_rate),
        ("one_minus_beta1", one_minus_beta1),
        ("weight_decay", weight_decay),
    ]:
        assert (space[name]["min"], space[name]["max"]) == range_
    assert space["warmup_factor"] == {"feasible_points": [0.05]}
    assert space["label_smoothing"] == {"feasible_points": [0.1, 0.2]}
    assert space["dropout_rate"] == {"feasible_points": [0.0, 0.1]}


def test_the_full_budget_baseline_has_five_points_with_the_same_keys():
    points = load_space("nadamw", "_full_budget")
    assert len(points) == 5
    assert len({tuple(values) for values in points}) == 1


def test_the_self_tuning_baseline_is_the_fifth_point_without_label_smoothing():
    from reference_algorithms.nadamw.self_tuning import SELF_TUNING_POINT

    fifth = load_space("nadamw", "_full_budget")[4]
    assert json.loads((ROOT / "reference_algorithms/nadamw/self_tuning_point.json").read_text()) == fifth
    assert fifth.pop("label_smoothing") == 0
    assert vars(SELF_TUNING_POINT) == fifth


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_all_algorithms_and_frameworks_share_one_table_of_batch_sizes(family, framework):
    assert load(family, framework).get_batch_size is batch_sizes.get_batch_size


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("criteo1tb", 262_144),
        ("fastmri", 32),
        ("finewebedu_lm", 64),
        ("imagenet_resnet", 1024),
        ("imagenet_resnet_silu", 512),
        ("imagenet_resnet_gelu", 512),
        ("imagenet_vit", 1024),
        ("librispeech_conformer", 256),
        ("librispeech_deepspeech", 256),
        ("ogbg", 512),
        ("wmt", 128),
        ("digits", 64),
    ],
)
def test_batch_sizes_are_those_of_the_baselines(name, size):
    assert batch_sizes.get_batch_size(name) == size


def test_every_listed_batch_size_is_asked_for_and_is_not_what_the_harness_would_take_anyway():
    for name, size in batch_sizes.BATCH_SIZES.items():
        spec = registry.get(name)
        assert not spec.is_mini, f"{name}: the harness takes the default of its workload.py"
        assert spec.base_name == name or size != batch_sizes.BATCH_SIZES[spec.base_name], name


def test_the_harness_gives_every_mini_workload_the_default_of_its_workload():
    submission = SimpleNamespace(name="any", module=batch_sizes)
    minis = [spec for spec in map(registry.get, registry.names()) if spec.is_mini]
    assert "wmt_mini" in {spec.name for spec in minis}
    for spec in minis:
        assert batch_size(submission, spec, 1) == spec.default_batch_size


@pytest.mark.parametrize("name", ["wmt_post_ln", "wmt_post_ln_mini"])
def test_an_unknown_workload_has_no_batch_size_and_the_error_names_the_choices(name):
    with pytest.raises(ValueError, match=rf"'{name}'.*Choose from .*criteo1tb.*wmt"):
        batch_sizes.get_batch_size(name)


def test_the_harness_gives_a_mini_twin_of_a_variant_the_default_of_its_workload():
    submission = SimpleNamespace(name="any", module=batch_sizes)
    for name, size in [("wmt_mini", 16), ("wmt_post_ln_mini", 16), ("wmt_post_ln", 128)]:
        assert batch_size(submission, registry.get(name), 1) == size
