"""A checkpoint is evaluated without its submission, and what it gives is compared with the records."""

import csv
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
from harness import ROOT, patient, run_trial, sgd, submission

from algoperf import records, registry, verify
from algoperf.run import checkpoint, inert
from algoperf.spec import UsageError
from algoperf.verify import Outcome


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """ran(framework) is the folder of a trial with batch norm."""
    found = {}

    def get(framework):
        if framework not in found:
            root = tmp_path_factory.mktemp("verify") / f"digits_batch_norm_{framework}"
            summary = run_trial(root, framework, workload=patient(registry.get("digits_batch_norm")))
            assert summary["error"] is None
            found[framework] = root / "trial_1"
        return found[framework]

    return get


@pytest.fixture
def trial(ran, framework, tmp_path):
    """A copy of it, to be changed."""
    folder = tmp_path / f"digits_batch_norm_{framework}" / "trial_1"
    folder.mkdir(parents=True)
    for path in ran(framework).iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_the_metrics_of_an_honest_trial_are_those_of_its_parameters(trial):
    found = verify.verify(trial)
    assert found.outcome in (Outcome.EQUAL, Outcome.CLOSE), found.text
    assert "step 10" in found.text


def test_rows_that_were_edited_differ(trial, capsys):
    path = trial / records.EVAL_MEASUREMENTS
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[-1]["validation/accuracy"] = "0.99"
    (trial / records.SUMMARY).unlink()
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    found = verify.verify(trial)
    assert found.outcome == Outcome.DIFFERS
    assert (
        "at step 10 validation/accuracy 0.99 is recorded, and the parameters of its checkpoint give"
        in found.text
    )
    assert verify.report(trial) == 1
    assert capsys.readouterr().out.startswith("DIFFERS: ")


def test_a_summary_that_says_something_else_differs(trial):
    path = trial / records.SUMMARY
    content = json.loads(path.read_text())
    content["last"]["validation/loss"] = 0.001
    path.write_text(json.dumps(content))
    found = verify.verify(trial)
    assert found.outcome == Outcome.DIFFERS
    assert "0.001 in its summary" in found.text


def test_parameters_of_another_model_differ(trial, monkeypatch):
    meta = records.newest(trial, records.meta_data_file)
    content = json.loads(meta.read_text())
    content["identity"]["workload"] = "digits"
    meta.write_text(json.dumps(content))
    assert verify.verify(trial).outcome == Outcome.DIFFERS
    monkeypatch.setattr(
        inert, "read", lambda path, offset: {"training": ({}, None) if "jax" in str(path) else {"module": {}}}
    )
    found = verify.verify(trial)
    assert found.outcome == Outcome.DIFFERS
    assert "as the model of digits has it" in found.text


@pytest.mark.parametrize(
    ("what", "text"),
    [("no checkpoint", "no checkpoint"), ("between", "between two evaluations"), ("damaged", "damaged")],
)
def test_what_cannot_be_verified_is_said_and_is_no_difference(trial, what, text):
    [path] = checkpoint.list_checkpoints(trial)
    if what == "no checkpoint":
        path.unlink()
    elif what == "damaged":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        checkpoint.save(trial, 12, {"training": None})
    found = verify.verify(trial)
    assert found.outcome == Outcome.NOT_VERIFIED
    assert text in found.text
    assert verify.report(trial) == 2


def test_a_folder_without_trials_is_one_line(tmp_path):
    with pytest.raises(UsageError, match="There is no trial with evaluations at or below"):
        verify.report(tmp_path)


def test_all_trials_of_a_folder_are_verified_in_processes_of_their_own(ran, tmp_path):
    for number in (1, 2):
        folder = tmp_path / "sgd" / "study_0" / "digits_batch_norm_pytorch" / f"trial_{number}"
        folder.mkdir(parents=True)
        for path in ran("pytorch").iterdir():
            if path.is_file() and (number == 1 or not path.name.startswith("checkpoint_")):
                (folder / path.name).write_bytes(path.read_bytes())
    command = [sys.executable, "-m", "algoperf.verify", str(tmp_path)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert "2 trials: 1 verified, 0 differ, 1 not verified" in found.stdout


class Explodes:
    """Must not be brought to life by who only looks at parameters."""

    def __reduce__(self):
        return _explode, ("now",)


def _explode(what):
    raise AssertionError(what)


def test_nothing_of_a_submission_is_brought_to_life(tmp_path):
    import torch

    content = {
        "training": [np.ones(2), {1, 2}, torch.ones(3, dtype=torch.float64)],
        "other": Explodes(),
        "more": {"inner": [Explodes()], "kind": Explodes, "state": torch.nn.Linear(1, 1)},
    }
    (tmp_path / "file").write_bytes(b"ab" + pickle.dumps(content, protocol=5))
    with pytest.raises(AssertionError, match="now"):
        pickle.loads(pickle.dumps(content))
    found = inert.read(tmp_path / "file", 2)
    array, values, tensor = found["training"]
    np.testing.assert_array_equal(array, np.ones(2))
    assert values == {1, 2}
    assert torch.equal(tensor, torch.ones(3, dtype=torch.float64))
    assert isinstance(found["other"], inert.Inert)


def test_a_state_dict_that_trains_after_the_evaluation_is_found(tmp_path, framework):
    """As the parameters in the checkpoint are then others than those that were evaluated."""
    if framework == "jax":
        pytest.skip("arrays of JAX do not change")

    class Trains:
        def __init__(self, model):
            self.model = model

        def __getstate__(self):
            next(self.model.parameters()).data.add_(0.1)
            return {}

    def init_optimizer_state(workload, model, *rest):
        return {**sgd(framework).init_optimizer_state(workload, model, *rest), "trains": Trains(model)}

    run_trial(
        tmp_path / "digits_pytorch",
        framework,
        submission(framework, init_optimizer_state=init_optimizer_state),
    )
    assert verify.verify(tmp_path / "digits_pytorch" / "trial_1").outcome == Outcome.DIFFERS


def test_of_copies_on_several_devices_the_first_is_verified_as_in_evaluation():
    from algoperf.backends.jax_checkpoint import SavedArray, weights_in

    params = {"w": SavedArray(np.arange(6.0).reshape(2, 3), None, False)}
    state = {"batch_stats": {"mean": SavedArray(np.array([[1.0], [3.0]]), None, False)}}
    found = weights_in((params, state, None), per_device=True)
    np.testing.assert_array_equal(found["[0]['w']"], [0, 1, 2])
    np.testing.assert_array_equal(found["[1]['batch_stats']['mean']"], [2])
