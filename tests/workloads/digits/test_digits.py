"""The digits workload: its data, its two models, batch norm, and a target that good training reaches."""

import numpy as np
import pytest
from bound_workloads import Bound
from harness import ROOT, digits, run_trial, shared_workload, submission

from algoperf import registry, spec
from algoperf import submission as submissions
from workloads.digits import data


def test_splits_are_disjoint_and_sized_as_the_spec_says():
    found = digits()
    images = {split: data.load_split(found, split)[0] for split in ("train", "validation", "test")}
    assert [len(images[split]) for split in images] == [
        found.num_train_examples,
        found.num_validation_examples,
        found.num_test_examples,
    ]
    assert sum(map(len, images.values())) == 1797
    train = {image.tobytes() for image in images["train"]}
    assert not any(image.tobytes() in train for image in (*images["validation"], *images["test"]))
    evaluated = data.load_split(found, "eval_train")[0]
    np.testing.assert_array_equal(evaluated, images["train"][: found.num_eval_train_examples])


def test_images_are_the_scanned_digits_scaled_to_one():
    images, targets = data.load_split(digits(), "train")
    assert images.shape[1:] == (8, 8, 1)
    assert images.dtype == np.float32
    assert (images.min(), images.max()) == (0.0, 1.0)
    assert targets.dtype == np.int32
    assert set(targets) == set(range(10))


def test_no_data_folder_is_touched(tmp_path, framework):
    run_trial(tmp_path, framework, max_steps=1, data_dir=str(tmp_path / "data"))
    assert not (tmp_path / "data").exists()


def test_the_output_is_the_same_in_both_frameworks():
    import jax
    import torch

    from workloads.digits.weights import jax_to_torch

    for name in ("digits", "digits_batch_norm"):
        found = registry.get(name)
        in_jax, in_torch = shared_workload(found, "jax"), shared_workload(found, "pytorch")
        params, model_state = in_jax.init_model_fn(in_jax.backend.root_key(1))
        module, _ = in_torch.init_model_fn(in_torch.backend.root_key(1))
        weights = jax_to_torch(jax.tree.map(np.asarray, params), found)
        module.load_state_dict({key: torch.tensor(value) for key, value in weights.items()}, strict=False)
        [batch] = data.eval_batches(found, None, "test", 250)
        wanted = in_jax.model.eval_forward(params, in_jax.backend.to_device(batch), model_state)
        logits = in_torch.model.eval_forward(module, in_torch.backend.to_device(batch), None)
        np.testing.assert_allclose(logits.numpy(), np.asarray(wanted), rtol=1e-4, atol=1e-5)


# ---- batch norm ------------------------------------------------------------------------------------------------------


class Forward:
    """Training-mode passes of digits_batch_norm and its running statistics, in either framework."""

    def __init__(self, framework):
        self.framework = framework
        self.workload = shared_workload(registry.get("digits_batch_norm"), framework)
        self.params, self.model_state = self.workload.init_model_fn(self.workload.backend.root_key(0))
        images, targets = data.load_split(digits(), "train")
        batch = {"inputs": images[:64], "targets": targets[:64]}
        self.batch = self.workload.backend.to_device(batch)

    def __call__(self, update_batch_norm, mode=spec.ForwardPassMode.TRAIN):
        rng = self.workload.backend.root_key(0)
        logits, self.model_state = self.workload.model_fn(
            self.params, self.batch, self.model_state, mode, rng, update_batch_norm, dropout_rate=0.0
        )
        return np.asarray(logits.detach() if self.framework == "pytorch" else logits)

    def statistics(self):
        if self.framework == "pytorch":
            return np.concatenate([layer.running_mean.numpy().copy() for layer in self.params.bns])
        layers = self.model_state["batch_stats"]
        return np.concatenate([np.asarray(layers[key]["mean"]) for key in sorted(layers)])


def test_update_batch_norm_decides_only_whether_running_statistics_move(framework):
    forward = Forward(framework)
    start = forward.statistics()
    frozen = forward(update_batch_norm=False)
    np.testing.assert_array_equal(forward.statistics(), start)
    moving = forward(update_batch_norm=True)
    assert not np.array_equal(forward.statistics(), start)
    np.testing.assert_allclose(frozen, moving, atol=1e-6)  # The batch's own statistics normalise it in both.
    evaluated = forward(update_batch_norm=False, mode=spec.ForwardPassMode.EVAL)
    assert not np.allclose(evaluated, moving, atol=1e-3), "evaluation normalises by the running statistics"


def test_running_statistics_move_alike_in_both_frameworks():
    means = {}
    for framework in ("jax", "pytorch"):
        forward = Forward(framework)
        if framework == "pytorch":
            import jax
            import torch

            from workloads.digits.weights import jax_to_torch

            in_jax = Forward("jax")
            weights = jax_to_torch(jax.tree.map(np.asarray, in_jax.params), forward.workload.spec)
            state = {key: torch.tensor(value) for key, value in weights.items()}
            forward.params.load_state_dict(state, strict=False)
        forward(update_batch_norm=True)
        means[framework] = forward.statistics()
    np.testing.assert_allclose(means["pytorch"], means["jax"], atol=1e-5)


def test_pytorch_training_mode_respects_an_outer_no_grad():
    import torch

    forward = Forward("pytorch")
    forward.params.eval()
    with torch.no_grad():
        forward(update_batch_norm=True)
    assert forward.params.training, "TRAIN switches the module itself"
    logits, state = forward.workload.model_fn(
        forward.params, forward.batch, None, spec.ForwardPassMode.EVAL, None, False
    )
    assert not logits.requires_grad
    assert state is None


# ---- the target ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def good_training(tmp_path_factory):
    """framework -> summary of a reference algorithm with a good point."""
    done = {}

    def get(framework):
        if framework not in done:
            run = submissions.load(ROOT / "reference_algorithms" / "nadamw", framework)
            point = {"learning_rate": 0.005, "one_minus_beta1": 0.1, "beta2": 0.99, "weight_decay": 0.1}
            point |= {"warmup_factor": 0.05, "dropout_rate": 0.1, "label_smoothing": 0.1}
            done[framework] = run_trial(
                tmp_path_factory.mktemp(f"good_{framework}"),
                framework,
                run,
                point=point,
                eval_every_steps=100,
                max_steps=2000,
            )
        return done[framework]

    return get


def test_good_training_reaches_the_target(good_training, framework):
    summary = good_training(framework)
    assert summary["status"] == "target_reached", summary["best"]
    assert summary["global_step"] < 2000
    assert summary["warnings"] == []


def test_bad_training_does_not(tmp_path, framework):
    bad = {"learning_rate": 1e-5, "momentum": 0.0, "dropout_rate": 0.0}
    summary = run_trial(
        tmp_path, framework, submission(framework), point=bad, max_steps=300, eval_every_steps=100
    )
    assert summary["status"] == "max_steps"
    assert summary["best"]["validation/accuracy"] < 0.7


def test_jax_submissions_can_train_through_running_statistics(data_dir):
    import jax

    run = Bound("digits_batch_norm", "jax", data_dir)
    model_fn = run.workload.model_fn
    common = (run.params, run.batch, run.model_state)
    train, off = spec.ForwardPassMode.TRAIN, spec.ForwardPassMode.EVAL
    key = jax.random.PRNGKey(0)
    found, state = model_fn(*common, train, key, update_batch_norm=False, use_running_average_bn=True)
    wanted, _ = model_fn(*common, off, key, update_batch_norm=False)
    np.testing.assert_array_equal(found, wanted)
    assert state is run.model_state
    with pytest.raises(ValueError, match="update_batch_norm=False only"):
        model_fn(*common, train, key, update_batch_norm=True, use_running_average_bn=True)
