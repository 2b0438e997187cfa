"""Study files: what they may hold, what is said of others, how flags override them; campaign.json is one."""

import json
import subprocess
import sys
import textwrap

import jsonschema
import pytest
import test_campaign as local
from absl import flags
from harness import ROOT

from algoperf import settings
from algoperf.spec import UsageError
from campaign import benchmark, study, study_flags, study_schema
from campaign import flags as campaign_flags
from campaign.options import Options
from campaign.store import FOLDER, Store

EXAMPLE = ROOT / "docs" / "examples" / "study.yaml"
LEAST = "version: 1\nsubmissions: [mine]\n"


def read(tmp_path, text):
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return study.read(path)


def test_the_schema_that_is_shipped_is_that_of_the_settings_and_flags():
    assert study_schema.FILE.read_text() == study_schema.text(), "run python -m campaign.study_schema"
    jsonschema.Draft202012Validator.check_schema(json.loads(study_schema.text()))


def test_the_example_says_with_every_name_what_a_flag_says():
    found = study.read(EXAMPLE).flags()
    assert found["num_studies"] == 2
    assert found["engine"] == "local"
    assert found["workers"] == 2
    assert found["rng_seed"] == 1
    assert found["tuning_ruleset"] == "external"
    fields = {name for names in study_schema.GROUPS.values() for name in names}
    assert found.keys() <= {
        *settings.OF_CAMPAIGNS,
        *campaign_flags.NAMES,
        *fields,
        "submissions",
        "workloads",
    } | {*("num_studies", "num_trials", "frugal", "experiment_dir")}
    shown = textwrap.indent(EXAMPLE.read_text().split("\n", 2)[2], "    ")
    assert shown in (ROOT / "docs" / "campaigns.md").read_text(), "the documentation shows it"


def test_numbers_and_words_are_read_as_in_json_not_as_in_yaml_1_1(tmp_path):
    found = read(
        tmp_path,
        LEAST + "run: {confine: off}\nengine: {name: slurm, slurm_time: 4:00:00, slurm_extra: [exclusive]}\n",
    ).flags()
    assert (found["confine"], found["slurm_time"], found["slurm_extra"]) == ("off", "4:00:00", ["exclusive"])
    entry = {"optimizer": "torch.optim.AdamW", "set": {"lr": 1e-3, "nesterov": True, "betas": [0.9, 0.99]}}
    text = (
        "version: 1\nsubmissions:\n"
        "  - optimizer: torch.optim.AdamW\n    set: {lr: 1e-3, nesterov: true, betas: [0.9, .99]}\n"
    )
    assert read(tmp_path, text).flags()["submissions"] == [entry]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r":1: the file must be a group of names and values, got null"),
        ("version: 1\n", r":1: the file lacks 'submissions'"),
        (
            LEAST + "limits:\n  num_studys: 3\n",
            r":4: 'limits.num_studys' means nothing; the nearest is 'num_studies'",
        ),
        (LEAST + "suit: mini\n", r":3: 'suit' means nothing; the nearest is 'suite'"),
        (
            LEAST + "limits: {num_studies: many}\n",
            r"'limits.num_studies' must be a whole number, got \"many\"",
        ),
        (LEAST + "limits: {num_trials: 0}\n", r"'limits.num_trials' must be at least 1, got 0"),
        (LEAST + "limits: {frugal: 1}\n", r"'limits.frugal' must be true or false, got 1"),
        (
            LEAST + "ruleset: extern\n",
            r":3: 'ruleset' must be one of external, self, got \"extern\"; the nearest",
        ),
        (LEAST + "engine: slrum\n", r":3: 'engine' must be one of .*, got \"slrum\"; the nearest is 'slurm'"),
        (
            LEAST + "engine: {name: ray, ray_adress: 'a:1'}\n",
            r"'engine.ray_adress' means nothing; the nearest is 'ray_address'",
        ),
        ("version: 1\nsubmissions: mine\n", r":2: 'submissions' must be a list, got \"mine\""),
        ("version: 1\nsubmissions: []\n", r":2: 'submissions' is empty"),
        ("version: 1\nsubmissions:\n - a\n - 3\n", r":4: 'submissions\[1\]' must be a name or a group"),
        (
            "version: 1\nsubmissions:\n - optimiser: optax.adam\n",
            r":3: 'submissions\[0\]' lacks 'optimizer' \(and 1 more\)",
        ),
        (LEAST + "suite: mini\nsuite: mini_quick\n", r":4: 'suite' is given twice, first in line 3"),
        ("version: 1\n  submissions: [a]\n", r":2: mapping values are not allowed here"),
        (
            "version: 2\nnew: true\n",
            r":1: it is of version 2 of study files, and this program knows 1: use a newer",
        ),
    ],
)
def test_what_is_wrong_with_a_study_file_is_said_with_its_line(tmp_path, text, words):
    with pytest.raises(UsageError, match=words) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'study.yaml'}:")


# ---- the command line ----------------------------------------------------------------------------------------------


def given(*arguments):
    """Some flags of the command, as its parser leaves them."""
    found = flags.FlagValues()
    for name in ("experiment_dir", "framework", "tuning_ruleset", "tuning_search_space", "suite"):
        flags.DEFINE_string(name, None, "", flag_values=found)
    flags.DEFINE_alias("ruleset", "tuning_ruleset", flag_values=found)
    flags.DEFINE_integer("num_studies", None, "", flag_values=found)
    flags.DEFINE_list("submissions", [], "", flag_values=found)
    found(["command", *arguments])
    return found


def test_flags_of_the_command_line_override_the_file_and_are_named(tmp_path, capsys):
    read(tmp_path, LEAST + "ruleset: self\nlimits: {num_studies: 3}\nsuite: mini\nexperiment_dir: out\n")
    found = given("--num_studies=1", "--ruleset=external")
    study_flags.settle([str(tmp_path / "study.yaml")], found)
    assert (found.num_studies, found.tuning_ruleset, found.suite) == (1, "external", "mini")
    assert (found.submissions, found.experiment_dir) == (["mine"], "out")
    said = capsys.readouterr().err
    assert "--tuning_ruleset=external (self there), --num_studies=1 (3 there)" in said
    (tmp_path / "mine").mkdir()
    again = given("--experiment_dir=elsewhere")
    study_flags.settle([str(tmp_path / "study.yaml")], again)
    assert again.submissions == [str(tmp_path / "mine")], "one beside the file comes first"


def test_an_optimizer_in_a_file_beside_the_study_is_found_from_anywhere(tmp_path):
    (tmp_path / "mine.py").write_text("")
    read(
        tmp_path,
        "version: 1\nsubmissions: [./mine.py:Mine, torch.optim.SGD, ./other.py:Mine]\nexperiment_dir: out\n",
    )
    found = given()
    study_flags.settle([str(tmp_path / "study.yaml")], found)
    assert found.submissions == [f"{tmp_path / 'mine.py'}:Mine", "torch.optim.SGD", "./other.py:Mine"]


def test_a_search_space_of_all_beside_the_point_of_one_optimizer_is_refused(tmp_path):
    entry = (
        "version: 1\nsubmissions:\n  - {optimizer: torch.optim.AdamW, set: {lr: 1e-3}}\nexperiment_dir: out\n"
    )
    read(tmp_path, entry)
    with pytest.raises(
        UsageError, match=r"'set' makes one point of torch\.optim\.AdamW, and tuning_search_space, s\.json"
    ):
        study_flags.settle(
            [str(tmp_path / "study.yaml")], given("--tuning_search_space=s.json", "--ruleset=external")
        )


def test_a_folder_for_results_must_be_named_somewhere(tmp_path):
    with pytest.raises(UsageError, match="--experiment_dir is missing: give --experiment_dir=<value>"):
        study_flags.settle([], given())
    with pytest.raises(UsageError, match=r"Cannot read the study file .*none\.yaml"):
        study_flags.settle([str(tmp_path / "none.yaml")], given())


def test_the_command_plans_a_study_file(tmp_path):
    command = [sys.executable, "run_benchmark.py", str(EXAMPLE), "--plan", "--num_trials=1"]
    command += ["--workloads=digits", f"--experiment_dir={tmp_path}"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "--num_trials=1 (3 there)" in found.stderr
    assert "4 trials: 4 waiting" in found.stdout
    assert "nesterov/study_1/digits_jax/trial_1" in found.stdout
    assert "with 2 worker(s)" in found.stdout


# ---- campaign.json ---------------------------------------------------------------------------------------------------


def test_campaign_json_is_a_study_file_that_gives_the_same_campaign(tmp_path):
    found = local.campaign(tmp_path, max_steps=7, rng_seed=3, device="cpu", compare_to="mini")
    options = Options(engine="slurm", slurm_partition="gpu", slurm_extra=("qos=long",), cpus_per_trial=4)
    benchmark.save(found, Store(tmp_path), benchmark.Config(**vars(options), frugal=False, report=True))
    path = tmp_path / FOLDER / benchmark.SAVED
    assert benchmark.saved_campaign(tmp_path) == found
    content = study.read(path).content
    assert content["version"] == study_schema.VERSION
    assert content["limits"] == {"max_steps": 7, "num_studies": 1, "num_trials": 2, "frugal": False}
    assert content["engine"] == {
        "name": "slurm",
        "cpus_per_trial": 4,
        "slurm_partition": "gpu",
        "slurm_extra": ["qos=long"],
    }
    path.write_text(json.dumps({**content, "version": 99}))
    with pytest.raises(UsageError, match="version 99 of study files, and this program knows 1"):
        benchmark.saved_campaign(tmp_path)
