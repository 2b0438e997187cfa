"""Refereed trials of tests: each is three processes, so tests share them."""

import json

import pytest
from harness import FRAMEWORKS, POINT, ROOT, SGD_FILES, finish, patient_suite, process
from refereed import EVERY, STEPS, results

from algoperf.confinement import __main__ as doctor


@pytest.fixture(params=FRAMEWORKS)
def framework(request):
    """Each test that takes this runs in JAX and in PyTorch."""
    return request.param


@pytest.fixture(scope="session")
def started(tmp_path_factory):
    """started(folder, submission, framework, ...) starts the command for a short trial, in hours of budget."""
    suite = patient_suite(tmp_path_factory.mktemp("suite"), "digits")
    space = tmp_path_factory.mktemp("space") / "space.json"
    space.write_text(json.dumps({name: {"feasible_points": [value]} for name, value in POINT.items()}))

    def start(folder, submission=None, framework="pytorch", *more, referee=True, launcher=(), **environment):
        return process(
            "--workload=digits",
            f"--submission={submission or SGD_FILES[framework]}",
            f"--framework={framework}",
            f"--tuning_search_space={space}",
            f"--suite={suite}",
            f"--experiment_dir={folder}",
            "--experiment_name=x",
            f"--referee={referee}",
            f"--max_steps={STEPS}",
            f"--eval_every_steps={EVERY}",
            "--quiet",
            *more,
            launcher=launcher,
            **environment,
        )

    return start


@pytest.fixture(scope="session")
def lacking():
    """What this machine cannot confine a process as to."""
    return [one.means for one in doctor.findings() if not one.held]


@pytest.fixture(scope="session")
def bent(tmp_path_factory):
    """bent(source) is the path of a submission: that of SGD in PyTorch with some of its functions written anew."""

    def write(source):
        folder = tmp_path_factory.mktemp("bent")
        (folder / "sgd_torch.py").write_text((ROOT / "tests" / "helpers" / "sgd_torch.py").read_text())
        (folder / "submission_torch.py").write_text(
            f"from .sgd_torch import *\nfrom . import sgd_torch\n{source}"
        )
        return folder

    return write


@pytest.fixture(scope="session")
def pair(started, tmp_path_factory):
    """pair(framework): results of the same trial without a referee and with one."""
    known = {}

    def get(framework):
        if framework not in known:
            found = []
            for referee in (False, True):
                folder = tmp_path_factory.mktemp(f"{framework}_{referee}")
                code, out, err = finish(
                    started(folder, None, framework, "--log_to=tensorboard", referee=referee)
                )
                assert code == 0, err
                found.append(results(folder, framework))
                found[-1].out = out
            known[framework] = found
        return known[framework]

    return get
