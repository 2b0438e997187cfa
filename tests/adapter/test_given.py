"""What --set says, and what a name means: no framework is needed."""

import pytest

from algoperf import adapter
from algoperf.adapter import adapt, flags, given, named
from algoperf.cli import command
from algoperf.cli.table import TABLE, command_at
from algoperf.spec import UsageError


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["lr"], "name=value"),
        (["lr=1,lr=2"], "twice"),
        (["=1"], "name=value"),
    ],
)
def test_what_is_no_setting_is_refused(texts, said):
    with pytest.raises(UsageError, match=said):
        given.parse(texts)


def test_commas_in_brackets_do_not_separate_settings():
    found = given.parse(["betas=(0.9,0.99),name=adam", "nesterov=False", "mask=none"])
    assert found == {"betas": [0.9, 0.99], "name": "adam", "nesterov": False, "mask": None}


def test_a_name_of_the_optimizers_own_wins_over_a_shared_one():
    found = given.sorted_out({"clip": 2.0, "grad_clip": 1.0}, ["clip"])
    assert (found.arguments, found.shared) == ({"clip": 2.0}, {"grad_clip": 1.0})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"schedule": "cosine"}, "warmup_cosine"),
        ({"clip": "much"}, "must be a number"),
        ({"dropout": 2.0}, "from 0 to 1"),
        ({"batch_size": 1.5}, "whole number"),
        ({"clip": 1.0, "grad_clip": 1.0}, "twice"),
    ],
)
def test_a_shared_setting_with_a_wrong_value_is_refused(settings, said):
    with pytest.raises(UsageError, match=said):
        given.sorted_out(settings, [])


@pytest.mark.parametrize("text", ["mine.py", "submissions/template", "nadamw", "a b.c", "../x/y"])
def test_paths_and_bare_names_are_submissions(text):
    assert not adapter.is_optimizer(text)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match="No file at"):
        named.parse(str(tmp_path / "mine.py:Mine"))


def test_settings_beside_an_ordinary_submission_are_refused(tmp_path):
    assert adapter.as_submission("submissions/template", root=tmp_path).name == "template"
    with pytest.raises(UsageError, match="goes with an optimizer"):
        adapter.as_submission("submissions/template", settings={"lr": 1.0}, root=tmp_path)


def test_a_setting_for_one_of_several_goes_to_that_one_alone():
    asked = {"lr": 0.1, "SGD:lr": 0.2}
    assert flags.of_one("torch.optim.SGD", asked) == {"lr": 0.2}
    assert flags.of_one("torch.optim.Adam", asked) == {"lr": 0.1}


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--submission=torch.optim.SGD", "--workload=digist"),
        ("benchmark", "--submissions=torch.optim.SGD", "--workloads=digist", "--experiment_dir=out"),
        ("compare", "torch.optim.SGD", "torch.optim.Adam", "--workload=digist"),
        ("sweep", "torch.optim.SGD", "--over=lr=1", "--workload=digist"),
    ],
)
def test_a_wrong_workload_is_told_before_an_optimizer_is_imported(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(adapt, "_asked", lambda request: pytest.fail("the optimizer was imported"))
    monkeypatch.chdir(tmp_path)
    assert command.call(command_at(TABLE[arguments[0]].place), arguments[1:]) == 2
    assert "No workload is called 'digist'; the nearest is 'digits'" in capsys.readouterr().err
