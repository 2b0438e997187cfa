"""Where data are, and how one process makes those of a mini workload while others wait."""

import threading
import time
import types
from pathlib import Path

import pytest

from algoperf import registry
from algoperf.data import locate

MINI = registry.get("wmt_mini")


def test_the_flag_comes_before_the_environment_and_that_before_the_home_folder(monkeypatch):
    monkeypatch.setenv("ALGOPERF_DATA_DIR", "/environment")
    assert locate.root("/flag") == Path("/flag")
    assert locate.root(None) == Path("/environment")
    monkeypatch.setenv("ALGOPERF_DATA_DIR", "")
    assert locate.root(None) == Path.home() / "data" / "algoperf"


def test_the_folder_of_a_workload_or_the_root_of_all_may_be_given():
    folder = Path("/data/wmt_mini")
    assert locate.folder_of(MINI, "/data") == locate.folder_of(MINI, "/data/wmt_mini") == folder
    assert locate.folder_of(registry.get("wmt_post_ln_mini"), "/data") == folder, "variants share data"
    assert locate.folder_of(registry.get("wmt"), "/data") == Path("/data/wmt")


@pytest.mark.parametrize(("answers", "steps"), [([True], []), ([False, False], ["synthesize", "prepare"])])
def test_data_that_are_missing_are_made_on_first_use(tmp_path, monkeypatch, answers, steps):
    assert made(tmp_path, monkeypatch, answers) == steps


def test_data_that_another_process_has_made_meanwhile_are_not_made_again(tmp_path, monkeypatch):
    assert made(tmp_path, monkeypatch, [False, True]) == []


def made(tmp_path, monkeypatch, answers):
    """The steps that are taken for data that are ready or not when they are looked at."""
    steps, answers = [], iter(answers)
    module = types.SimpleNamespace(
        NEEDS_FILES=True,
        is_ready=lambda spec, folder: next(answers),
        synthesize=lambda spec, folder, progress: steps.append("synthesize"),
        prepare=lambda spec, folder, progress: steps.append("prepare"),
    )
    monkeypatch.setattr(registry, "data_module", lambda spec: module)
    assert locate.ready_folder(MINI, tmp_path) == tmp_path / "wmt_mini"
    return steps


def test_one_at_a_time_prepares_a_folder(tmp_path):
    entered = threading.Event()

    def enter():
        with locate.one_at_a_time(tmp_path):
            entered.set()

    with locate.one_at_a_time(tmp_path):
        other = threading.Thread(target=enter, daemon=True)
        other.start()
        time.sleep(0.1)
        assert not entered.is_set()
    assert entered.wait(timeout=10)
    other.join()


def test_the_command_that_gets_data_is_one_that_is_there(tmp_path, monkeypatch):
    spec = registry.get("wmt")
    assert locate.setup_command(spec, tmp_path / "wmt") == (
        f"python datasets/dataset_setup.py --dataset=wmt --data_dir={tmp_path}"
    )
    monkeypatch.setattr(locate, "SETUP_SCRIPT", "not/installed.py")
    assert (
        locate.setup_command(spec, tmp_path / "wmt") == f"algoperf data --dataset=wmt --data_dir={tmp_path}"
    )
