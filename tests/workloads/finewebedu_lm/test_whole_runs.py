"""Whole runs of a small language model: killed in the middle of an epoch and continued; with a public submission."""

import functools
import shutil

import harness
import numpy as np
import pytest
from harness import ROOT, patient, run_trial, sgd, submission

from algoperf import records
from algoperf import submission as submissions
from algoperf.run import checkpoint
from benchmarks.kill_and_resume import evaluations, leaves

PUBLIC = ROOT / "tests" / "helpers" / "public_language_model"


@pytest.fixture(scope="module")
def run(small, folder, tmp_path_factory):
    """Runs trials on the family's small data, by a model of one layer."""
    model = {**small.model, "emb_dim": 32, "num_heads": 2, "num_layers": 1, "mlp_dim": 32}
    workload = patient(small, model=model, validation_target_value=1.0, num_eval_train_examples=9)
    data_dir = tmp_path_factory.mktemp("data")
    (data_dir / "finewebedu_lm_mini").symlink_to(folder)

    @functools.cache  # By the name other tests share theirs, whose models and data are larger.
    def bound(name, *given, **options):
        return harness.Workload(workload, *given, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(harness, "_workload", bound)
        yield functools.partial(run_trial, workload=workload, data_dir=str(data_dir))


def test_killed_within_an_epoch_a_run_ends_with_the_same_bits(run, tmp_path, framework):
    """An epoch is 150 sequences, so 4.7 updates; what a kill leaves is what lies on the disk then."""
    killed = tmp_path / "killed"

    def update_params(**arguments):
        if arguments["global_step"] == 8 and not killed.exists():
            shutil.copytree(tmp_path / "trial_1", killed / "trial_1")
        return sgd(framework).update_params(**arguments)

    steps = {"max_steps": 15, "eval_every_steps": 3}
    whole = run(tmp_path, framework, submission(framework, update_params=update_params), **steps)
    assert whole["error"] is None
    assert checkpoint.load(killed / "trial_1")["progress"]["global_step"] == 6
    continued = run(killed, framework, **steps)
    assert (continued["status"], continued["global_step"]) == ("max_steps", 15)
    assert continued["preemption_count"] == 1
    found, wanted = (killed / "trial_1", tmp_path / "trial_1")
    assert evaluations(found) == evaluations(wanted)
    states = [dict(leaves(checkpoint.load(one))) for one in (found, wanted)]
    assert len(states[0]) > 10
    assert states[0].keys() == states[1].keys()
    for name, value in states[1].items():
        np.testing.assert_array_equal(states[0][name], value, err_msg=name)


@pytest.mark.parametrize("name", ["jax", "torch"])
def test_a_public_submission_that_names_the_language_model_trains_it(run, tmp_path, name):
    public = submissions.load(PUBLIC / name)
    submissions.check_imports(public.path)
    summary = run(tmp_path, public.framework, public, point=None, max_steps=12, eval_every_steps=6)
    assert summary["error"] is None, summary["error"]
    assert (summary["status"], summary["num_evaluations"]) == ("max_steps", 3)
    rows = records.read_csv(tmp_path / "trial_1" / records.EVAL_MEASUREMENTS)["validation/ppl"]
    assert rows[-1] < rows[0]
