"""What a trial has sent with `--log_to`, read back from where it went: name -> step -> values."""

import collections
import csv
import warnings

import pytest

from algoperf import records
from algoperf.log_to import rows
from algoperf.log_to.to_tensorboard import FOLDER

Found = dict[str, dict[int, list[float]]]
MEMORY = "memory/"
TEXT = "note"
"""Name of what tests log that is no number."""


def _plain(found) -> Found:
    """Without memory, which the measurements do not hold; to the precision of event files."""
    return {
        name: {step: [float(f"{value:.5g}") for value in values] for step, values in points.items()}
        for name, points in found.items()
        if not name.startswith(MEMORY)
    }


def _nested():
    return collections.defaultdict(lambda: collections.defaultdict(list))


def in_measurements(trial) -> Found:
    """What there was to send."""
    found = _nested()
    with open(trial / records.MEASUREMENTS) as file:
        for row in csv.DictReader(file):
            is_evaluation = bool(row[records.SCORE])
            # The last row repeats the step of an evaluation, and has nothing new.
            if is_evaluation and not row[records.SUBMISSION_TIME]:
                continue
            for name, cell in row.items():
                if cell and name not in (*rows.NO_VALUES, records.SCORE, TEXT):
                    name = rows.CLOCK.get(name, name) if is_evaluation else f"training/{name}"
                    values = found[name][int(row[records.GLOBAL_STEP])]
                    # The row of the first update after a checkpoint stays in the file when that is done again.
                    values += [] if float(cell) in values else [float(cell)]
    return _plain(found)


def in_tensorboard(trial) -> Found:
    """By TensorBoard's own reader."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
        reader = accumulators.EventAccumulator(str(trial / FOLDER), size_guidance={"scalars": 0})
        reader.Reload()
    found = _nested()
    for name in reader.Tags()["scalars"]:
        for event in reader.Scalars(name):
            found[name][event.step].append(event.value)
    return _plain(found)


def in_mlflow(trial) -> Found:
    """By MLflow's client, from the folder beside the results."""
    mlflow = pytest.importorskip("mlflow")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = mlflow.MlflowClient(f"{trial.parents[3].as_uri()}/mlruns")
        experiment = client.get_experiment_by_name("algoperf")
        (run,) = client.search_runs([experiment.experiment_id])
        found = _nested()
        for name in run.data.metrics:
            for metric in client.get_metric_history(run.info.run_id, name):
                found[name][metric.step].append(metric.value)
    return _plain(found)


def _records_of_wandb(content: bytes):
    """The records of a file in the log format of LevelDB, after a header of wandb's."""
    block, head = 32768, 7
    offset, record = 7, b""
    while offset + head <= len(content):
        left = block - offset % block
        length, kind = int.from_bytes(content[offset + 4 : offset + 6], "little"), content[offset + 6]
        if left < head or kind == 0:
            offset += left
            continue
        record += content[offset + head : offset + head + length]
        offset += head + length
        if kind in (1, 4):  # Whole, or its last part.
            yield record
            record = b""


def in_wandb(trial) -> Found:
    """From the files of runs that were never online."""
    pytest.importorskip("wandb")
    from wandb.proto import wandb_internal_pb2

    found, runs = _nested(), set()
    for path in sorted((trial / "wandb").glob("offline-run-*/*.wandb")):
        for content in _records_of_wandb(path.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(content)
            if record.HasField("run"):
                runs.add(record.run.run_id)
            items = {"/".join(item.nested_key) or item.key: item.value_json for item in record.history.item}
            for name, value in items.items():
                if not name.startswith("_"):
                    found[name][int(float(items["_step"]))].append(float(value))
    assert len(runs) == 1
    return _plain(found)


def names_in_tensorboard(trial) -> list[str]:
    """All names, memory included."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
        reader = accumulators.EventAccumulator(str(trial / FOLDER))
        reader.Reload()
    return reader.Tags()["scalars"]
