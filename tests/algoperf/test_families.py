"""What a workload folder must hold is declared once; a folder with a mistake costs nobody else anything."""

import dataclasses
import os
import runpy
import subprocess
import sys
import types

import pytest
from harness import ROOT, shared_workload

from algoperf import families, registry, suites
from algoperf.spec import UsageError
from algoperf.workload import Family, Variant, WorkloadSpec

WORKLOAD = """
from algoperf.spec import LossType
from algoperf.workload import Family, Variant, WorkloadSpec

FAMILY = Family(
    base=WorkloadSpec(
        name="{name}", family="{family}", target_metric_name="loss", higher_is_better=False,
        validation_target_value=0.1, test_target_value=0.1, loss_type=LossType.MEAN_SQUARED_ERROR,
        num_train_examples=8, num_eval_train_examples=8, num_validation_examples=8, num_test_examples=8,
        eval_batch_size=8, max_allowed_runtime_sec=1, eval_period_time_sec=1, step_hint=1, default_batch_size=4,
    ),
    variants={{"twin": Variant()}},
)
"""
DATA = "NEEDS_FILES = False\ndef train_stream(): ...\ndef eval_batches(): ...\n"
MODEL = "def make_model(): ...\n"
JAX_MODEL = MODEL + "def example_batch(): ...\n"
FILES = {"data.py": DATA, "model_jax.py": JAX_MODEL, "model_torch.py": MODEL}


@pytest.fixture
def add(tmp_path, monkeypatch):
    """add(family, name, **{file: text}) makes a folder in a root of its own; None leaves a file out."""
    monkeypatch.setenv(registry.MORE_ROOTS, str(tmp_path))

    def make(family, name=None, workload=None, **files):
        folder = tmp_path / family
        folder.mkdir()
        text = WORKLOAD.format(name=name or family, family=family) if workload is None else workload
        (folder / "workload.py").write_text(text)
        for file, content in (FILES | {f"{stem}.py": text for stem, text in files.items()}).items():
            if content is not None:
                (folder / file).write_text(content)
        return folder

    return make


def test_a_folder_of_another_root_gives_workloads_like_ours(add):
    add("sound_one")
    assert {"sound_one", "sound_one_twin", "digits"} <= set(registry.names())
    found = registry.get("sound_one")
    data = registry.data_module(found)
    assert (data.NEEDS_FILES, data.SHARDED, data.PREFETCH) == (False, False, 3)
    assert data.verify(found, None) == {}
    assert registry.metrics_module(found).make_metrics(found, None).result() == {}
    assert registry.download_module(found) is None
    assert registry.broken() == {}


def test_our_own_folders_are_sound():
    assert registry.broken() == {}


BROKEN = {
    "missing_member": (
        {"data": "NEEDS_FILES = False\ndef train_stream(): ...\n"},
        "defines no eval_batches. It must",
    ),
    "near_miss": (
        {"data": "NEEDS_FILES = False\ndef train_stream(): ...\ndef eval_batch(): ...\n"},
        "data.py defines 'eval_batch', which nothing uses: is 'eval_batches' meant?",
    ),
    "near_miss_of_an_option": (
        {"model_torch": MODEL + "def eval_output(): ...\n"},
        "model_torch.py defines 'eval_output', which nothing uses: is 'eval_outputs' meant?",
    ),
    "misspelt_model": ({"model_jax": "def make_modle(): ...\n"}, "is 'make_model' meant?"),
    "near_miss_of_a_value": (
        {"data": DATA + "prefetch = 0\n"},
        "defines 'prefetch', which nothing uses: is 'PREFETCH'",
    ),
    "of_the_other_framework": (
        {"model_jax": JAX_MODEL + "def arrange(): ...\n"},
        "model_jax.py defines 'arrange', which is for another framework",
    ),
    "files_without_preparation": (
        {"data": "def train_stream(): ...\ndef eval_batches(): ...\n"},
        "data.py defines no prepare.",
    ),
    "no_data": ({"data": None}, "workloads?/?no_data has no data.py"),
    "bad_syntax": ({"model_torch": "def make_model(:\n"}, "model_torch.py cannot be read: invalid syntax"),
    "metrics_without_function": ({"metrics": "def make_metric(): ...\n"}, "metrics.py defines 'make_metric'"),
    "does_not_import": (
        {"workload": "raise RuntimeError('out\\nof order')\n"},
        "cannot be imported: RuntimeError: out of",
    ),
    "exits": ({"workload": "raise SystemExit(3)\n"}, "workload.py cannot be imported: SystemExit: 3"),
    "no_family": ({"workload": "FAMILLY = 1\n"}, "workload.py defines no FAMILY"),
    "another_family": ({"workload": "FAMILY = {}\n"}, "FAMILY must be a Family, got {}"),
    "copied_folder": (
        {"workload": WORKLOAD.format(name="digits", family="digits")},
        "workload.py says family='digits'; it must be the name of its folder",
    ),
    "wrong_fact": (
        {
            "workload": WORKLOAD.format(name="wrong_fact", family="wrong_fact").replace(
                "step_hint=1", "step_hint=0"
            )
        },
        "step_hint must be a positive integer, got 0",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_folder_with_a_mistake_is_one_line_and_the_others_work(add, case):
    files, message = BROKEN[case]
    folder = add(case, **files)
    [(place, line)] = registry.broken().items()
    assert place == folder
    assert "\n" not in line
    assert case in line
    assert message.replace("workloads?/?", "") in line
    assert {"digits", "wmt"} <= set(registry.names())
    assert not {case, f"{case}_twin"} & set(registry.names())
    assert registry.get("digits").family == "digits"
    with pytest.raises(UsageError) as refused:
        registry.get(f"{case}_twin")
    assert str(refused.value) == line
    with pytest.raises(UsageError, match="nearest is 'digits'.* Left out: .*" + case):
        registry.get("digit")


def test_a_name_that_two_folders_give_means_neither_and_their_other_names_work(add):
    add("first_home")
    add("second_home", name="first_home", workload=None)
    assert not {"first_home", "first_home_twin"} & set(registry.names())
    with pytest.raises(
        UsageError, match=r"Two folders give a workload 'first_home', .*first_home and .*second_home"
    ):
        registry.get("first_home")
    assert registry.get("digits").name == "digits"


def test_a_name_that_three_folders_give_means_none_of_them(add):
    for family in ("one_home", "other_home", "third_home"):
        add(family, name="one_home")
    assert not {"one_home", "one_home_twin"} & set(registry.names())
    with pytest.raises(UsageError, match=r"Two folders give a workload 'one_home', .*third_home: rename one"):
        registry.get("one_home")


def test_a_folder_with_the_name_of_another_is_refused(add):
    folder = add("wmt", name="wmt_of_mine")
    assert "rename one" in registry.broken()[folder]
    assert registry.get("wmt").family == "wmt"
    assert "wmt_of_mine" not in registry.names()


def test_helpers_have_any_name_that_is_not_nearly_a_member(add):
    add(
        "with_helpers",
        data=DATA + "def eval_batch(): ...\ndef load_split(): ...\ndef _prepare(): ...\nBATCHES = 3\n",
        model_jax=JAX_MODEL + "def loss_of_row(): ...\ndef make_models(): ...\n",
    )
    assert registry.broken() == {}


def test_a_mini_twin_of_data_with_files_needs_synthesize(add):
    data = DATA.removeprefix("NEEDS_FILES = False\n") + "def prepare(): ...\ndef is_ready(): ...\n"
    add("full_size_alone", data=data)
    facts = WORKLOAD.format(name="with_mini_twin", family="with_mini_twin")
    twin = facts.replace("variants=", "mini=Variant(), variants=")
    folder = add("with_mini_twin", workload=twin, data=data)
    assert list(registry.broken()) == [folder]
    assert "with_mini_twin/data.py defines no synthesize." in registry.broken()[folder]


def test_members_may_be_imported_or_stand_in_a_branch(add):
    add(
        "from_elsewhere",
        data="from workloads.digits.data import NEEDS_FILES, train_stream as eval_batches\n"
        "try:\n    import nothing\nexcept ImportError:\n    def train_stream(): ...\n",
        model_torch="from workloads.digits.model_torch import *\n",
    )
    assert registry.broken() == {}


def test_a_family_without_the_model_of_a_framework_says_so_when_it_is_asked_for(add):
    add("jax_alone", model_torch=None)
    found = registry.get("jax_alone")
    assert isinstance(registry.model_module(found, "jax"), families.JaxModelFile)
    with pytest.raises(
        UsageError, match=r"'jax_alone' has no model in torch: workloads/jax_alone/model_torch.py is missing"
    ):
        registry.model_module(found, "torch")


def test_members_of_an_imported_file_are_checked_too():
    module = types.ModuleType("model_torch")
    module.__file__ = "workloads/toy/model_torch.py"
    with pytest.raises(
        UsageError,
        match=r"toy/model_torch.py defines no make_model\. It must define",
    ):
        families.read(module, families.TorchModelFile)
    module.make_model = "a model"
    with pytest.raises(UsageError, match="make_model must be a function, got 'a model'"):
        families.read(module, families.TorchModelFile)
    module = types.ModuleType("data")
    module.__file__ = "workloads/toy/data.py"
    module.train_stream = module.eval_batches = print
    with pytest.raises(UsageError, match=r"toy/data.py defines no prepare"):
        families.read(module, families.DataFile)
    module.NEEDS_FILES = False
    module.SHARDED = "no"
    with pytest.raises(UsageError, match="SHARDED must be of type bool, got 'no'"):
        families.read(module, families.DataFile)
    module.SHARDED, module.PREFETCH = True, True
    with pytest.raises(UsageError, match="PREFETCH must be of type int, got True"):
        families.read(module, families.DataFile)


def test_every_bound_workload_reads_its_files_through_the_declaration(framework):
    workload = shared_workload(registry.get("digits"), framework)
    assert isinstance(workload.data_module, families.DataFile)
    assert isinstance(workload.model._family, families.ModelFile)
    assert workload.model._family.eval_outputs is None


def test_the_table_of_fields_is_current_and_every_field_is_explained():
    """`python docs/workload_fields.py` writes it anew."""
    script = runpy.run_path(str(ROOT / "docs" / "workload_fields.py"))
    page = script["page"]()
    assert (ROOT / "docs" / "workload_fields.md").read_text() == page
    described = (WorkloadSpec, Variant, Family, suites.Suite, suites.Ruleset, suites.WorkloadTargets)
    for one in (*families.FILES.values(), *described):
        found = script["fields"](one)
        assert list(found) == [field.name for field in dataclasses.fields(one)]
        for name, (_, _, meaning) in found.items():
            assert meaning or one is suites.Suite, f"{one.__name__}.{name} has no docstring"


def test_looking_names_up_imports_no_framework_and_no_numpy(add):
    add("broken_folder", data=None)
    code = "import sys; from algoperf import registry; print(len(registry.names()), *registry.broken().values());"
    code += "print(set(sys.modules) & {'jax', 'torch', 'tensorflow', 'numpy'})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=True,
    )
    first, last = done.stdout.splitlines()
    assert "broken_folder has no data.py" in first
    assert last == "set()"
