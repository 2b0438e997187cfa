"""Results of the short trials that tests of the referee run, and records as a referee writes them."""

import csv
import dataclasses
import json
import time
import types

from algoperf import records
from algoperf.run import chain, chain_logger
from algoperf.run import summary as summaries
from algoperf.run.summary import Summary

STEPS = 6
EVERY = 3


def results(folder, framework="pytorch"):
    """The folder of the trial, its summary, and rows of its evaluations."""
    trial = folder / "x" / f"digits_{framework}" / "trial_1"
    rows = []
    if (trial / "eval_measurements.csv").exists():
        with open(trial / "eval_measurements.csv") as file:
            rows = list(csv.DictReader(file))
    summary = trial / "summary.json"
    found = json.loads(summary.read_text()) if summary.exists() else None
    return types.SimpleNamespace(trial=trial, summary=found, rows=rows)


def wait_for(is_there, what, seconds=200):
    """Waits until something is there."""
    end = time.monotonic() + seconds
    while not is_there():
        assert time.monotonic() < end, f"no {what}"
        time.sleep(0.05)


def write_refereed(folder, rows, *, metric="accuracy", meta_data=None, ends=True, **summary):
    """Writes the records of a refereed trial as a referee does; rows are (seconds, metric); returns its seal."""
    folder.mkdir(parents=True, exist_ok=True)
    own = chain.Chain(folder)
    records.write_json(folder / records.meta_data_file(0), {"refereed": True, **(meta_data or {})})
    logger = chain_logger.Logger(own, folder, float, last_step=-1)
    own.start()
    own.add_written(records.meta_data_file(0))
    for index, (seconds, value) in enumerate(rows, 1):
        logger.append_scalar_metrics({"grad_norm": value / 7}, 10 * index)
        times = {records.SCORE: seconds, records.SUBMISSION_TIME: seconds}
        logger.append_scalar_metrics({f"validation/{metric}": value, **times}, 10 * index, is_eval=True)
        logger.flush()
    logger.finish()
    if not ends:
        own.sync()
        return own.head
    ended = Summary(**{"status": "target_reached", "refereed": True, "findings": [], **summary})
    own.add_document(records.SUMMARY, records.as_read(ended.to_json()))
    summaries.write(folder, dataclasses.replace(ended, seal=own.head))
    return own.head
