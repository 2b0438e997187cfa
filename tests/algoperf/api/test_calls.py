"""`algoperf.run`, `compare` and `sweep`, with pretended trials."""

import json
import math
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest
from harness import ROOT

import algoperf
from algoperf import api
from algoperf.api import calls, engine, entrants
from algoperf.spec import Interrupted, UsageError

ADAMW = ROOT / "reference_algorithms" / "adamw"
POINT = {
    "learning_rate": 0.01,
    "one_minus_beta1": 0.1,
    "beta2": 0.99,
    "weight_decay": 0.1,
    "warmup_factor": 0.05,
}


def run(**changes):
    return algoperf.run(
        changes.pop("what", ADAMW),
        **{
            "workload": "digits",
            "framework": "pytorch",
            "hyperparameters": POINT,
            "progress": False,
            **changes,
        },
    )


def sweep(**changes):
    fixed = {name: value for name, value in POINT.items() if name != "learning_rate"}
    return algoperf.sweep(
        ADAMW,
        **{
            "workload": "digits",
            "framework": "pytorch",
            "hyperparameters": fixed,
            "learning_rate": [0.1, 0.01, 1e-7],
            "progress": False,
            **changes,
        },
    )


def compare(**changes):
    entries = changes.pop("entries", {"mine": ADAMW, "slow": ADAMW})
    points = {"mine": POINT, "slow": {**POINT, "learning_rate": 0.0004}}
    return algoperf.compare(
        entries,
        **{
            "suite": "demo",
            "studies": 3,
            "framework": "pytorch",
            "hyperparameters": points,
            "progress": False,
            **changes,
        },
    )


def test_importing_the_package_imports_nothing_and_offers_the_calls():
    code = "import sys, algoperf; print([name for name in sys.modules if 'algoperf' in name], dir(algoperf))"
    # -S: without what is installed, so that it needs nothing of that.
    out = subprocess.check_output([sys.executable, "-S", "-c", code], cwd=ROOT, text=True)
    assert out.startswith("['algoperf'] ")
    assert all(name in out for name in ("'run'", "'compare'", "'sweep'"))
    with pytest.raises(AttributeError, match="nono"):
        algoperf.nono  # noqa: B018


def test_the_package_of_runs_can_be_called_and_is_still_a_package():
    from algoperf.run import trial

    assert algoperf.run.trial is trial
    assert callable(algoperf.run)


def test_a_run_gives_its_evaluations_and_how_it_ended(pretended):
    found = run()
    assert found.status == "target_reached"
    assert found.reached_sec == 1.0
    assert found.hyperparameters == POINT
    assert found.evaluations == [
        {"global_step": 100, "score": 1.0, "validation/accuracy": 0.99, "validation/loss": 1.01}
    ]
    assert found.evaluations.column("global_step") == [100]
    assert found.measurements[0] == {"global_step": 50, "learning_rate": pytest.approx(0.00917, abs=1e-5)}
    assert "target_reached" in repr(found)
    assert "<td" in found._repr_html_()


def test_the_same_call_again_finds_its_results_and_another_one_has_its_own_folder(pretended):
    first = run()
    with mock.patch.object(engine.Store, "claim", side_effect=AssertionError("ran again")):
        assert run().folder == first.folder
    assert run(seed=1).folder != first.folder
    assert len(list((pretended / "results").iterdir())) == 2


def test_results_lie_where_they_are_asked_for_with_the_source_that_ran(pretended):
    found = run(
        what="torch.optim.AdamW", hyperparameters={"lr": 0.01}, results=pretended / "own", framework=None
    )
    assert found.folder == pretended / "own/AdamW/study_0/digits_pytorch/trial_1"
    (source,) = (pretended / "own/.campaign/submissions").glob("*/submission.py")
    assert "AdamW" in source.read_text()


def test_a_trial_that_fails_raises_its_error(pretended):
    with pytest.raises(api.TrialFailedError, match="a step went wrong") as caught:
        run(hyperparameters={**POINT, "breaks": True})
    assert caught.value.run.status == "failed"


def test_a_sweep_runs_every_point_with_the_same_seeds_outside_the_submission(pretended):
    found = sweep()
    rows = found.table()
    assert rows.column("learning_rate") == [0.1, 0.01, 1e-7]
    assert rows.column("status") == ["target_reached", "target_reached", "budget_exhausted"]
    assert rows.column("reached after, s") == [2.0, 1.0, None]
    assert found.best.hyperparameters["learning_rate"] == 0.01
    root = found.best.folder.parents[3]
    stored = json.loads((root / ".campaign/campaign.json").read_text())
    assert stored["names"] == ["learning_rate=0.1", "learning_rate=0.01", "learning_rate=1e-07"]
    assert stored.get("seeds", {}).get("rng_seed", 0) == 0
    assert {(one.study, one.trial) for one in found.runs} == {(0, 1)}  # From which all seeds follow.
    assert "learning_rate" in repr(found)


def test_several_lists_make_a_grid_and_studies_repeat_it(pretended):
    found = sweep(
        learning_rate=np.array([0.1, 0.01]), one_minus_beta1=[0.1, 0.2], studies=2, hyperparameters=None
    )
    rows = found.table()
    assert [(row["learning_rate"], row["one_minus_beta1"], row["study"]) for row in rows] == [
        (rate, beta, study) for rate in (0.1, 0.01) for beta in (0.1, 0.2) for study in (0, 1)
    ]


@pytest.fixture
def field(pretended):
    return compare()


def test_a_comparison_is_scored_by_names_of_its_own(field, tmp_path):
    table = field.table()
    assert table.column("submission") == ["mine", "slow"]
    assert table[0]["rank"] == 1
    assert table[0]["score"] == 1.0
    assert table[0]["digits"] < table[1]["digits"]
    assert len(field.trials()) == len(field.runs) == 6
    assert "mine" in field._repr_html_()
    assert "</html>" in field.report(tmp_path / "page.html").read_text()
    assert "mine" in field.text(axis="steps")
    verdict = field.verdict("mine", "slow")
    assert (verdict.answer, verdict.more_studies) == ("better", 0)
    assert field.verdict("slow", "mine").answer == "worse"
    with pytest.raises(UsageError, match="nearest is 'mine'"):
        field.verdict("mina", "slow")


def test_a_comparison_takes_trials_from_a_search_space(pretended):
    space = {"learning_rate": {"min": 1e-4, "max": 1e-1, "scaling": "log"}}
    fixed = {name: value for name, value in POINT.items() if name != "learning_rate"}
    with mock.patch.object(calls.engine, "run_all") as run_all:
        compare(search_space=space, hyperparameters=fixed, studies=None)
    jobs = run_all.call_args.args[1]
    assert len(jobs) == 4
    assert len({job.point["learning_rate"] for job in jobs}) == 2  # The same points for both.
    assert {job.point["beta2"] for job in jobs} == {0.99}


@pytest.mark.parametrize(
    ("call", "changes", "words"),
    [
        (run, {"workload": "digit"}, "digits"),
        (run, {"nono": 1}, "nono"),
        (run, {"trial": 2}, "'trial' is not taken"),
        (run, {"data_seed": "7"}, "run_benchmark.py"),
        (run, {"what": 3}, "3 is a int"),
        (run, {"hyperparameters": {"learning_rate": object()}}, "no record can hold"),
        (run, {"name": "a/b"}, "'a/b' cannot name"),
        (sweep, {"learning_rate": 0.1}, "learning_rate=0.1 is one value"),
        (sweep, {"learning_rate": [0.1, 0.1]}, "are the same"),
        (sweep, {"points": [{"learning_rate": 1.0}]}, "one of the two"),
        (sweep, {"ruleset": "self"}, "self-tuning"),
        (sweep, {"hyperparameters": {"learning_rate": 1.0}}, "both set and in the search space"),
        (compare, {"entries": {}}, "Give entries"),
        (compare, {"entries": [ADAMW, ADAMW]}, "Give entries"),
        (compare, {"hyperparameters": {"mine": POINT, "slwo": POINT}}, "slwo"),
        (compare, {"suite": "demu"}, "demo"),
    ],
)
def test_wrong_input_is_named_before_anything_runs(pretended, call, changes, words):
    with pytest.raises((UsageError, TypeError), match=words):
        call(**changes)


def test_an_interrupt_is_one_of_python_and_says_how_to_go_on(pretended):
    with (
        mock.patch.object(engine, "run_jobs", side_effect=Interrupted(2)),
        pytest.raises(KeyboardInterrupt, match="same call"),
    ):
        run()


def test_a_table_goes_to_pandas_or_says_that_it_is_missing():
    table = api.Table([{"a": 1, "b": math.nan}, {"a": 2}])
    assert table.columns() == ["a", "b"]
    with mock.patch.dict(sys.modules, {"pandas": mock.Mock(DataFrame=lambda rows, columns: (rows, columns))}):
        assert table.to_pandas() == ([*table], ["a", "b"])
    with (
        mock.patch.dict(sys.modules, {"pandas": None}),
        pytest.raises(UsageError, match="pip install pandas"),
    ):
        table.to_pandas()
    assert "&lt;b&gt;" in api.Table([{"<b>": "<i>"}])._repr_html_()


def test_a_bar_counts_a_running_trial_by_its_share(pretended):
    with mock.patch.object(calls.engine, "run_all") as run_all:
        run(max_global_steps=200)
    (job,) = run_all.call_args.args[1]
    assert engine.share_done(job) == 0
    job.folder.mkdir(parents=True)
    (job.folder / "eval_measurements.csv").write_text("global_step,accumulated_submission_time\n50,0.1\n")
    assert engine.share_done(job) == 0.25


def test_a_submission_that_ships_is_entered_by_its_name_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    entered = entrants.enter("adamw", name=None, root=tmp_path, framework="pytorch")
    assert (entered.name, entered.path) == ("adamw", ADAMW)
