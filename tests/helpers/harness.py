"""Runs submissions in process: flags as the command sets them, trials on `digits`, bent copies of SGD."""

import dataclasses
import functools
import importlib
import inspect
import json
import os
import subprocess
import sys
import types
from pathlib import Path
from unittest import mock

import numpy as np

from algoperf import backends, commands, frameworks, registry, suites
from algoperf import submission as submissions
from algoperf.bound_workload import Workload
from algoperf.run import checkpoint, clock, runner, session, trial
from algoperf.run.config import TrialConfig
from algoperf.settings import RunSettings, given

ROOT = Path(__file__).resolve().parents[2]
FRAMEWORKS = frameworks.names()
# On a busy machine the 30 s of `digits` run out in any test: only those of budgets have real ones.
HOURS_SEC = 100 * 3600.0
POINT = {"learning_rate": 0.1, "momentum": 0.9, "dropout_rate": 0.3}
SGD_FILES = {one.name: ROOT / "tests" / "helpers" / f"sgd_{one.suffix}.py" for one in frameworks.FRAMEWORKS}


def sgd(framework):
    """The module of the SGD submission."""
    return importlib.import_module(SGD_FILES[framework].stem)


@functools.cache
def _loaded(framework):
    return submissions.load(SGD_FILES[framework], framework)


def submission(framework, source_hash="sgd", **functions):
    """The SGD submission with some of its functions replaced (or added)."""
    module = types.SimpleNamespace(**{**vars(sgd(framework)), **functions})
    return dataclasses.replace(
        _loaded(framework),
        name="sgd",
        module=module,
        source_hash=source_hash,
        wants_train_state="train_state" in inspect.signature(module.update_params).parameters,
    )


@functools.cache
def _workload(name, *args, **options):
    return Workload(registry.get(name), *args, **options)


def shared_workload(spec, *args, **options):
    """One bound workload per name and framework, so that trials share what they compile."""
    workload = _workload(spec.name, *args, **options)
    workload.spec, workload.metrics_logger = spec, None
    return workload


def patient(spec, **facts):
    """A workload with a budget of hours, and other facts (targets, another budget)."""
    return dataclasses.replace(spec, **{"max_allowed_runtime_sec": HOURS_SEC, **facts})


def digits(**facts):
    """The digits workload with a budget of hours, and other facts (targets, another budget)."""
    return patient(registry.get("digits"), **facts)


def patient_suite(folder, *workloads):
    """The path of a suite in which the workloads have their own targets and budgets of hours: for --suite."""
    path = Path(folder) / "patient.json"
    targets = {name: dataclasses.asdict(suites.targets_from_registry(name)) for name in workloads}
    for entry in targets.values():
        entry["runtime_budget_sec"] = HOURS_SEC
    path.write_text(json.dumps({"targets": targets}))
    return str(path)


def trial_config(folder, framework, run=None, workload=None, **changes):
    """A trial of `digits`, evaluated by steps, 10 steps long."""
    fields = {
        "workload": workload or digits(),
        "submission": run or submission(framework),
        "suite": "mini",
        "point": dict(POINT),
        "budget_factor": 1.0,
        "folder": Path(folder) / "trial_1",
        **changes,
    }
    own = {field.name for field in dataclasses.fields(TrialConfig)}
    shared = {name: fields.pop(name) for name in fields.keys() - own}
    asked = {
        "framework": framework,
        "trial": 1,
        "eval_every_steps": 5,
        "max_steps": 10,
        "quiet": True,
        **shared,
    }
    return TrialConfig(settings=given(asked), **fields)


def run_trial(folder, framework, run=None, workload=None, **changes):
    """Runs it in process; returns the fields of its summary."""
    config = trial_config(folder, framework, run, workload, **changes)
    with mock.patch.object(session, "Workload", shared_workload):
        return dataclasses.asdict(trial.run(config, clock.Ledger()))


class PretendedTime:
    """Takes the place of both clocks under the ledger: time passes only where a test says so."""

    def __init__(self, monkeypatch):
        self._ns = 1
        for name in ("_now_ns", "_wall_ns"):
            monkeypatch.setattr(clock, name, lambda: self._ns)

    def takes(self, framework, seconds, **functions):
        """SGD whose data selection takes so long on the clock, and whose other work takes no time."""

        def data_selection(workload, queue, *rest):
            self._ns += round(seconds * 1e9)
            return next(queue)

        return submission(framework, data_selection=data_selection, **functions)


def stored_params(folder):
    """Path -> array of the parameters in the newest checkpoint of a trial folder."""
    saved = checkpoint.load(Path(folder))["training"]
    found = {}

    def walk(tree, path):
        if isinstance(tree, dict):
            for key, value in tree.items():
                walk(value, (*path, str(key)))
        else:
            found[".".join(path)] = np.asarray(tree.array if hasattr(tree, "array") else tree)

    walk(saved["module"] if isinstance(saved, dict) else saved[0], ())
    return found


def assert_equal_params(folder, other):
    """Bit for bit."""
    params, others = stored_params(folder), stored_params(other)
    assert params.keys() == others.keys()
    for name in params:
        np.testing.assert_array_equal(params[name], others[name], err_msg=name)


# ---- the command ---------------------------------------------------------------------------------------------------


def patience():
    """Within this context workloads have budgets of hours, unless the suite that is given says otherwise."""
    get = registry.get
    return mock.patch.object(registry, "get", lambda name: patient(get(name)))


def command(tmp_path, **changes):
    """Exit code of the command with these settings, in process; errors as the command prints them.

    Workloads have budgets of hours, unless the suite that is given says otherwise.
    """

    def run():
        own = {"experiment_dir": str(tmp_path / "experiments"), "quiet": True, **changes}
        return runner.run(RunSettings(**own), clock.Ledger())

    with mock.patch.object(session, "Workload", shared_workload), patience():
        return commands.exit_code_of(run)


def process(*arguments, launcher=(), **environment):
    """Starts submission_runner.py as a process of its own, or as those of a launcher."""
    return subprocess.Popen(
        [sys.executable, *launcher, "submission_runner.py", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(started, timeout=300):
    """(exit code, stdout, stderr) of a process."""
    out, err = started.communicate(timeout=timeout)
    return started.returncode, out, err


def backend(framework):
    return backends.get_backend(framework)
