"""Whatever a submission keeps its state in, 20 updates at once and 10 + 10 continued are equal bit for bit.

The submissions are found in `tests/submissions_of_all_kinds/`.
"""

import numpy as np
import pytest
import two_devices
from harness import FRAMEWORKS, ROOT, patient, run_trial, stored_params

from algoperf import frameworks, registry
from algoperf import submission as submissions
from algoperf.run import checkpoint

FOLDER = ROOT / "tests" / "submissions_of_all_kinds"
KINDS = [
    (path.parent.name, framework)
    for framework in FRAMEWORKS
    for file in frameworks.get(framework).submission_files
    for path in sorted(FOLDER.glob(f"*/{file}"))
]
WORKLOAD_OF = {"freezing": "digits_batch_norm"}
"""Kinds that need another workload than digits."""


def run(folder, kind, framework, max_steps, **changes):
    """The summary of a trial of one kind."""
    loaded = submissions.load(FOLDER / kind, framework)
    workload = patient(registry.get(WORKLOAD_OF.get(kind, "digits")))
    settings = {"eval_every_steps": 10, "point": {}, "max_steps": max_steps, **changes}
    summary = run_trial(folder, framework, loaded, workload, **settings)
    assert summary["error"] is None, summary["error"]
    return summary


def leaves(tree, path="training"):
    """(path, array or plain value) of all that a checkpoint holds of a run."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from leaves(value, f"{path}.{key}")
    elif isinstance(tree, (list, tuple)):
        for number, value in enumerate(tree):
            yield from leaves(value, f"{path}.{number}")
    elif hasattr(tree, "thawed"):
        yield from leaves(tree.thawed(), path)
    elif hasattr(tree, "key_impl"):
        yield path, np.asarray(tree.array)
        yield f"{path} lies", (tree.placement, tree.weakly_typed is None, tree.is_split)
    elif hasattr(tree, "detach"):
        yield path, tree.detach().contiguous().reshape(-1).view(*_bytes(tree)).numpy()
    elif isinstance(tree, (np.ndarray, int, float, str)):
        yield path, tree


def _bytes(tensor):
    import torch

    return (torch.uint8,) if tensor.numel() else ()


def assert_equal_state(folder, other):
    """Everything in the newest checkpoints: values, dtypes, what shares memory, where it lies."""
    found, wanted = (dict(leaves(checkpoint.load(one / "trial_1")["training"])) for one in (folder, other))
    # Which objects were there from the start is another question after a restart.
    found, wanted = ({k: v for k, v in one.items() if ".tensors." not in k} for one in (found, wanted))
    assert found.keys() == wanted.keys()
    assert len(found) > 8
    for path, value in found.items():
        np.testing.assert_equal(value, wanted[path], err_msg=path)


@pytest.mark.parametrize(("kind", "framework"), KINDS)
def test_a_continued_run_has_the_state_of_one_that_went_through(tmp_path, kind, framework):
    run(tmp_path / "straight", kind, framework, 20)
    first = run(tmp_path / "parts", kind, framework, 10)
    second = run(tmp_path / "parts", kind, framework, 20)
    assert second["preemption_count"] == 1
    assert first["warnings"] == second["warnings"] == []
    assert_equal_state(tmp_path / "parts", tmp_path / "straight")


def test_kinds_are_found():
    names = {kind for kind, _ in KINDS}
    assert {"alias", "own_class", "late_entry", "no_state_dict", "spread", "own_process"} <= names
    assert {framework for _, framework in KINDS} == set(FRAMEWORKS)


BODY = """
from test_kinds_of_state import run

for place, steps in (("straight", 20), ("parts", 10), ("parts", 20)):
    run(folder / place, {kind!r}, framework, steps)
"""


@pytest.mark.parametrize(
    ("kind", "layout"), [("spread", "jax_devices"), ("own_process", "pytorch_processes")]
)
def test_on_two_devices_each_part_goes_on_where_it_was(tmp_path, kind, layout):
    here = f"sys.path.insert(0, {str(ROOT / 'tests' / 'algoperf')!r})\n"
    codes, err = two_devices.run(layout, tmp_path, here + BODY.format(kind=kind))
    assert codes == [0], err
    assert_equal_state(tmp_path / "parts", tmp_path / "straight")
    saved = checkpoint.load(tmp_path / "straight" / "trial_1")["training"]
    if layout == "pytorch_processes":
        assert len(saved["others"]) == 1


OWN_FOR_EACH_PROCESS = {"own_process", "on_parameters", "many_ways"}
"""Kinds that do something else in more processes: on purpose, because hooks see gradients of their process alone, or
because the rows of their process decide an order."""
ON_TWO = """
from test_kinds_of_state import KINDS, run

for kind, its_framework in KINDS:
    if its_framework == framework:
        run(folder / kind, kind, framework, 3, eval_every_steps=None, skip_evals=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["jax_devices", "pytorch_processes"])
def test_on_two_devices_parameters_are_those_of_one_within_rounding(tmp_path, layout, monkeypatch):
    monkeypatch.setenv("DROPOUT_RATE", "0")
    here = f"sys.path.insert(0, {str(ROOT / 'tests' / 'algoperf')!r})\n"
    two, one = tmp_path / "two", tmp_path / "one"
    two.mkdir()
    codes, err = two_devices.run(layout, two, here + ON_TWO, timeout=900)
    assert codes == [0], err[-2000:]
    framework = two_devices.framework_of(layout)
    for kind in sorted({kind for kind, of in KINDS if of == framework} - OWN_FOR_EACH_PROCESS):
        run(one / kind, kind, framework, 3, eval_every_steps=None, skip_evals=True)
        found, wanted = (stored_params(place / kind / "trial_1") for place in (two, one))
        assert found.keys() == wanted.keys()
        for name, value in wanted.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5, err_msg=f"{kind}: {name}")


def test_states_that_differ_between_processes_want_as_many_processes_again(tmp_path):
    layout = "pytorch_processes"
    here = f"sys.path.insert(0, {str(ROOT / 'tests' / 'algoperf')!r})\n"
    body = "from test_kinds_of_state import run\nrun(folder / 'parts', 'own_process', framework, 10)"
    codes, err = two_devices.run(layout, tmp_path, here + body)
    assert codes == [0], err
    with pytest.raises(submissions.UsageError, match=r"states of 2 processes, .* has 1: continue it with 2"):
        run(tmp_path / "parts", "own_process", "pytorch", 20)
