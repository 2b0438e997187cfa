"""Records of a trial that others have kept are compared with its rows and its summary."""

import dataclasses
import json

import pytest

from algoperf import records
from algoperf.run import checkpoint, clock, heartbeat
from algoperf.run.heartbeat import Beat
from algoperf.run.summary import Summary
from scoring import accounts
from scoring.evaluations import EvaluationLog

LOG = EvaluationLog([1.0, 5.0], [1, 100], [0.1, 0.8], total_sec=9.0)
LEDGER = {
    **dict.fromkeys(clock.BUCKETS, 0.0),
    "update": 6.0,
    "set_up": 4.0,
    "total": 10.0,
    "wall": 10.0,
    "balanced": True,
}
SUMMARY = Summary(
    status="target_reached",
    target_metric="accuracy",
    submission_time_sec=6.0,
    ledger=LEDGER,
    crashes=0,
    preemption_count=0,
)
PROCESS = {"wall_sec": 12.0, "cpu_sec": 20.0, "exit_code": 0}
RESULTS = [(1, {"validation/accuracy": 0.1}), (100, {"validation/accuracy": 0.8})]


@pytest.fixture
def found(tmp_path):
    """found(…) is the contradiction of a trial with these records."""

    def find(
        summary=SUMMARY,
        log=LOG,
        processes=(PROCESS,),
        beat_sec=6.0,
        times=(1.0, 5.0),
        results=RESULTS,
        spent=6.0,
        cpu_count=2,
    ):
        (tmp_path / records.meta_data_file(0)).write_text(json.dumps({"cpu_count": cpu_count}))
        (tmp_path / records.PARENT).write_text(json.dumps({"processes": list(processes)}))
        beat = Beat(submission_sec=beat_sec, is_over=True)
        (tmp_path / records.HEARTBEAT).write_text(json.dumps(dataclasses.asdict(beat)))
        progress = {"eval_times_sec": times, "eval_results": results}
        ledger = {"update": spent * 1e9, "data_selection": 0, "prepare_for_eval": 0}
        checkpoint.save(tmp_path, 100, {}, about={"progress": progress, "ledger": ledger})
        return accounts.find(str(tmp_path), summary, log)

    return find


def with_ledger(**changes):
    return dataclasses.replace(SUMMARY, ledger={**LEDGER, **changes})


CONTRADICTIONS = [
    ({"summary": with_ledger(update=5.0)}, "6.00 s in the summary, 5.00 s in its ledger"),
    ({"summary": with_ledger(set_up=2.0)}, "adds up to 8.00 s and calls 10.00 s the same"),
    ({"log": dataclasses.replace(LOG, total_sec=11.0)}, "11.00 s passed in the rows, 10.00 s in the ledger"),
    ({"processes": [{**PROCESS, "wall_sec": 60.0}]}, "lasted 60.00 s, and its ledger knows of 10.00 s"),
    ({"processes": [{**PROCESS, "wall_sec": 5.0}]}, "about 10.00 s, and its processes lasted 5.00 s"),
    ({"processes": [{**PROCESS, "cpu_sec": 40.0}]}, "used 40.00 s of 2 processors in 12.00 s"),
    ({"beat_sec": 60.0}, "60.00 s in the last heartbeat"),
    ({"times": (1.0, 50.0)}, "evaluation 2: 50.00 s in the checkpoint, 5.00 s in the rows"),
    ({"results": [(1, {}), (90, {})]}, "step 90 in the checkpoint, step 100 in the rows"),
    ({"results": [(1, {"validation/accuracy": 0.2})], "times": (1.0,)}, "accuracy 0.2 in the checkpoint"),
    (
        {"times": (1.0, 5.0, 5.5), "results": [*RESULTS, RESULTS[-1]]},
        "3 evaluations in the checkpoint, 2 in the rows",
    ),
    ({"spent": 60.0}, "60.00 s in the checkpoint, 6.00 s at the end"),
]


@pytest.mark.parametrize(("changes", "text"), CONTRADICTIONS, ids=[text for _, text in CONTRADICTIONS])
def test_what_others_have_kept_is_compared(found, changes, text):
    assert found() is None
    assert text in found(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"processes": [PROCESS, PROCESS], "summary": dataclasses.replace(SUMMARY, preemption_count=2)},
        {"processes": [{**PROCESS, "wall_sec": 60.0}], "summary": dataclasses.replace(SUMMARY, crashes=1)},
        {"processes": []},
        {"processes": [{**PROCESS, "cpu_sec": 40.0}], "cpu_count": 4},
        {"processes": [{**PROCESS, "cpu_sec": 40.0}], "cpu_count": None},
        {"processes": [{**PROCESS, "cpu_sec": None}]},
        {"times": (1.0,), "results": RESULTS[:1]},
        {"summary": dataclasses.replace(SUMMARY, ledger=None)},
        {"summary": with_ledger(wall=None)},
        {"results": "none", "times": None},
    ],
    ids=str,
)
def test_what_may_differ_is_no_contradiction(found, changes):
    assert found(**changes) is None


def test_a_trial_without_these_records_is_fine(tmp_path):
    assert accounts.find(str(tmp_path), SUMMARY, LOG) is None
    (tmp_path / "checkpoint_5").write_bytes(b"algoperf checkpoint nonsense")
    (tmp_path / records.PARENT).write_text("[]")
    assert accounts.find(str(tmp_path), SUMMARY, LOG) is None
    assert heartbeat.read(tmp_path) is None
