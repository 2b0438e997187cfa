"""The settings of a run: flags, command lines, reproduction and identity follow from one field each."""

import dataclasses
import subprocess
import sys
import typing

import pytest
from harness import ROOT, trial_config

import algoperf.run.identity as identities
from algoperf import settings, settings_flags
from algoperf.settings import RunSettings, given
from algoperf.spec import UsageError

OTHER = {
    str: {"tuning_ruleset": "self", "device": "cpu", "confine": "off", "log_to": "wandb"},
    int: 3,
    bool: {"resume_last_run": False, "save_checkpoints": False},
}


def another(field, hint):
    """A value that is not the default."""
    kind = settings_flags._plain_type(hint)
    chosen = OTHER[kind]
    default = {str: "other", bool: True}.get(kind)
    return chosen.get(field.name, default) if isinstance(chosen, dict) else chosen


def all_changed():
    hints = typing.get_type_hints(RunSettings)
    values = {field.name: another(field, hints[field.name]) for field in dataclasses.fields(RunSettings)}
    assert all(values[field.name] != field.default for field in dataclasses.fields(RunSettings))
    return RunSettings(**values)


def test_every_setting_survives_the_command_line_of_a_process_of_its_own():
    wanted = all_changed()
    code = (
        "import sys, dataclasses; from absl import flags; from algoperf import settings_flags; settings_flags.define();"
        "flags.FLAGS(sys.argv); print(dataclasses.asdict(settings_flags.read()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *wanted.as_arguments()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    kept = {name: None for name, mark in settings.marks().items() if not mark.is_passed_on}
    assert done.stdout.strip() == str(dataclasses.asdict(dataclasses.replace(wanted, **kept)))


def test_every_setting_is_explained_and_no_two_share_a_name():
    names = [name for name, mark in settings.marks().items() for name in (name, *mark.aliases)]
    assert len(set(names)) == len(names)
    for name, mark in settings.marks().items():
        assert mark.help.endswith((".", ";", "1.")), name


def test_names_of_algoperf_and_shorter_ones_mean_the_same():
    assert given({"max_steps": 5, "ruleset": "self"}) == RunSettings(
        max_global_steps=5, tuning_ruleset="self"
    )


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"rng_seed": -1}, "--rng_seed must not be negative, got -1"),
        ({"trial": 0}, "--trial must be at least 1, got 0"),
        ({"device": "tpu9"}, "No device is called 'tpu9'.*auto, cpu, gpu"),
        ({"tuning_ruleset": "extern"}, "No tuning ruleset is called 'extern'; the nearest is 'external'"),
    ],
)
def test_a_value_that_cannot_be_right_is_refused_where_settings_are_made(values, words):
    with pytest.raises(UsageError, match=words):
        RunSettings(**values)


def test_a_stored_trial_brings_its_settings_and_not_those_of_its_machine():
    stored = {**dataclasses.asdict(all_changed()), "submission_file": "/somewhere", "a_flag_of_before": 1}
    found = RunSettings(reproduce="folder", data_dir="here").reproduced_from(stored)
    assert (found.rng_seed, found.eval_every_steps, found.torch_compile) == (3, 3, True)
    assert (found.reproduce, found.data_dir, found.device, found.overwrite) == (
        "folder",
        "here",
        "auto",
        False,
    )


def test_what_marks_a_trial_is_compared_and_what_does_not_is_not(tmp_path):
    config = trial_config(tmp_path, "jax")
    mine = config.identity()
    assert identities.difference(mine, mine) is None
    assert set(settings.IDENTITY) <= mine.keys()
    hints = typing.get_type_hints(RunSettings)
    for field in dataclasses.fields(RunSettings):
        value = another(field, hints[field.name])
        changed = dataclasses.replace(
            config, settings=dataclasses.replace(config.settings, **{field.name: value})
        )
        found = identities.difference(mine, changed.identity())
        if field.name in settings.IDENTITY and field.name != "workload":  # The name of the spec counts.
            assert (found.key, found.wanted) == (field.name, value)
        else:
            assert found is None, field.name


def test_what_an_older_version_did_not_store_is_no_difference(tmp_path):
    wanted = trial_config(tmp_path, "jax").identity()
    assert identities.difference({"rng_seed": 0}, wanted) is None
    with pytest.raises(UsageError, match=r"another rng_seed \(7, now 0\)"):
        identities.check_same({"rng_seed": 7}, wanted, tmp_path)
