"""Refereed trials whose submission is confined: the same numbers, and nothing beyond its own folder in reach."""

import dataclasses
import shutil
import types

import numpy as np
import pytest
from harness import ROOT, SGD_FILES, assert_equal_params, finish, trial_config
from refereed import results
from test_refereed import metrics

from algoperf import frameworks, records
from algoperf.confinement import kernel, means
from algoperf.referee import confined
from algoperf.referee.freeze import Process
from algoperf.referee.limits import Limits
from algoperf.spec import UsageError

SPIES = """
from . import spy

def update_params(*, workload, global_step, **arguments):
    if global_step == 1:
        workload.metrics_logger.append_scalar_metrics(spy.outcomes(workload), global_step)
    return sgd.update_params(workload=workload, global_step=global_step, **arguments)
"""


@pytest.fixture(scope="module")
def spying(started, lacking, tmp_path_factory):
    """spying(framework): results of a trial that requires confinement and tries to break out, and its folder for
    temporary files; the trials of both frameworks come one after the other."""
    if lacking:
        pytest.skip(f"this machine cannot confine a process as to {', '.join(lacking)}")
    folder, known = tmp_path_factory.mktemp("spying"), {}
    (folder / "rival").mkdir()
    (folder / "rival" / "checkpoint_1").write_text("weights")
    (folder / "tmp").mkdir()

    def get(framework):
        if framework not in known:
            known[framework] = run(framework)
        return known[framework]

    def run(framework):
        suffix = frameworks.get(framework).suffix
        own = tmp_path_factory.mktemp("spy")
        shutil.copy(SGD_FILES[framework], own)
        shutil.copy(ROOT / "tests" / "referee" / "spy.py", own)
        head = f"from .sgd_{suffix} import *\nfrom . import sgd_{suffix} as sgd\n"
        (own / f"submission_{suffix}.py").write_text(head + SPIES)
        variables = {"TEST_RIVAL": str(folder / "rival" / "checkpoint_1"), "TMPDIR": str(folder / "tmp")}
        keeps_nothing = {"ALGOPERF_KEEP_COMPILE_CACHE": "0"}
        code, _, err = finish(
            started(folder, own, framework, "--confine=require", **variables, **keeps_nothing)
        )
        assert code == 0, err
        found = results(folder, framework)
        found.left = [
            path.name for path in (folder / "tmp").iterdir() if path.name.startswith(confined.PREFIX)
        ]
        logged = records.read_csv(found.trial / records.MEASUREMENTS)
        found.outcomes = {
            name: np.nanmax(values) for name, values in logged.items() if name.startswith(OUTCOMES)
        }
        return found

    return get


OUTCOMES = ("read_", "write_", "open_", "signal_", "files_")


def test_a_confined_trial_has_the_numbers_of_one_that_is_not(spying, pair, framework):
    found, plain = spying(framework), pair(framework)[0]
    assert_equal_params(plain.trial, found.trial)
    assert metrics(found.rows) == metrics(plain.rows)
    record = found.summary["referee"]["confinement"]
    assert (record["mode"], record["missing"], set(record["held"])) == ("require", {}, {*means.STOPS})


def test_a_confined_submission_reaches_nothing_and_finds_nothing_of_earlier_trials(spying, framework):
    found = spying(framework)
    assert len(found.outcomes) == 11
    assert {name: value for name, value in found.outcomes.items() if value} == {}
    assert found.left == []


def facts(tmp_path, mode):
    config = trial_config(tmp_path, "pytorch", confine=mode, referee=True, experiment_dir=str(tmp_path))
    return types.SimpleNamespace(
        settings=config.settings,
        workload=config.workload,
        submission=dataclasses.replace(config.submission, path=SGD_FILES["pytorch"]),
    )


def test_require_refuses_where_something_is_missing_and_auto_records_it(tmp_path, monkeypatch):
    monkeypatch.setenv(kernel.WITHOUT, "landlock")
    with pytest.raises(UsageError, match=r"cannot confine the submission as to files \(no Landlock"):
        confined.prepare(facts(tmp_path, "require"))
    found = confined.prepare(facts(tmp_path, "auto"))
    found.close()
    assert {means.FILES, means.DATA} <= found.record["missing"].keys()
    assert "not confined as to files, data" in found.warnings()[0]
    assert not found.folder.exists()


def test_a_trial_in_two_parts_held_what_both_did(tmp_path):
    part = {"mode": "auto", "held": {"files": "Landlock", "network": "a filter"}, "missing": {}}
    free = confined.prepare(facts(tmp_path, "off")).record
    assert confined.together(free, part)["held"] == {}
    assert confined.together(part, part) == part
    assert confined.together(None, part)["missing"]["files"] == "not recorded"
    later = {"mode": "auto", "held": {"files": "Landlock"}, "missing": {"network": "nothing"}}
    assert confined.together(later, part)["held"] == {"files": "Landlock"}


def test_an_error_that_may_come_from_confinement_says_so():
    record = {"mode": "auto", "held": {"files": "Landlock"}, "missing": {}}
    assert "docs/referee.md" in confined.explained("[Errno 13] Permission denied: 'x'", record)
    assert confined.explained("[Errno 13] Permission denied: 'x'", confined.NOTHING).endswith("'x'")
    assert confined.explained("KeyError: 3", record) == "KeyError: 3"


def test_too_many_processes_and_too_much_memory_are_named():
    own = [Process(kernel.os.getpid(), "R", 1, 1, 0.0, 0.0)]
    assert Limits(1_000, 1 << 40).exceeded(own) is None
    assert "processes and threads; 0 are allowed" in Limits(0, 1 << 40).exceeded(own)
    assert "GiB are allowed" in Limits(1_000, 1 << 20).exceeded(own)
    limits = Limits(1_000, 1 << 40)
    assert limits.is_due()
    limits.exceeded(own)
    assert not limits.is_due()
