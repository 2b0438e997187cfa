"""check_workload.py: the conformance checks on a folder outside the project, a line each."""

import importlib
import re

import documented
import pytest

from algoperf import registry
from algoperf.cli import check as check_command
from algoperf.cli import command

conformance = importlib.import_module("conformance")


@pytest.fixture
def checked(monkeypatch, capsys):
    """(exit code, lines, errors) of the command for a folder."""
    monkeypatch.setenv(registry.MORE_ROOTS, "")

    def run(*folders, framework="pytorch"):
        chosen = [] if framework is None else [f"--framework={framework}"]
        code = command.call(check_command.WORKLOAD, [*map(str, folders), *chosen])
        told = capsys.readouterr()
        return code, told.out.splitlines(), told.err

    return run


def test_a_sound_folder_anywhere_passes_every_check_with_a_line_each(checked, tmp_path):
    folder = documented.write(tmp_path, "outside_one")
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "workload.py").write_text("raise SystemExit('nobody should read this')")
    code, lines, _ = checked(folder)
    assert code == 0, lines
    assert lines[0] == "ok       outside_one: the README shows a command that runs it"
    assert "ok       outside_one (pytorch): a gradient step lowers the loss on its own batch" in lines
    assert "ok       outside_one_tanh (pytorch): evaluation changes nothing" in lines
    wanted = [*conformance.DATA_CHECKS, *conformance.MODEL_CHECKS]
    for check in wanted:
        assert sum(check.__name__.replace("_", " ") in line for line in lines) >= 1, check
    assert re.fullmatch(r"\d+ checks: \d+ ok, \d+ skipped\.", lines[-1])
    assert not [line for line in lines if "beside" in line]


def test_what_fails_is_named_with_its_place_and_the_other_checks_still_run(checked, tmp_path, monkeypatch):
    monkeypatch.setattr(conformance, "DATA_CHECKS", [])
    folder = documented.write(tmp_path, "outside_two")
    (folder / "README.md").unlink()
    model = folder / "model_torch.py"
    model.write_text(model.read_text().replace("self.hidden(inputs)", "self.hidden(inputs, 1)"))
    code, lines, _ = checked(folder)
    assert code == 1
    assert lines[0].startswith(
        "FAILED   outside_two: the README shows a command that runs it -- README.md is missing"
    )
    (step,) = [line for line in lines if "outside_two (pytorch): a gradient step" in line]
    assert re.search(r"-- model_torch\.py:\d+: TypeError: ", step)
    assert "ok       outside_two (pytorch): shapes and types line up with the parameters" in lines
    assert re.search(r"\d+ FAILED", lines[-1])


def test_wrong_input_is_one_line(checked, tmp_path):
    (tmp_path / "empty").mkdir()
    broken = documented.write(tmp_path, "broken")
    (broken / "workload.py").write_text("SPEC = None\n")
    taken = documented.write(tmp_path, "digits")
    for folder, words in (
        (tmp_path / "nowhere", "There is no folder .*nowhere: give that of a workload"),
        (tmp_path / "empty", "empty holds no workload.py"),
        (broken, "broken/workload.py defines no FAMILY"),
        (taken, "has the name of .*workloads/digits: rename one"),
    ):
        code, lines, err = checked(folder)
        assert (code, lines) == (2, [])
        assert re.search(words, err), err
        assert err.count("\n") == 1
    assert checked()[0] == 2
    code, _, err = checked(documented.write(tmp_path, "outside_three"), framework="jaxx")
    assert (code, err.count("the nearest is 'jax'")) == (2, 1)


def test_a_family_whose_data_are_all_large_is_refused(checked, tmp_path):
    folder = documented.write(tmp_path, "outside_four")
    data = folder / "data.py"
    text = data.read_text().replace("NEEDS_FILES = False", "NEEDS_FILES = True")
    data.write_text(text + "\n\ndef prepare(*_):\n    pass\n\n\ndef is_ready(*_):\n    return False\n")
    code, _, err = checked(folder)
    assert code == 2
    assert "give the family a mini version" in err
