"""A framework is one record: a third one is known wherever frameworks are listed, and nobody branches on a name."""

import ast
import configparser
import re
import subprocess
import sys

import pretended_framework
import pytest
import sweep_folders
from harness import ROOT, SGD_FILES, command, digits

from algoperf import backends, frameworks, machine, records, registry, submission, suites
from algoperf.settings import RunSettings
from algoperf.spec import UsageError
from campaign import benchmark as campaign_command
from campaign import job_plan
from scoring import reading
from target_setting.sweep import read_sweep


@pytest.fixture
def mango(monkeypatch):
    pretended_framework.install(monkeypatch)


def written(folder, name="submission_mango.py", head=""):
    """A folder with SGD as a submission."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"{head}\n{SGD_FILES['pytorch'].read_text()}")
    (folder / submission.SEARCH_SPACE).write_text(
        SGD_FILES["pytorch"].with_name(submission.SEARCH_SPACE).read_text()
    )
    return folder


def targets():
    """Those of `digits`, as scoring takes them."""
    return {"digits": suites.targets_from_registry("digits")}


# ---- the record ------------------------------------------------------------------------------------------------------


def test_a_framework_has_one_name_and_others_that_stand_for_it():
    assert frameworks.get("torch") is frameworks.get("pytorch")
    assert frameworks.get("jax").name == "jax"
    assert backends.get_backend("torch") is backends.get_backend("pytorch"), "one process, one backend"
    with pytest.raises(
        UsageError, match=r"No framework is called 'jux'; the nearest is 'jax'. Choose from jax, pytor"
    ):
        frameworks.get("jux")


def test_no_two_frameworks_share_a_name_a_file_or_a_package():
    for field in ("suffix", "backend", "launch", "extra", "name"):
        values = [getattr(one, field) for one in frameworks.FRAMEWORKS]
        assert len(values) == len(set(values)), field
    for field in ("aliases", "packages", "submission_files", "recorded"):
        values = [value for one in frameworks.FRAMEWORKS for value in getattr(one, field)]
        assert len(values) == len(set(values)), field


def test_every_framework_can_be_installed_by_its_extra_and_has_the_files_of_its_record():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    for one in frameworks.FRAMEWORKS:
        required = config["options.extras_require"][one.extra]
        assert {re.match(r"[\w-]+", line)[0] for line in required.split()} >= set(one.packages)
        for module in (one.backend, one.launch):
            assert (ROOT / f"{module.replace('.', '/')}.py").is_file()
        assert (ROOT / "submissions" / "template" / one.submission_files[0]).is_file()


# ---- a third one -----------------------------------------------------------------------------------------------------


def test_a_trial_runs_in_a_third_framework_and_is_scored(tmp_path, mango, capsys):
    folder = written(tmp_path / "sgd", head="import mangolib")
    given = {"workload": "digits", "submission": str(folder), "num_tuning_trials": 1, "max_global_steps": 2}
    assert command(tmp_path, **given) == 0, capsys.readouterr().err
    trial = tmp_path / "experiments" / "sgd" / "study_0" / "digits_mango" / "trial_1"
    assert records.read_json(trial / records.SUMMARY)["framework"] == "mango"
    meta = records.read_json(trial / records.meta_data_file(0))
    assert "pytest" in meta["package_versions"]
    (found,) = reading.read_submissions(tmp_path / "experiments", targets()).trials
    assert (found.workload, found.framework) == ("digits", "mango")


def test_submissions_of_a_third_framework_are_found_by_file_by_import_and_by_name(tmp_path, mango):
    folder = written(tmp_path / "sgd")
    assert submission.find(folder) == (folder / "submission_mango.py", "mango")
    assert submission.find(folder, "mangifera")[1] == "mango"
    assert submission.has_own_folder(folder / "submission_mango.py")
    file = tmp_path / "one.py"
    file.write_text("import mangolib")
    assert submission.find(file) == (file, "mango")
    file.write_text("import numpy")
    with pytest.raises(
        UsageError, match=r"in jax and pytorch and mango: say which with .*=jax\|pytorch\|mango"
    ):
        submission.find(file)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"submission_pytorch.py, submission_mango.py"):
        submission.find(tmp_path / "empty")
    with pytest.raises(
        UsageError, match=r"No framework is called 'mangoo'; the nearest is 'mango'. Choose from jax, ma"
    ):
        submission.find(file, "mangoo")


MAPPED = "def mapped(step):\n    import mangolib\n\n    return mangolib.mango_map(step)"


@pytest.mark.parametrize(
    ("head", "wanted"), [("", False), ("mango_map = None\nmango_map", False), (MAPPED, True)]
)
def test_the_older_layout_is_recognised_by_the_names_of_the_record(tmp_path, mango, head, wanted):
    assert submission.load(written(tmp_path / "sgd", head=head)).uses_pmap == wanted


def test_a_third_framework_that_is_not_installed_is_one_line_with_the_command(tmp_path, monkeypatch):
    pretended_framework.install(monkeypatch, packages=("no_such_package_at_all",))
    words = r"'mango' needs no_such_package_at_all.*pip install -e .\[fruit\]` or use --framework=jax"
    with pytest.raises(UsageError, match=words):
        backends.get_backend("mango")


@pytest.mark.parametrize(
    ("framework", "package", "fails"),
    [
        ("jax", "jax", "ImportError('no libjax')"),
        ("jax", "flax", "RuntimeError('too old')"),
        ("pytorch", "torch", "OSError('no CUDA')"),
    ],
)
def test_a_framework_that_is_broken_is_one_line_and_no_fault_of_the_submission(
    tmp_path, framework, package, fails
):
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text(f"raise {fails}\n")
    head = f"import {package}\n"
    (tmp_path / "submission.py").write_text(head + SGD_FILES[framework].read_text())
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from algoperf import commands, submission\n"
        f"main = lambda: submission.load({str(tmp_path / 'submission.py')!r}, {framework!r})\n"
        "sys.exit(commands.exit_code_of(main))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 2
    assert "Traceback" not in run.stderr
    kind, text = fails.rstrip("')").split("('")
    wanted = f"Framework {framework!r} is installed and cannot be used: importing {package} fails with {kind}: {text}"
    assert wanted in run.stderr


def test_a_workload_without_a_model_in_a_framework_is_one_line(monkeypatch):
    pretended_framework.install(monkeypatch, suffix="mango")
    with pytest.raises(
        UsageError, match=r"'digits' has no model in mango: workloads/digits/model_mango.py is missing"
    ):
        registry.model_module(digits(), "mango")


def test_facts_of_a_workload_name_frameworks_that_exist(mango):
    assert digits(output_params={"mango": ("head",)}).output_params["mango"] == ("head",)
    with pytest.raises(UsageError, match="No framework in output_params of digits is called 'torch'"):
        digits(output_params={"torch": ("head",)})


def test_a_campaign_refuses_results_in_a_third_framework(tmp_path, mango):
    submissions = (str(written(tmp_path / "sgd", "submission_torch.py")),)
    found = job_plan.Campaign(
        experiment_dir=tmp_path,
        settings=RunSettings(suite="demo"),
        submissions=submissions,
        workloads=("digits",),
        num_studies=1,
        num_trials=1,
    )
    other = tmp_path / "sgd" / "study_0" / "digits_mango"
    other.mkdir(parents=True)
    with pytest.raises(UsageError, match="in mango, and one score takes one framework"):
        campaign_command.check_scores(found, job_plan.make_jobs(found))


def test_scoring_refuses_results_in_a_third_framework_beside_another(tmp_path, mango):
    for framework in ("mango", "pytorch"):
        sweep_folders.write_trial(tmp_path, "adam", "digits", 1, [0.1], framework=framework)
    with pytest.raises(UsageError, match="in both frameworks, digits_mango and digits_pytorch, in"):
        reading.read_submissions(tmp_path, targets())


def test_sweeps_are_read_in_a_third_framework(tmp_path, mango):
    sweep_folders.write_trial(tmp_path, "adam", "digits", 1, [0.1], framework="mango")
    assert read_sweep(tmp_path, framework="mango").trials[0].framework == "mango"
    for framework in ("jax", "pytorch"):
        sweep_folders.write_trial(tmp_path, "adam", "digits", 1, [0.1], framework=framework)
    with pytest.raises(UsageError, match="in 3 frameworks; choose with --framework=jax or mango or pytorch"):
        read_sweep(tmp_path)


def test_help_default_and_records_know_a_third_framework(monkeypatch, mango):
    assert frameworks.choices() == "jax or pytorch or mango"
    assert frameworks.preferred().name == "jax"
    assert "pytest" in machine.package_versions()
    monkeypatch.setattr(
        frameworks.Framework,
        "missing_packages",
        lambda self: [] if self.name == "mango" else list(self.packages),
    )
    assert frameworks.preferred().name == "mango"
    monkeypatch.setattr(frameworks.Framework, "missing_packages", lambda self: list(self.packages))
    assert frameworks.preferred().name == "jax", "what the message then says to install"


# ---- nobody branches on a name ---------------------------------------------------------------------------------------

NAMES = {word for one in frameworks.FRAMEWORKS for word in (one.name, one.suffix, *one.aliases)}
OWN_FILE = re.compile("(^|_)(" + "|".join(NAMES) + ")(_|$)")
ALLOWED = {
    "algoperf/run/inert.py": "reads pickles, in which names of PyTorch stand",
    "algoperf/adapter/signature.py": "tells whose optimizer an object is",
    "benchmarks/adapter_cost.py": "holds an optimizer of each framework beside ours",
    "benchmarks/cross_entropy_memory.py": "times each framework's own loss",
    "benchmarks/language_model_step.py": "times each framework's own matrix products",
    "benchmarks/optimizer_step.py": "drives each framework's own optimizers beside ours",
    "benchmarks/step_time.py": "drives each framework's own loop, and holds AlgoPerf's times in each",
}
"""File -> why it may list frameworks itself."""


def sources():
    """Files that must not know frameworks by name: not the record, the backends, and files named for a framework."""
    folders = "algoperf benchmarks campaign datasets reference_algorithms scoring submissions target_setting workloads"
    files = [
        *ROOT.glob("*.py"),
        *(path for folder in folders.split() for path in (ROOT / folder).rglob("*.py")),
    ]
    for path in files:
        name = str(path.relative_to(ROOT))
        is_own = name.startswith("algoperf/backends/") or OWN_FILE.search(path.stem)
        if not is_own and name != "algoperf/frameworks.py":
            yield name, path.read_text()


def branches(text):
    """Lines that compare with a framework's name, look something up by it, or list frameworks."""
    tree = ast.parse(text)
    # A workload's `output_params` are its facts in each framework.
    facts = [
        node.value for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "output_params"
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            facts += [value for key, value in pairs if getattr(key, "value", None) == "output_params"]
    return sorted(
        {
            node.lineno
            for node in ast.walk(tree)
            if node not in facts
            if (isinstance(node, ast.Compare) and any(map(_is_name, [node.left, *node.comparators])))
            or (isinstance(node, ast.MatchValue) and _is_name(node.value))
            or (isinstance(node, ast.Subscript) and _is_name(node.slice))
            or (isinstance(node, ast.Dict) and any(map(_is_name, node.keys)))
            or (isinstance(node, (ast.Tuple, ast.List, ast.Set)) and sum(map(_is_name, node.elts)) > 1)
        }
    )


def _is_name(node):
    if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        return any(map(_is_name, node.elts))
    return isinstance(node, ast.Constant) and node.value in NAMES


@pytest.mark.parametrize(
    "text",
    [
        'framework == "jax"',
        '"pytorch" != framework',
        'framework in ("torch", "other")',
        'match framework:\n    case "jax":\n        pass',
        '{"jax": 1, "pytorch": 2}[framework]',
        'TABLE["pytorch"]',
        'FRAMEWORKS = ("jax", "pytorch")',
    ],
)
def test_a_branch_on_a_frameworks_name_is_seen(text):
    assert branches(text)
    assert not branches(
        'SPEC = WorkloadSpec(output_params={"jax": (), "pytorch": ()}, **{"output_params": {"jax": 0}})'
    )


def test_nobody_branches_on_a_frameworks_name():
    found = {name: lines for name, text in sources() if (lines := branches(text))}
    assert found.keys() == ALLOWED.keys(), found
