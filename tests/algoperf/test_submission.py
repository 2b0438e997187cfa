"""Finding, importing and checking submissions."""

import dataclasses
import importlib
import importlib.metadata
import json
import py_compile
import re
import sys
from pathlib import Path

import pytest
from harness import ROOT, SGD_FILES, submission

from algoperf import registry, submission_import
from algoperf.spec import UsageError
from algoperf.submission import batch_size, check_imports, find, load, search_space, source_hash
from algoperf.submission_source import Source

STUB = """
def get_batch_size(workload_name): return 8
def init_optimizer_state(workload, params, model_state, hyperparameters, rng): return {}
def data_selection(workload, queue, optimizer_state, params, model_state, hyperparameters, step, rng): pass
def update_params(workload, current_param_container, current_params_types, model_state, hyperparameters, batch,
                  loss_type, optimizer_state, eval_results, global_step, rng): pass
"""


@pytest.fixture(autouse=True)
def unchanged_imports(monkeypatch, tmp_path):
    """Loading a submission adds roots and modules; they go away with the test."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]


def write(path, text=STUB):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


# ---- finding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("imports", "wanted"),
    [("import torch", "pytorch"), ("import jax.numpy as jnp", "jax"), ("from optax import sgd", "jax")],
)
def test_the_framework_is_inferred_from_the_imports(tmp_path, imports, wanted):
    path = write(tmp_path / "one" / "submission.py", f"{imports}\n{STUB}")
    assert find(path) == (path, wanted)
    assert find(path.parent) == (path, wanted)


def test_the_framework_is_inferred_from_the_file_name(tmp_path):
    path = write(tmp_path / "two" / "submission_torch.py")
    assert find(path.parent) == (path, "pytorch")
    other = write(tmp_path / "two" / "submission_jax.py")
    assert find(path.parent, "jax") == (other, "jax")
    assert find(path.parent, "torch") == (path, "pytorch")
    with pytest.raises(
        UsageError, match=r"can run in jax and pytorch: say which with --framework=jax\|pytorch"
    ):
        find(path.parent)


def test_of_several_files_for_one_framework_the_one_named_for_it_alone_and_first_is_taken(tmp_path):
    common = write(tmp_path / "many" / "submission.py")
    second = write(tmp_path / "many" / "submission_pytorch.py")
    assert find(common.parent, "jax") == (common, "jax")
    assert find(common.parent, "pytorch") == (second, "pytorch")
    first = write(tmp_path / "many" / "submission_torch.py")
    assert find(common.parent, "pytorch") == (first, "pytorch")


def test_a_file_that_imports_no_framework_needs_the_flag(tmp_path):
    path = write(tmp_path / "three" / "submission.py")
    with pytest.raises(UsageError, match="--framework"):
        find(path)
    assert find(path, "jax") == (path, "jax")
    assert find(path, "pytorch") == (path, "pytorch")


# ---- importing -------------------------------------------------------------------------------------------------------


def test_siblings_are_imported_by_relative_name(tmp_path):
    write(tmp_path / "rel" / "utils.py", "VALUE = 1")
    path = write(tmp_path / "rel" / "submission.py", f"from .utils import VALUE\nfrom . import utils\n{STUB}")
    assert load(path, "pytorch").module.VALUE == 1


def test_siblings_are_imported_by_the_absolute_name_of_a_folder_above(tmp_path):
    """As public submissions do: `from submissions.self_tuning.<folder>.muon import Muon`, wherever that is."""
    folder = tmp_path / "entries" / "self_tuning" / "muon_like"
    write(folder / "muon.py", "VALUE = 2")
    path = write(folder / "submission.py", f"from entries.self_tuning.muon_like.muon import VALUE\n{STUB}")
    assert load(path, "pytorch").module.VALUE == 2


def test_siblings_are_imported_by_their_bare_name(tmp_path):
    write(tmp_path / "bare" / "shampoo_kinds.py", "VALUE = 3")
    write(tmp_path / "bare" / "bare_tools" / "inner.py", "VALUE = 4")
    text = f"from shampoo_kinds import VALUE\nfrom bare_tools import inner\n{STUB}"
    module = load(write(tmp_path / "bare" / "submission.py", text), "pytorch").module
    assert (module.VALUE, module.inner.VALUE) == (3, 4)


@pytest.mark.parametrize("with_init", [False, True], ids=["namespace", "package"])
def test_folders_with_and_without_init_work(tmp_path, with_init):
    name = f"deep_{with_init}"
    write(tmp_path / name / "inner" / "part.py", "VALUE = 5")
    if with_init:
        write(tmp_path / name / "__init__.py", "")
        write(tmp_path / name / "inner" / "__init__.py", "")
    path = write(tmp_path / name / "submission.py", f"from .inner.part import VALUE\n{STUB}")
    assert load(path, "jax").module.VALUE == 5


@pytest.mark.parametrize("with_init", [False, True], ids=["namespace", "package"])
def test_a_module_is_called_the_same_from_every_working_directory(tmp_path, monkeypatch, with_init):
    """Checkpoints hold the names of its classes."""
    path = write(tmp_path / "above" / "entries" / "named" / "submission.py", f"class State: pass\n{STUB}")
    if with_init:
        write(path.with_name("__init__.py"), "")
    names, given = set(), list(sys.path)
    for folder in (tmp_path, tmp_path / "above", path.parent.parent, path.parent):
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "path", ["", str(folder), *given])
        names.add(load(path, "pytorch").module.State.__module__)
    assert names == {"submission_in_named.submission"}


def test_a_relative_import_reaches_beyond_the_folder(tmp_path):
    write(tmp_path / "outer_parts" / "common.py", "VALUE = 6")
    text = f"from ..common import VALUE\n{STUB}"
    assert load(write(tmp_path / "outer_parts" / "mine" / "submission.py", text), "jax").module.VALUE == 6


def test_a_folder_whose_name_is_no_identifier_works(tmp_path):
    write(tmp_path / "my-best try.2" / "utils.py", "VALUE = 6")
    path = write(tmp_path / "my-best try.2" / "submission.py", f"from .utils import VALUE\n{STUB}")
    loaded = load(path, "jax")
    assert loaded.module.VALUE == 6
    assert loaded.name == "my-best try.2"


@pytest.mark.parametrize("name", ["json", "scipy", "workloads", "algoperf"])
def test_a_folder_that_is_called_like_a_package_shadows_nothing(tmp_path, name):
    package = importlib.import_module(name)
    write(tmp_path / name / "utils.py", "VALUE = 7")
    path = write(
        tmp_path / name / "submission.py", f"from .utils import VALUE\nimport {name} as other\n{STUB}"
    )
    module = load(path, "jax").module
    assert module.VALUE == 7
    assert module.other is package
    assert sys.modules[name] is package


def test_two_submissions_of_the_same_name_are_kept_apart(tmp_path):
    for place, value in (("a", 8), ("b", 9)):
        write(tmp_path / place / "same" / "utils.py", f"VALUE = {value}")
        path = write(tmp_path / place / "same" / "submission.py", f"from .utils import VALUE\n{STUB}")
        assert value == load(path, "jax").module.VALUE


def test_siblings_by_the_path_of_another_repository_are_found_there_and_not_in_our_submissions(tmp_path):
    """As two Muon entries do; our own `submissions/` counted as found."""
    import submissions  # noqa: F401 - ours, a folder in the working directory

    folder = tmp_path / "repository" / "submissions" / "self_tuning" / "muon_like"
    write(folder / "muon.py", "VALUE = 10\nclass Muon: pass")
    write(folder.parent / "common.py", "VALUE = 11")
    text = """
from submissions.self_tuning.muon_like.muon import VALUE, Muon
import submissions.self_tuning.muon_like.muon
import submissions.self_tuning.common as common
from submissions.self_tuning import common as again
from .muon import Muon as relative
from muon import Muon as bare
assert submissions.self_tuning.muon_like.muon.Muon is Muon is relative is bare
assert common is again
"""
    module = load(write(folder / "submission.py", text + STUB), "pytorch").module
    assert (module.VALUE, module.common.VALUE) == (10, 11)


@pytest.mark.parametrize("name", ["muon_like", "renamed"])
def test_a_submission_that_was_copied_into_our_submissions_finds_its_siblings(tmp_path, monkeypatch, name):
    folder = tmp_path / "submissions" / name
    write(folder / "muon.py", "VALUE = 12")
    write(folder / "parts" / "deep.py", "from submissions.self_tuning.muon_like.muon import VALUE")
    text = """
from submissions.self_tuning.muon_like.muon import VALUE
from submissions.self_tuning.muon_like import muon
from submissions.self_tuning.muon_like.parts import deep
"""
    path = write(folder / "submission.py", text + STUB)
    monkeypatch.chdir(tmp_path)
    module = load(path, "pytorch").module
    assert (module.VALUE, module.muon.VALUE, module.deep.VALUE) == (12, 12, 12)


def test_a_submission_inside_this_project_finds_its_siblings_by_a_far_path(monkeypatch, tmp_path):
    monkeypatch.setattr(submission_import, "PROJECT", tmp_path)
    folder = tmp_path / "submissions" / "inside"
    write(folder / "muon.py", "VALUE = 16")
    path = write(folder / "submission.py", f"from submissions.self_tuning.inside.muon import VALUE\n{STUB}")
    assert load(path, "pytorch").module.VALUE == 16


@pytest.mark.parametrize(
    "mount",
    [
        "submissions.submissions_algorithms_v0_5.AlgoPerf_Team_7.external_tuning.caspr_like",
        "submissions_algorithms.leaderboard.external_tuning.caspr_like",
    ],
)
def test_siblings_are_imported_by_the_mount_path_of_a_competition(tmp_path, mount):
    folder = tmp_path / "v05" / "external_tuning" / "caspr_like"
    write(folder / "optimizers" / "caspr.py", "VALUE = 13")
    text = f"from {mount}.optimizers.caspr import VALUE\nfrom {mount}.optimizers import caspr\n"
    module = load(write(folder / "submission.py", text + STUB), "pytorch").module
    assert module.VALUE == module.caspr.VALUE == 13


@pytest.mark.parametrize("name", ["scoring", "workloads", "target_setting"])
def test_a_sibling_called_like_a_package_of_ours_is_the_submissions_own(tmp_path, name):
    ours = importlib.import_module(name)
    write(tmp_path / "own" / f"{name}.py", "VALUE = 14")
    text = (
        f"import {name}\nfrom {name} import VALUE\ndef late():\n    import {name}\n    return {name}.VALUE\n"
    )
    module = load(write(tmp_path / "own" / "submission.py", text + STUB), "pytorch").module
    assert (getattr(module, name).VALUE, module.VALUE, module.late()) == (14, 14, 14)
    assert sys.modules[name] is ours


def test_names_of_modules_do_not_depend_on_the_working_directory(tmp_path, monkeypatch):
    """They are in the checkpoints that hold a class of the submission."""
    write(tmp_path / "place" / "stateful" / "states.py", "class State: pass")
    text = f"from states import State\nclass Own: pass\n{STUB}"
    path = write(tmp_path / "place" / "stateful" / "submission.py", text)
    names = set()
    for folder in (tmp_path, tmp_path / "place", tmp_path / "place" / "stateful"):
        monkeypatch.chdir(folder)
        module = load(path, "pytorch").module
        names.add((module.Own.__module__, module.State.__module__))
    assert names == {("submission_in_stateful.submission", "submission_in_stateful.states")}


def test_relative_imports_reach_the_folders_above(tmp_path):
    write(tmp_path / "up" / "common.py", "VALUE = 15")
    path = write(tmp_path / "up" / "lower" / "submission.py", f"from ..common import VALUE\n{STUB}")
    assert load(path, "pytorch").module.VALUE == 15


def test_the_older_package_name_gives_the_same_module_objects(tmp_path):
    text = """
    from algorithmic_efficiency import spec as old
    from algoperf import spec as new
    import algorithmic_efficiency.random_utils
    import algoperf.random_utils
    assert old is new
    assert old.ForwardPassMode.TRAIN is new.ForwardPassMode.TRAIN
    assert old.TrainingCompleteError is new.TrainingCompleteError
    assert algorithmic_efficiency.random_utils is algoperf.random_utils
    """.replace("\n    ", "\n")
    path = write(tmp_path / "old_name" / "submission.py", f"{text}\n{STUB}")
    load(path, "jax")
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("algorithmic_efficiency.no_such_module")


def test_helper_modules_of_both_frameworks_are_importable_under_both_names():
    for package in ("algoperf", "algorithmic_efficiency"):
        assert importlib.import_module(f"{package}.pytorch_utils").pytorch_setup()[0] is False
        sharding = importlib.import_module(f"{package}.jax_sharding_utils")
        assert sharding.get_replicate_sharding().is_fully_replicated
        assert sharding.get_batch_dim_sharding().mesh.axis_names == ("batch",)


# ---- checks ----------------------------------------------------------------------------------------------------------


def test_train_state_is_wanted_only_by_its_exact_name(tmp_path):
    plain = load(write(tmp_path / "plain" / "submission.py"), "jax")
    asking = STUB.replace("global_step, rng): pass", "global_step, rng, train_state): pass")
    asking = load(write(tmp_path / "asking" / "submission.py", asking), "jax")
    optional = STUB.replace("global_step, rng): pass", "global_step, rng, train_state=None): pass")
    optional = load(write(tmp_path / "optional" / "submission.py", optional), "jax")
    assert (plain.wants_train_state, asking.wants_train_state, optional.wants_train_state) == (
        False,
        True,
        True,
    )


def test_functions_that_take_anything_pass_the_check(tmp_path):
    text = "get_batch_size = init_optimizer_state = data_selection = update_params = lambda *a, **k: 8"
    assert load(write(tmp_path / "any" / "submission.py", text), "jax").module.get_batch_size("x") == 8


def test_a_wrong_signature_is_named_with_the_missing_argument(tmp_path):
    text = STUB.replace("eval_results, global_step, rng", "global_step, rng")
    path = write(tmp_path / "wrong" / "submission.py", text)
    with pytest.raises(UsageError, match=r"update_params\(.*must accept the keywords.*eval_results"):
        load(path, "jax")


def test_the_line_of_an_error_at_import_is_named(tmp_path):
    path = write(tmp_path / "late" / "submission.py", "x = 1\ny = 2\nz = undefined\n")
    with pytest.raises(UsageError, match=r"submission.py \(line 3\) failed: NameError: name 'undefined'"):
        load(path, "jax")


def test_the_source_hash_follows_every_python_and_json_file_of_the_folder(tmp_path):
    path = write(tmp_path / "hashed" / "submission.py")
    other = write(tmp_path / "hashed" / "inner" / "utils.py", "VALUE = 1")
    table = write(tmp_path / "hashed" / "schedule.json", "{}")
    hashes = [load(path, "jax").source_hash]
    for file, text in ((path, STUB + "MORE = 1"), (other, "VALUE = 2"), (table, "[]")):
        write(file, text)
        hashes.append(load(path, "jax").source_hash)
    for name in ("notes.txt", "tuning_search_space.json", "tuning_search_space_wide.json"):
        write(tmp_path / "hashed" / name, "does not count")
    assert load(path, "jax").source_hash == hashes[-1]
    other.rename(other.with_name("tools.py"))
    hashes.append(load(path, "jax").source_hash)
    assert len(set(hashes)) == 5


def test_the_source_hash_follows_data_that_the_source_names(tmp_path):
    """Learned optimizers read their weights from a file beside them."""
    text = f"from pathlib import Path\nTHETA = Path(__file__).parent / 'theta.state'\nMORE = '*.npz'\n{STUB}"
    path = write(tmp_path / "learned" / "submission.py", text)
    hashes = []
    for name, content in (
        ("theta.state", "1"),
        ("theta.state", "2"),
        ("parts/a.npz", "1"),
        ("parts/a.npz", "2"),
    ):
        write(tmp_path / "learned" / name, content)
        hashes.append(load(path, "jax").source_hash)
    assert len(set(hashes)) == 4
    write(tmp_path / "learned" / "results.csv", "made by a run")
    assert load(path, "jax").source_hash == hashes[-1]


def test_the_source_hash_does_not_depend_on_the_place(tmp_path):
    files = [write(tmp_path / place / "submission.py") for place in "ab"]
    assert source_hash(files[0]) == source_hash(files[1])


def test_a_file_of_a_shared_folder_is_called_by_its_own_name():
    assert load(SGD_FILES["jax"], "jax").name == "sgd_jax"


# ---- packages and their versions -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "from jax import tree_map\nassert tree_map(abs, [-1]) == [1]",
        "import jax\nassert jax.tree_leaves({'a': 1}) == [1]",
        "import jax.numpy as jnp\nassert jnp.clip(3.0, a_min=1.0, a_max=2.0) == 2.0",
        "import jax.numpy as jnp\nassert jnp.clip(a=3.0, a_min=4.0) == jnp.clip(3.0, 4.0) == 4.0",
        "import jax\ndef f(key: jax.random.KeyArray): pass",
    ],
)
def test_names_that_jax_has_dropped_are_there_for_submissions(tmp_path, line):
    load(write(tmp_path / "older" / "submission.py", f"{line}\n{STUB}"), "jax")


def test_an_import_error_without_a_name_is_told_as_it_is(tmp_path):
    path = write(tmp_path / "submission.py", f"import torch\nraise ImportError('by hand')\n{STUB}")
    with pytest.raises(UsageError, match=r"\(line 2\) failed: ImportError: by hand$"):
        load(path, "pytorch")


def test_a_name_that_a_package_has_not_is_named_with_both_versions(tmp_path):
    path = write(tmp_path / "newer" / "submission.py", f"from optax.contrib import no_such\n{STUB}")
    version = re.escape(importlib.metadata.version("optax"))
    with pytest.raises(
        UsageError, match=rf"'no_such'.*optax {version} is installed, and it was written for another"
    ):
        load(path, "jax")
    write(path.parent / "requirements.txt", "chex\noptax==0.1.7\n")
    with pytest.raises(
        UsageError, match=rf"optax {version} is installed; its requirements.txt asks for optax==0\.1\.7"
    ):
        load(path, "jax")


def test_imports_are_checked_without_importing_anything(tmp_path):
    text = "import flax\nfrom submissions.far.away.needy import parts\nimport parts as again\n"
    text += "try:\n    import never_heard_of\nexcept ImportError: pass\nraise SystemExit\n"
    path = write(tmp_path / "needy" / "submission.py", text)
    write(path.parent / "parts.py", "")
    check_imports(path)
    write(path, "import os\nimport haiku_of_nobody.nets\n")
    with pytest.raises(
        UsageError, match=r"\(line 2\) imports .haiku_of_nobody\.nets., which is not installed"
    ):
        check_imports(path)
    write(path.parent / "requirements.txt", "haiku_of_nobody==1.2")
    with pytest.raises(UsageError, match="asks for haiku_of_nobody==1"):
        check_imports(path)


# ---- how it was written ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("import jax\nstep = jax.pmap(len)", True),
        ("import jax as j\n@j.pmap\ndef step(x): return x", True),
        (
            "import jax, functools\n@functools.partial(jax.pmap, axis_name='batch')\ndef step(x): return x",
            True,
        ),
        ("from jax import pmap\nstep = pmap(len)", True),
        ("from jax import pmap as mapped\nstep = mapped(len)", True),
        ("from jax import pmap", False),
        ("import jax\npmap = {'a': 1}\nx = pmap['a']", False),
        ("import jax\nclass Plan: pmap = 1\nx = Plan.pmap", False),
        ("import jax\ndef f(pool, pmap): return pool.pmap(pmap)", False),
        ("import jax  # jax.pmap is used nowhere\nx = 'jax.pmap'", False),
    ],
)
def test_only_a_pmap_of_jax_that_is_used_switches_the_layout(tmp_path, text, wanted):
    """A variable called pmap did."""
    assert load(write(tmp_path / "mapped" / "submission.py", f"{text}\n{STUB}"), "jax").uses_pmap is wanted


def test_a_sibling_that_is_used_decides_too(tmp_path):
    write(tmp_path / "split" / "steps.py", "import jax\nstep = jax.pmap(len)")
    write(tmp_path / "split" / "unused.py", "import jax\nstep = jax.pmap(len)")
    path = write(tmp_path / "split" / "submission.py", f"from .steps import step\n{STUB}")
    assert load(path, "jax").uses_pmap
    write(path, STUB)
    assert not load(path, "jax").uses_pmap


CALL = "def update(workload, p, b, s, m, r, rate, more):\n    return "


@pytest.mark.parametrize("package", ["algoperf", "algorithmic_efficiency"])
@pytest.mark.parametrize(
    ("text", "leaves"),
    [
        (CALL + "workload.model_fn(p, b, s, m, r, update_batch_norm=True)", True),
        (CALL + "workload.model_fn(p, b, s, m, r, True)", True),
        (CALL + "workload.model_fn(p, b, s, m, r, update_batch_norm=True, dropout_rate=rate)", False),
        (CALL + "workload.model_fn(p, b, s, m, r, True, rate)", False),
        (CALL + "workload.model_fn(p, b, s, m, r, True, **{'dropout_rate': rate})", False),
        ("HPARAMS = {'dropout_rate': 0.1}\n" + CALL + "workload.model_fn(p, b, s, m, r, True)", True),
    ],
)
def test_dropout_is_left_to_the_harness_by_what_a_submission_does(tmp_path, package, text, leaves):
    """And not by the package that it imports: submissions of early 2025 import algoperf and leave it."""
    path = write(tmp_path / "dropping" / "submission.py", f"from {package} import spec\n{text}\n{STUB}")
    assert load(path, "jax").leaves_dropout_to_harness is leaves


def test_reference_algorithms_hand_their_dropout_over():
    for file in sorted((ROOT / "reference_algorithms").glob("*/submission_*.py")):
        assert Source(file).passes_dropout(), file


# ---- batch sizes -----------------------------------------------------------------------------------------------------


def asked_for(table):
    """A submission that knows the batch sizes of `table`, and the names it is asked for."""
    asked = []

    def get_batch_size(name):
        asked.append(name)
        if name not in table:
            raise ValueError(f"Unsupported workload name: {name}.")
        return table[name]

    return submission("pytorch", get_batch_size=get_batch_size), asked


def test_a_variant_that_a_submission_does_not_know_gets_the_batch_size_of_its_base():
    run, asked = asked_for({"wmt": 128})
    assert batch_size(run, registry.get("wmt_post_ln"), 1) == 128
    assert asked == ["wmt_post_ln", "wmt"]


def test_a_mini_workload_gets_its_own_default_and_never_the_base_size():
    run, asked = asked_for({"wmt": 128})
    mini = registry.get("wmt_mini")
    assert batch_size(run, mini, 1) == mini.default_batch_size
    assert asked == ["wmt_mini"]
    assert (
        batch_size(run, registry.get("wmt_post_ln_mini"), 1)
        == registry.get("wmt_post_ln_mini").default_batch_size
    )


def test_a_known_name_is_taken_at_its_word():
    run, asked = asked_for({"wmt_post_ln": 64, "wmt": 128})
    assert batch_size(run, registry.get("wmt_post_ln"), 4) == 64
    assert asked == ["wmt_post_ln"]


def test_a_plain_table_that_has_not_the_name_does_not_know_it():
    for name, wanted in (("wmt_post_ln", 128), ("digits", registry.get("digits").default_batch_size)):
        run = submission("pytorch", get_batch_size=lambda name: {"wmt": 128}[name])
        assert batch_size(run, registry.get(name), 1) == wanted


@pytest.mark.parametrize("error", [TypeError("no"), SystemExit(0), GeneratorExit()], ids=repr)
def test_any_other_error_of_get_batch_size_is_one_line_with_its_place(error):
    def get_batch_size(name):
        raise error

    with pytest.raises(
        UsageError, match=rf"raised {type(error).__name__}.*\(line \d+\).*is to raise ValueError"
    ):
        batch_size(submission("pytorch", get_batch_size=get_batch_size), registry.get("digits"), 1)


def test_numpy_integers_are_integers():
    import numpy as np

    run = submission("pytorch", get_batch_size=lambda name: np.int64(48))
    found = batch_size(run, registry.get("digits"), 1)
    assert found == 48
    assert type(found) is int


def test_the_interface_that_submissions_annotate_with_is_complete():
    from algoperf import spec

    names = "Workload ParameterContainer ParameterTypeTree ModelAuxiliaryState Hyperparameters RandomState "
    names += (
        "OptimizerState Tensor LossType UpdateReturn ForwardPassMode TrainingCompleteError ParameterType "
    )
    names += "ShapeTuple Shape ParameterShapeTree ParameterKey Timing Steps ModelInitState InitOptimizerFn "
    names += "UpdateParamsFn PrepareForEvalFn DataSelectionFn"
    for name in names.split():
        assert hasattr(spec, name), name
    assert [member.name for member in spec.LossType] == [
        *(
            "SOFTMAX_CROSS_ENTROPY",
            "SIGMOID_CROSS_ENTROPY",
            "MEAN_SQUARED_ERROR",
            "CTC_LOSS",
            "MEAN_ABSOLUTE_ERROR",
        )
    ]
    assert [member.value for member in spec.LossType] == list(range(5))
    assert [(member.name, member.value) for member in spec.ForwardPassMode] == [("TRAIN", 0), ("EVAL", 1)]
    assert [member.value for member in spec.ParameterType] == list(range(15))


def test_a_submission_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        submission("jax").name = "other"


def test_a_bare_name_of_a_search_space_is_a_file_here_or_beside_the_submission(tmp_path, monkeypatch):
    folder = tmp_path / "one"
    folder.mkdir()
    for name, rate in (("tuning_search_space.json", 1), ("wide.json", 2)):
        (folder / name).write_text(json.dumps([{"rate": rate}]))
    monkeypatch.chdir(tmp_path)
    file = folder / "submission_jax.py"
    assert search_space(file, None) == ([{"rate": 1}], folder / "tuning_search_space.json")
    assert search_space(file, "wide.json") == ([{"rate": 2}], folder / "wide.json")
    (tmp_path / "wide.json").write_text(json.dumps([{"rate": 3}]))
    assert search_space(file, "wide.json")[0] == [{"rate": 3}]
    with pytest.raises(UsageError, match=r"nowhere\.json"):
        search_space(file, "nowhere.json")


REWRITES = """
import pathlib
sibling = pathlib.Path(__file__).with_name("helper.py")
sibling.write_text(sibling.read_text().replace("1", "2"))
from . import helper
"""


def test_a_file_that_was_changed_after_it_was_read_is_not_imported(tmp_path):
    file = write(tmp_path / "rewrites" / "submission.py", REWRITES + STUB)
    write(tmp_path / "rewrites" / "helper.py", "VALUE = 1")
    with pytest.raises(UsageError, match=r"helper\.py was changed since the trial began \(R2\.7\)"):
        load(file, "jax")


def test_the_digest_is_that_of_the_files_before_the_import(tmp_path):
    text = "import pathlib\npathlib.Path(__file__).write_text('x = 1')\n"
    file = write(tmp_path / "rewritten" / "submission.py", text + STUB)
    before = source_hash(file)
    assert load(file, "jax").source_hash == before != source_hash(file)


def test_a_sibling_whose_name_is_put_together_is_not_imported_by_a_file_alone(tmp_path):
    text = "import importlib\nimportlib.import_module('.' + 'rat' + 'es', __package__)\n" + STUB
    write(tmp_path / "computed" / "rates.py", "RATE = 1")
    load(write(tmp_path / "computed" / "submission.py", text), "jax")
    with pytest.raises(UsageError, match=r"rates\.py is imported, and no import statement"):
        load(write(tmp_path / "computed" / "method.py", text), "jax")


def test_compiled_files_in_the_folder_are_neither_read_nor_written(tmp_path):
    file = write(tmp_path / "forged" / "submission.py", "from . import helper\nVALUE = helper.VALUE\n" + STUB)
    helper = write(tmp_path / "forged" / "helper.py", "VALUE = 1")
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    cache = Path(py_compile.compile(str(helper), invalidation_mode=mode))
    helper.write_text("VALUE = 2")
    content = cache.read_bytes()
    assert load(file, "jax").module.VALUE == 2
    assert {path: path.read_bytes() for path in cache.parent.iterdir()} == {cache: content}


def test_compiled_files_of_a_submission_in_the_project_are_not_read(tmp_path, monkeypatch):
    folder = tmp_path / "submissions"
    for name in ("submissions", "submissions/mine"):
        write(tmp_path / name / "__init__.py", "")
    monkeypatch.setattr(submission_import, "PROJECT", tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name in [name for name in sys.modules if name.split(".")[0] == "submissions"]:
        monkeypatch.delitem(sys.modules, name)
    file = write(folder / "mine" / "submission.py", "VALUE = 1\n" + STUB)
    py_compile.compile(str(file), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    write(file, "VALUE = 2\n" + STUB)
    assert load(file, "jax").module.VALUE == 2
