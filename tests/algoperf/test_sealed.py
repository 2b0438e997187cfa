"""Runs on data of a secret seed: who makes the data, where the seed is seen, and what is never mixed (R9.9, R6.16)."""

import dataclasses
import os
import sys
import types

import pytest
from bound_workloads import few
from harness import SGD_FILES, command

from algoperf import data_seed, records, registry
from algoperf.data import locate, sealed
from algoperf.run.identity import differences
from algoperf.settings import RunSettings
from algoperf.spec import UsageError

MINI = registry.get("ogbg_mini")
SEED = data_seed.parse("17")


def test_data_of_a_seed_have_a_folder_of_their_own_and_variants_share_it():
    own = sealed.with_data(MINI, "17")
    assert locate.folder_name(own) == f"ogbg_mini_seed_{SEED.instance}"
    assert locate.folder_name(
        sealed.with_data(registry.get("ogbg_gelu_mini"), SEED.setting)
    ) == locate.folder_name(own)
    assert sealed.with_data(MINI, None) is sealed.with_data(MINI, "0") is MINI


def test_records_of_public_data_are_as_they_were_before_there_were_others():
    assert "data_instance" not in MINI.to_dict()
    assert sealed.with_data(MINI, "17").config_hash() != MINI.config_hash()


@pytest.mark.parametrize(
    ("name", "words"),
    [("ogbg", "'ogbg' has data that were collected"), ("digits", "'digits' has data that were collected")],
)
def test_real_data_are_not_made_anew(name, words):
    with pytest.raises(UsageError, match=words):
        sealed.with_data(registry.get(name), "17")


def test_a_family_that_makes_one_data_set_only_says_so(monkeypatch):
    monkeypatch.setattr(registry, "data_module", lambda spec: types.SimpleNamespace(RESEEDS=False))
    with pytest.raises(
        UsageError, match=r"cannot be made from another seed .its data\.py does not say RESEEDS"
    ):
        sealed.with_data(MINI, "17")


def made(monkeypatch, tmp_path):
    """Which seeds data are made from while nothing is there."""
    seeds = []
    module = types.SimpleNamespace(
        NEEDS_FILES=True,
        RESEEDS=True,
        is_ready=lambda spec, folder: (folder / "done").exists(),
        synthesize=lambda spec, folder, progress, seed=None: seeds.append(seed),
        prepare=lambda spec, folder, progress: (folder / "done").touch(),
    )
    monkeypatch.setattr(registry, "data_module", lambda spec: module)
    return seeds


def test_whoever_has_the_seed_makes_the_data_and_the_sealed_form_finds_them(monkeypatch, tmp_path):
    seeds = made(monkeypatch, tmp_path)
    asked = RunSettings(data_dir=str(tmp_path), data_seed="17", quiet=True)
    found = sealed.settled(asked, ["ogbg_mini", "wmt_mini"])
    assert found == dataclasses.replace(asked, data_seed=SEED.setting)
    assert seeds == [SEED.entropy, SEED.entropy]
    assert sealed.settled(found, ["ogbg_mini"]) == found
    assert locate.ready_folder(sealed.with_data(MINI, found.data_seed), tmp_path) == (
        tmp_path / f"ogbg_mini_seed_{SEED.instance}"
    )
    assert len(seeds) == 2
    other = sealed.with_data(MINI, data_seed.parse("18").setting)
    with pytest.raises(
        UsageError, match=r"its sealed form makes none\. Make them with `python datasets/dataset_setup"
    ):
        locate.ready_folder(other, tmp_path)


def test_all_workloads_are_checked_before_data_are_made(monkeypatch, tmp_path):
    seeds = made(monkeypatch, tmp_path)
    with pytest.raises(UsageError, match="'digits'"):
        sealed.settled(RunSettings(data_dir=str(tmp_path), data_seed="17"), ["ogbg_mini", "digits"])
    assert seeds == []


def test_the_environment_may_hold_the_seed_and_the_flag_comes_first(monkeypatch):
    monkeypatch.setenv(data_seed.VARIABLE, "17")
    assert sealed.settled(RunSettings(quiet=True), ["ogbg_mini"], makes_data=False).data_seed == SEED.setting
    assert sealed.settled(RunSettings(data_seed="0"), ["ogbg_mini"]).data_seed is None
    assert sealed.settled(RunSettings(reproduce="somewhere"), []).data_seed is None
    with pytest.raises(UsageError, match="means nothing beside --reproduce"):
        sealed.settled(RunSettings(reproduce="somewhere", data_seed="17"), [])


def test_a_guessable_seed_is_told(capsys):
    sealed.settled(RunSettings(data_seed="17"), ["ogbg_mini"], makes_data=False)
    assert "finds so short a data seed by trying" in capsys.readouterr().err
    sealed.settled(RunSettings(data_seed=data_seed.new()), ["ogbg_mini"], makes_data=False)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("given", "variable", "starts"),
    [
        (["--data_seed=17"], None, True),
        (["-data_seed", "@seed.txt"], None, True),
        ([], "17", True),
        ([f"--data_seed={SEED.setting}"], None, False),
        ([], None, False),
    ],
)
def test_a_process_that_was_started_with_a_seed_makes_way_for_one_without(
    monkeypatch, given, variable, starts
):
    calls = []
    monkeypatch.setattr(os, "execv", lambda *call: calls.append(call))
    monkeypatch.setattr(sys, "orig_argv", ["python", "run.py", *given, "--study=1"])
    if variable:
        monkeypatch.setenv(data_seed.VARIABLE, variable)
    sealed.start_again(RunSettings(data_seed=SEED.setting))
    assert data_seed.VARIABLE not in os.environ
    own = [sys.executable, "run.py", "--study=1", f"--data_seed={SEED.setting}"]
    assert calls == ([(sys.executable, own)] if starts else [])


def test_a_run_on_other_data_is_another_run_also_beside_records_from_before_there_were_any():
    for stored in (
        {"study": 0},
        {"study": 0, "data_seed": None},
        {"data_seed": data_seed.parse("18").setting},
    ):
        (found,) = differences(stored, {"data_seed": SEED.setting})
        assert found.key == "data_seed"
        assert not found.is_acceptable
    assert differences({"study": 0}, {"data_seed": None}) == []
    assert differences({}, {"data_seed": SEED.setting}) == [], "nothing is known"


def test_a_trial_on_data_of_a_seed_records_the_hash_alone_and_is_not_continued_on_others(
    tmp_path, monkeypatch, capsys
):
    small = dataclasses.replace(few("ogbg_mini"), num_train_examples=64)
    monkeypatch.setattr(registry, "get", lambda name: small)
    secret = "neither word nor number of records"
    asked = {
        **{"workload": "ogbg_mini", "framework": "pytorch", "submission": str(SGD_FILES["pytorch"])},
        **{
            "max_global_steps": 1,
            "eval_every_steps": 1,
            "data_dir": str(tmp_path / "data"),
        },
    }
    asked |= {"tuning_ruleset": "external", "tuning_search_space": str(_space(tmp_path))}
    assert command(tmp_path, **asked, data_seed=secret) == 0, capsys.readouterr().err
    seed = data_seed.parse(secret)
    folder = tmp_path / "experiments" / "sgd_torch" / "study_0" / "ogbg_mini_pytorch" / "trial_1"
    assert records.read_json(folder / "flags_0.json")["data_seed"] == seed.setting
    stored = records.read_json(folder / "meta_data_0.json")
    assert stored["identity"]["data_seed"] == seed.setting
    assert stored["data_manifest"]
    assert RunSettings().reproduced_from(records.read_json(folder / "flags_0.json")).data_seed == seed.setting
    for path in [*folder.glob("*.json"), *(tmp_path / "data").rglob("*.json")]:
        assert secret not in path.read_text()
        assert str(seed.entropy) not in path.read_text()
    for other in (None, "18"):
        assert command(tmp_path, **{**asked, "max_global_steps": 2}, data_seed=other) == 2
        assert "holds a run with another data_seed ('sealed:" in capsys.readouterr().err
    assert command(tmp_path, **{**asked, "max_global_steps": 2}, data_seed=seed.setting) == 0


def _space(tmp_path):
    path = tmp_path / "space.json"
    path.write_text('[{"learning_rate": 0.01, "momentum": 0.9, "dropout_rate": 0.0}]')
    return path
