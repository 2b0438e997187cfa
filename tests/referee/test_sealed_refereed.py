"""Refereed runs on data of a secret seed: the evaluator reads them, the trainee finds those of training alone."""

import dataclasses
import os
import types

import numpy as np
import pytest
from bound_workloads import few
from harness import SGD_FILES, trial_config

from algoperf import data_seed
from algoperf.backends import compile_caches
from algoperf.bound_workload import Workload
from algoperf.confinement import means
from algoperf.data import locate, sealed
from algoperf.referee import confined, evaluator
from algoperf.spec import UsageError

SEED = data_seed.parse("some words that nobody tries")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A workload with few data of a secret seed, and the root of its data."""
    spec, root = dataclasses.replace(few("ogbg_mini"), num_train_examples=64), tmp_path_factory.mktemp("data")
    sealed.make_ready(spec, SEED, root, progress=False)
    return sealed.of_seed(spec, SEED), root


def test_a_confined_trial_reads_the_training_part_of_sealed_data_and_no_other_file(
    data, lacking, tmp_path, monkeypatch
):
    spec, root = data
    if lacking:
        pytest.skip(f"this machine cannot confine a process as to {', '.join(lacking)}")
    monkeypatch.delenv(compile_caches.KEEP, raising=False)
    config = trial_config(
        tmp_path, "pytorch", workload=spec, confine="require", referee=True, data_dir=str(root)
    )
    facts = types.SimpleNamespace(
        settings=dataclasses.replace(config.settings, experiment_dir=str(tmp_path)),
        workload=spec,
        submission=dataclasses.replace(config.submission, path=SGD_FILES["pytorch"]),
    )
    found = confined.prepare(facts)  # Tries to open the files that are held out, as the trainee.
    try:
        assert means.DATA in found.record["held"]
        folder, part = root / locate.folder_name(spec), found.environment[locate.TRAINING_PART]
        held_out = {path.name for path in confined._Data(facts, tmp_path / "parts").held_out}
        assert {"validation.npy", "test.npy", "labels.npy"} <= held_out
        assert str(folder) not in {*found.trainee.read, *found.trainee.run}
        members = np.load(f"{part}/train.npy")
        others = np.setdiff1d(np.arange(len(np.load(f"{part}/node_counts.npy"))), members)
        assert len(others) == 64
        assert not np.load(f"{part}/node_counts.npy")[others].any()
        shown = [value or "" for value in found.environment.values()]
        assert not any(str(SEED.entropy) in value for value in (*shown, *os.listdir(root)))
    finally:
        found.close()


def test_the_evaluator_reads_data_of_which_one_example_is_too_little_for_a_batch(data):
    spec, root = data
    workload = Workload(spec, "pytorch", str(root))
    with pytest.raises(UsageError, match="smallest global batch size"):
        evaluator._make_batches(workload, 0, 1)
    evaluator._make_few(workload, 0, 1)
