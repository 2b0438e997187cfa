"""What a run records goes to where people look, once, and nothing that happens there matters to the run."""

import importlib.util
import json
import subprocess
import sys
import time
import types

import logs
import pytest
from harness import run_trial

from algoperf import log_to, records
from algoperf.log_to import follower
from algoperf.log_to.destination import About
from algoperf.settings import DESTINATIONS, RunSettings
from algoperf.spec import UsageError

READERS = {"tensorboard": logs.in_tensorboard, "wandb": logs.in_wandb, "mlflow": logs.in_mlflow}
MEMORY = {"memory/host_bytes": 5.0}


class Records:
    """The records of a trial that pretends to train, and who follows them."""

    def __init__(self, root, *names):
        self.trial = root / "ada" / "study_0" / "digits_jax" / "trial_1"
        self.trial.mkdir(parents=True)
        self.names, self.warnings = names, []
        self.logger = self.follower = None

    def begin(self, last_step=-1):
        """A process begins; rows after the step are of lost work."""
        if self.logger is not None:
            self.end(None)
        about = About(
            folder=self.trial,
            root=self.trial.parents[3],
            name="ada/study_0/digits_jax/trial_1",
            group="ada/study_0/digits_jax",
            facts={"workload": "digits", "trial": 1, "hyperparameters/learning_rate": 0.1, "suite": None},
        )
        self.logger = records.MetricsLogger(self.trial, float, last_step=last_step)
        self.follower = follower.Follower(about, self.names, self.warnings.append)

    def train(self, first, last):
        """Updates, each with a row, and an evaluation after the last."""
        for step in range(first, last):
            self.logger.append_scalar_metrics({"loss": 1 / (step + 1), "note": "warm"}, step)
        row = {
            "validation/accuracy": last / 100,
            records.SCORE: last / 10,
            records.SUBMISSION_TIME: last / 10,
        }
        self.logger.append_scalar_metrics(row, last, is_eval=True)
        self.logger.flush()
        self.follower.send(MEMORY)

    def end(self, status="target_reached"):
        self.logger.finish()
        self.follower.end(status)
        self.logger = None


class Pretended:
    """A destination, and its module, that keeps what it gets and does what a test wants."""

    PACKAGE, run = "json", "pretended"

    def __init__(self, monkeypatch):
        self.steps, self.ends, self.does = [], [], lambda: None
        monkeypatch.setattr(follower, "module_of", lambda name: self)

    def make(self, about, run):
        return self

    def send(self, points):
        self.does()
        self.steps += [point.step for point in points]

    def end(self, status):
        self.ends.append(status)


@pytest.mark.parametrize("name", DESTINATIONS)
def test_a_trial_that_is_continued_goes_on_in_its_run_and_sends_each_row_once(tmp_path, monkeypatch, name):
    pytest.importorskip(log_to.module_of(name).PACKAGE)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    trial = Records(tmp_path, name)
    trial.begin()
    trial.train(0, 1)
    trial.train(1, 4)
    trial.train(
        4, 6
    )  # After the last checkpoint: a process that is killed leaves these rows, and has sent them.
    trial.begin(last_step=4)
    trial.train(4, 6)
    trial.train(6, 8)
    trial.end()
    assert trial.warnings == []
    found = READERS[name](trial.trial)
    assert found == logs.in_measurements(trial.trial)
    assert sorted(found["training/loss"]) == list(range(8))
    assert sorted(found["clock/submission_sec"]) == [1, 4, 6, 8]


def test_a_run_that_is_started_over_leaves_nothing_of_the_earlier_one(tmp_path):
    trial = Records(tmp_path, "tensorboard")
    trial.begin()
    trial.train(0, 5)
    trial.end()
    records.clear(trial.trial)
    trial.begin()
    trial.train(0, 3)
    trial.end()
    assert logs.in_tensorboard(trial.trial) == logs.in_measurements(trial.trial)


def test_rows_of_before_it_was_asked_for_are_sent_too_and_a_new_column_doubles_none(tmp_path, monkeypatch):
    destination = Pretended(monkeypatch)
    trial = Records(tmp_path, "tensorboard")
    trial.begin()
    trial.follower = types.SimpleNamespace(send=lambda memory: None, end=lambda status: None)
    trial.train(0, 2)
    trial.begin(last_step=2)
    trial.train(2, 3)
    trial.logger.append_scalar_metrics({"learning_rate": 0.1}, 3)  # Writes the file anew.
    trial.train(4, 5)
    trial.end()
    assert destination.steps == [0, 1, 2, 2, 3, 3, 4, 5]
    assert destination.ends == ["target_reached"]


def test_a_destination_that_fails_is_one_warning_and_gets_its_rows_later(tmp_path, monkeypatch):
    def fails():
        raise ConnectionError("no route to host\nmore")

    destination = Pretended(monkeypatch)
    destination.does = fails
    monkeypatch.setattr(follower, "REST", 0)
    trial = Records(tmp_path, "wandb")
    trial.begin()
    trial.train(0, 2)
    trial.train(2, 4)
    state = json.loads((trial.trial / records.LOG_TO).read_text())["wandb"]
    assert state["problem"] == "ConnectionError: no route to host"
    assert trial.warnings == [
        "--log_to=wandb: ConnectionError: no route to host; it is tried again at a later evaluation, and the "
        "records are whole."
    ]
    destination.does = lambda: None
    trial.train(4, 5)
    trial.end()
    assert destination.steps == [0, 1, 2, 2, 3, 4, 4, 5]
    assert json.loads((trial.trial / records.LOG_TO).read_text())["wandb"]["problem"] is None


def test_a_destination_that_fails_slowly_is_left_alone_for_a_while_and_tried_at_the_end(
    tmp_path, monkeypatch
):
    def fails():
        tries.append(time.sleep(0.02))
        raise ConnectionError

    tries, destination = [], Pretended(monkeypatch)
    destination.does = fails
    monkeypatch.setattr(follower, "REST", 10**6)
    trial = Records(tmp_path, "wandb")
    trial.begin()
    for step in range(3):
        trial.train(step, step + 1)
    assert len(tries) == 1
    destination.does = lambda: None
    trial.end()
    assert destination.steps == [0, 1, 1, 2, 2, 3]


def test_a_destination_that_does_not_come_back_is_given_up(tmp_path, monkeypatch):
    destination = Pretended(monkeypatch)
    destination.does = lambda: time.sleep(1.0)
    monkeypatch.setattr(follower, "LIMIT_SEC", 0.05)
    trial = Records(tmp_path, "mlflow")
    trial.begin()
    trial.train(0, 2)
    destination.does = lambda: None
    trial.train(2, 4)
    trial.end()
    assert destination.steps == []
    (warning,) = trial.warnings
    assert "nothing more goes there" in warning


def test_a_full_disk_neither_cuts_nor_doubles_a_row_of_tensorboard(tmp_path, monkeypatch):
    writers = pytest.importorskip("tensorboard.summary.writer.record_writer")
    write, written = writers.RecordWriter.write, []

    def full(self, content):
        written.append(content)
        if len(written) == 6:  # A part of what comes with the second evaluation has been written.
            raise OSError(28, "No space left on device")
        write(self, content)

    monkeypatch.setattr(writers.RecordWriter, "write", full)
    trial = Records(tmp_path, "tensorboard")
    trial.begin()
    trial.train(0, 2)
    trial.train(2, 4)
    trial.train(4, 5)
    trial.end()
    assert len(trial.warnings) == 1
    assert logs.in_tensorboard(trial.trial) == logs.in_measurements(trial.trial)


def test_a_trial_sends_its_records_and_is_the_same_trial_where_that_fails(tmp_path, framework, monkeypatch):
    settings = {"log_to": "tensorboard", "quiet": False}
    for steps in (5, 10):
        run_trial(tmp_path / "sent", framework, max_steps=steps, **settings)
    sent = tmp_path / "sent" / "trial_1"
    assert logs.in_tensorboard(sent) == logs.in_measurements(sent)
    assert "memory/host_bytes" in logs.names_in_tensorboard(sent)

    Pretended(monkeypatch).does = lambda: 1 / 0
    for steps in (5, 10):
        summary = run_trial(tmp_path / "failed", framework, max_steps=steps, **settings)
    assert summary["status"] == "max_steps"
    tables = [
        records.read_csv(tmp_path / one / "trial_1" / records.MEASUREMENTS) for one in ("sent", "failed")
    ]
    for name in ("validation/loss", "test/accuracy", records.GLOBAL_STEP):
        assert str(tables[0][name]) == str(tables[1][name])


def test_a_package_that_is_not_installed_is_named_with_the_command_that_installs_it(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "wandb" else find(name))
    with pytest.raises(
        UsageError, match=r"needs the package wandb, not installed.*pip install -e '\.\[wandb\]'"
    ):
        log_to.check_installed(["tensorboard", "wandb"])


@pytest.mark.parametrize("value", ["tensorbord", "wandb,wandb", "wandb,"])
def test_a_destination_that_there_is_not_and_one_that_is_named_twice_are_refused(value):
    with pytest.raises(UsageError, match="Choose from mlflow, tensorboard, wandb"):
        RunSettings(log_to=value)


def test_event_files_are_written_without_a_framework(tmp_path):
    code = (
        "import sys; from pathlib import Path; from algoperf.log_to import to_tensorboard as t;"
        "from algoperf.log_to.destination import Point;"
        f"one = t.TensorBoard(Path({str(tmp_path)!r})); one.send([Point(1, {{'a/b': 1.0}})]); one.end(None);"
        "print({'jax', 'torch', 'tensorflow'} & set(sys.modules))"
    )
    pytest.importorskip("tensorboard")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
