"""What a submission compiles on its clock: counted, and nothing twice because of where the state lies."""

import collections
import dataclasses
import importlib.util
import types

import numpy as np
import pytest
import two_devices
from harness import ROOT, digits, run_trial, submission

from algoperf import records
from algoperf import submission as submissions
from algoperf.run import clock

TEMPLATE = ROOT / "submissions" / "template"
PUBLIC = ROOT / "tests" / "helpers" / "nadamw_public_jax.py"
PMAP = ROOT / "tests" / "helpers" / "pmap_sgd"


def fresh(path):
    """A submission whose functions no test has compiled yet."""
    loaded = submissions.load(path, "jax")
    spec = importlib.util.spec_from_file_location("a_fresh_one", loaded.path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return dataclasses.replace(loaded, module=types.SimpleNamespace(**vars(module)))


def compiled(folder, path, **changes):
    """What a trial of five steps compiled, by bucket."""
    summary = run_trial(folder, "jax", fresh(path), max_steps=5, **changes)
    assert (summary["status"], summary["error"]) == ("max_steps", None)
    return summary["compilations"]


def test_the_template_compiles_its_step_once(tmp_path):
    found = compiled(tmp_path, TEMPLATE, ruleset="self", point=None)
    assert (found["update"], found["prepare_for_eval"]) == ({"train_step": 1}, {})
    assert found["data_selection"] == {}, "the transfer of batches is compiled in set-up"


def test_a_submission_like_the_public_nadamw_compiles_its_step_once(tmp_path):
    found = compiled(tmp_path, PUBLIC, ruleset="self", point=None)
    assert found["update"] == {"train_step": 1}


def test_state_of_numpy_arrays_compiles_the_step_once(tmp_path):
    """They come back from the first update as arrays of JAX, for which the step was compiled once more."""
    import jax
    import jax.numpy as jnp

    submitted = fresh(PUBLIC)
    original = submitted.module.init_optimizer_state

    def init_optimizer_state(*arguments, **named):
        state, update = original(*arguments, **named)
        return jax.tree.map(
            lambda leaf: np.array(leaf) if isinstance(leaf, jnp.ndarray) else leaf, state
        ), update

    submitted.module.init_optimizer_state = init_optimizer_state
    summary = run_trial(tmp_path, "jax", submitted, max_steps=5, ruleset="self", point=None)
    assert (summary["status"], summary["error"]) == ("max_steps", None)
    assert summary["compilations"]["update"] == {"train_step": 1}


def test_a_submission_for_pmap_compiles_its_step_once(tmp_path):
    found = compiled(tmp_path, PMAP)
    assert found["update"].pop("_fun") == 1, "pmap calls every function so"
    assert set(found["update"].values()) <= {1}


def test_a_continued_run_compiles_its_step_once_more(tmp_path):
    for path, name in ((PUBLIC, "train_step"), (PMAP, "_fun")):
        folder = tmp_path / path.stem
        assert compiled(folder, path)["update"][name] == 1
        summary = run_trial(folder, "jax", fresh(path), max_steps=10)
        assert (summary["global_step"], summary["preemption_count"]) == (10, 1)
        assert summary["compilations"]["update"][name] == 2, "both parts count"


BODY = """
import importlib.util, json
from harness import POINT, ROOT, run_trial
from algoperf import submission

found = {}
for name in ("nadamw_public_jax.py", "pmap_sgd"):
    loaded = submission.load(ROOT / "tests" / "helpers" / name, "jax")
    found[name] = run_trial(folder / name, "jax", loaded, max_steps=4)
folder.mkdir(exist_ok=True)
(folder / "found.json").write_text(json.dumps({n: [s["error"], s["compilations"]["update"]] for n, s in found.items()}))
"""


def test_on_two_devices_steps_are_compiled_once_in_both_layouts(tmp_path):
    codes, err = two_devices.run("jax_devices", tmp_path, BODY)
    assert codes == [0], err[-2000:]
    found = records.read_json(tmp_path / "found.json")
    assert found["nadamw_public_jax.py"] == [None, {"train_step": 1}]
    error, counts = found["pmap_sgd"]
    assert error is None
    assert counts["_fun"] == 1
    assert set(counts.values()) == {1}


def test_state_is_placed_without_a_change_of_values_types_identity_and_of_what_is_no_device_array():
    import jax
    import jax.numpy as jnp
    from harness import shared_workload

    from algoperf import jax_sharding_utils

    Pair = collections.namedtuple("Pair", "arrays update")
    shared, host, halves = jnp.arange(3.0), np.ones(2), np.arange(3, dtype=np.float32)
    own_mesh = jax.sharding.Mesh(jax.devices(), ("mine",))
    spread = jax.device_put(
        jnp.ones(2), jax.sharding.NamedSharding(own_mesh, jax.sharding.PartitionSpec("mine"))
    )
    state = {
        "weak": jnp.asarray(1),
        "typed": jnp.ones((), jnp.bfloat16),
        "key": jax.random.key(3),
        "twice": [shared, shared],
        "host": host,
        "numpy": [halves, halves, np.int32(7)],
        "number": 0.5,
        "function": len,
        "nothing": None,
        "spread": spread,
    }
    model = shared_workload(digits(), "jax").model
    params, model_state, placed = model.place_state({"w": jnp.ones(2)}, None, Pair(state, len))
    assert model_state is None
    assert placed.update is len
    assert type(placed) is Pair
    wanted = jax_sharding_utils.get_replicate_sharding()
    for leaf in (
        params["w"],
        *(placed.arrays[name] for name in ("weak", "typed", "key")),
        placed.arrays["twice"][0],
    ):
        assert leaf.sharding == wanted
        assert leaf.committed
    found = placed.arrays
    assert found["weak"].weak_type
    assert found["weak"].dtype == state["weak"].dtype
    assert not found["typed"].weak_type
    assert found["typed"].dtype == jnp.bfloat16
    assert found["key"].dtype == state["key"].dtype
    assert found["twice"][0] is found["twice"][1], "what is one array stays one"
    first, second, number = found["numpy"]
    assert first is second
    assert (first.dtype, first.sharding, first.weak_type) == (jnp.float32, wanted, False)
    assert (number.dtype, int(number)) == (jnp.int32, 7)
    halves[0] = 9
    assert float(first[0]) == 0, "a copy"
    np.testing.assert_array_equal(found["twice"][0], [0, 1, 2])
    for name in ("host", "number", "function", "nothing", "spread"):
        assert found[name] is state[name], name


def test_compilations_belong_to_the_bucket_in_which_they_happen_and_survive_an_interruption():
    ledger = clock.Ledger(clock.UPDATE)
    ledger.count_compilation("step")
    ledger.enter("eval_test")
    ledger.count_compilation("evaluation")
    ledger.enter(clock.PREPARE_FOR_EVAL)
    for _ in range(2):
        ledger.count_compilation("average/all")
    later = clock.Ledger(clock.UPDATE)
    later.count_compilation("step")
    later.add_earlier(ledger.state())
    assert later.compilations == {
        "data_selection": {},
        "update": {"step": 2},
        "prepare_for_eval": {"average/all": 2},
    }


@pytest.mark.parametrize("num_shapes", [1, 2])
def test_frames_that_a_pytorch_submission_compiles_are_counted(tmp_path, num_shapes):
    import torch

    def doubled(values):
        return values * 2

    torch.compiler.reset()
    function = torch.compile(doubled, backend="eager", dynamic=False)
    original = submission("pytorch").module.update_params

    def update_params(**arguments):
        function(torch.ones(1 + arguments["global_step"] % num_shapes))
        return original(**arguments)

    run = submission("pytorch", update_params=update_params)
    summary = run_trial(tmp_path, "pytorch", run, max_steps=4)
    assert summary["error"] is None
    assert list(summary["compilations"]["update"].values()) == [num_shapes]
