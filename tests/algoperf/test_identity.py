"""What makes a run another one, and that the file is named that changed."""

import json
import shutil
import time

import pytest
from harness import ROOT, SGD_FILES, command, digits, patient_suite, trial_config

from algoperf import records, registry, submission_files
from algoperf.run import config as run_config
from algoperf.run import identity, sources
from algoperf.run.identity import difference, differences
from algoperf.submission import has_own_folder

TRIAL = "experiments/nesterov/study_0/digits_pytorch/trial_1"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of the project, of which runs think that they are."""
    root = tmp_path / "project"
    for name in ("algoperf", "reference_algorithms", "workloads/digits", "workloads/ogbg"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for module in (submission_files, sources):
        monkeypatch.setattr(module, "PROJECT", root)
    monkeypatch.setattr(sources, "roots", lambda: (root / "workloads",))
    return root


def change(path, text="\nCHANGED = 1\n"):
    path.write_text(path.read_text() + text)


def run(tmp_path, project, **changes):
    given = {"workload": "digits", "framework": "pytorch", "eval_every_steps": 1, "max_global_steps": 1}
    return command(
        tmp_path, submission=str(project / "reference_algorithms/nesterov"), **{**given, **changes}
    )


def test_a_change_of_code_is_noticed_and_the_file_is_named(tmp_path, capsys, project):
    assert run(tmp_path, project) == 0, capsys.readouterr().err
    for path, key in (
        ("reference_algorithms/shared/schedules.py", "submission_source"),
        ("workloads/digits/data.py", "workload_source"),
        ("algoperf/evaluation.py", "harness"),
    ):
        before = (project / path).read_text()
        change(project / path)
        for steps in (1, 2):  # Finished, and to be continued.
            capsys.readouterr()
            assert run(tmp_path, project, max_global_steps=steps) == 2
            (line,) = capsys.readouterr().err.strip().splitlines()
            assert f"holds a run with another {key} ({path} changed)" in line
            assert ("--accept_changes" in line) == (key != "submission_source")
            assert "--overwrite" in line
        (project / path).write_text(before)
    assert run(tmp_path, project, max_global_steps=2) == 0, "as it was again"


def test_what_decides_nothing_does_not_count(tmp_path, capsys, project):
    assert run(tmp_path, project) == 0
    change(project / "algoperf" / "evaluation.py", "\n# In other words.\n")
    change(project / "reference_algorithms" / "shared" / "schedules.py", "\n# In other words.\n")
    for path in ("algoperf/records.py", "algoperf/losses/jax_losses.py", "workloads/ogbg/metrics.py"):
        change(project / path)
    change(project / "reference_algorithms" / "nesterov" / "submission_jax.py")
    for path in ("reference_algorithms/nesterov/README.md", "workloads/digits/README.md"):
        (project / path).write_text("other words")
    (project / "reference_algorithms" / "nesterov" / "narrow.json").write_text('[{"learning_rate": 1.0}]')
    assert run(tmp_path, project, max_global_steps=2) == 0, capsys.readouterr().err


def test_an_accepted_change_is_told_in_the_records_of_every_later_start(tmp_path, capsys, project):
    assert run(tmp_path, project) == 0
    change(project / "workloads" / "digits" / "data.py")
    assert run(tmp_path, project, max_global_steps=2, accept_changes=True) == 0, capsys.readouterr().err
    assert run(tmp_path, project, max_global_steps=3) == 0, "its records are of the new code now"
    warnings = records.read_json(tmp_path / TRIAL / records.SUMMARY)["warnings"]
    assert warnings == ["From step 1 on with another workload_source (workloads/digits/data.py changed)."]
    change(project / "reference_algorithms" / "shared" / "schedules.py")
    assert run(tmp_path, project, max_global_steps=4, accept_changes=True) == 2
    assert "another submission_source" in capsys.readouterr().err


def test_versions_are_compared_one_by_one(tmp_path, capsys, project, monkeypatch):
    assert run(tmp_path, project) == 0
    installed = sources.machine.installed_versions
    monkeypatch.setattr(
        sources.machine, "installed_versions", lambda names: {**installed(names), "numpy": "0.1"}
    )
    capsys.readouterr()
    assert run(tmp_path, project, max_global_steps=2) == 2
    assert "another versions.numpy ('" in capsys.readouterr().err


def test_a_suite_with_another_budget_is_noticed_in_words(tmp_path, capsys, project):
    suite = patient_suite(tmp_path, "digits")
    assert run(tmp_path, project, suite=suite) == 0
    content = json.loads((tmp_path / "patient.json").read_text())
    content["targets"]["digits"]["runtime_budget_sec"] = 1000.0
    (tmp_path / "patient.json").write_text(json.dumps(content))
    assert run(tmp_path, project, suite=suite) == 2
    assert "another budget_sec (360000.0, now 1000.0)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "fields", [{"torch_compile": True}, {"device": "NVIDIA H100"}, {"budget_factor": 3.0}], ids=str
)
def test_compilation_device_and_the_rulesets_factor_on_the_budget_are_parts_of_it(tmp_path, fields):
    plain = trial_config(tmp_path, "pytorch", device="cpu").identity()
    other = trial_config(tmp_path, "pytorch", **{"device": "cpu", **fields}).identity()
    key = {"budget_factor": "budget_sec"}.get(*fields, *fields)
    assert [one.key for one in differences(plain, other)] == [key]


def older(self, real=run_config.TrialConfig.identity):
    """The identity that earlier versions stored."""
    keys = ("workload", "workload_config", "framework", "rng_seed", "study", "trial", "eval_every_steps")
    found = real(self)
    kept = {key: found[key] for key in (*keys, "run_past_targets", "hyperparameters")}
    return {**kept, "submission_source": self.sources.older}


def test_a_run_of_an_older_version_is_continued_and_refused_as_it_was_then(
    tmp_path, capsys, project, monkeypatch
):
    with monkeypatch.context() as earlier:
        earlier.setattr(run_config.TrialConfig, "identity", older)
        assert run(tmp_path, project) == 0, capsys.readouterr().err
    assert run(tmp_path, project, max_global_steps=2) == 0, capsys.readouterr().err
    assert "harness" in records.read_json(tmp_path / TRIAL / records.SUMMARY)["identity"]
    with monkeypatch.context() as earlier:
        earlier.setattr(run_config.TrialConfig, "identity", older)
        assert run(tmp_path, project, rng_seed=1, overwrite=True) == 0
    change(project / "reference_algorithms" / "nesterov" / "submission_torch.py")
    capsys.readouterr()
    assert run(tmp_path, project, rng_seed=1, max_global_steps=2) == 2
    assert "another submission_source" in capsys.readouterr().err


def test_the_older_hash_of_a_submission_is_what_it_was(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "submission.py").write_text("x = 1\n")
    (folder / "table.json").write_text("{}")
    (folder / "notes.md").write_text("-")
    assert submission_files.older_hash(folder / "submission.py", True) == "61112604ad3546f3"


def test_names_of_modules_that_decide_nothing_are_names_of_modules():
    for name in sources.DECIDES_NOTHING:
        assert (ROOT / "algoperf" / f"{name}.py").is_file(), name


@pytest.mark.parametrize("framework", ["jax", "pytorch"])
def test_the_harness_is_what_a_trial_runs_through_in_this_framework(framework):
    file = SGD_FILES[framework]
    found = sources.of(file, framework, ("librispeech_conformer",)).files
    assert {"algoperf/evaluation.py", "algoperf/run/training.py", "algoperf/data/queue.py"} <= set(
        found["harness"]
    )
    other = {"jax": "torch", "pytorch": "jax"}[framework]
    assert not any(other in name for part in ("harness", "workload_source") for name in found[part])
    assert "workloads/librispeech/wer.py" in found["workload_source"], "which its metrics import"
    assert not any("download" in name for name in found["workload_source"])


def test_sources_are_read_in_a_moment():
    file = ROOT / "reference_algorithms" / "shampoo" / "submission_torch.py"
    families = (registry.get("wmt").family,)
    assert has_own_folder(file)
    sources.of(file, "pytorch", families)
    start = time.process_time()
    sources.of(file, "pytorch", families)
    assert time.process_time() - start < 0.1


def test_the_identity_can_be_stored_and_is_found_again(tmp_path):
    known = sources.of(SGD_FILES["jax"], "jax", ("digits",))
    config = trial_config(tmp_path, "jax", workload=digits(), sources=known)
    stored = json.loads(json.dumps(config.identity()))
    assert difference(stored, config.identity()) is None
    assert set(sources.PARTS) <= set(stored)
    assert len(json.dumps(stored)) < 1500, "it is stored in every summary"
    assert stored["versions"]["jax"]
    assert "torch" not in stored["versions"]


def test_records_of_another_start_do_not_name_files(tmp_path):
    records.write_json(
        tmp_path / records.meta_data_file(0), {identity.META_SOURCES: {"harness": {"a.py": "1"}}}
    )
    files = identity.recorded_files(tmp_path)
    (found,) = differences({"harness": "x"}, {"harness": "y"}, files, {"harness": {"a.py": "2"}})
    assert str(found) == "harness ('x', now 'y')"
