import dataclasses
import json
import subprocess
import sys

import pytest

from algoperf import suites
from algoperf.spec import UsageError
from algoperf.suites import Ruleset


@pytest.mark.parametrize("name", suites.names())
def test_every_suite_loads_and_knows_the_targets_of_all_its_workloads(name):
    suite = suites.load(name)
    assert suite.name == name
    assert set(suite.rulesets) == {"external", "self"}
    for workload in suite.scored_names():
        assert suite.budget_sec(workload, "external") > 0
        assert suite.targets(workload).metric_name


@pytest.mark.parametrize(
    ("name", "studies", "trials", "self_studies", "factor", "num_workloads", "num_held_out"),
    [
        ("algoperf_v05", 5, 5, 5, 3.0, 8, 6),
        ("algoperf_v06", 3, 5, 3, 1.5, 8, 0),
        ("algoperf_a100", 3, 5, 3, 1.5, 9, 0),
        ("qualification", 1, 5, 3, 1.5, 3, 0),
    ],
)
def test_the_rulesets_have_the_published_numbers(
    name, studies, trials, self_studies, factor, num_workloads, num_held_out
):
    suite = suites.load(name)
    external, own = suite.ruleset("external"), suite.ruleset("self")
    assert (external.num_studies, external.num_trials, external.budget_factor) == (studies, trials, 1.0)
    assert (own.num_studies, own.num_trials, own.budget_factor) == (self_studies, 1, factor)
    assert (len(suite.workloads), len(suite.held_out), suite.r_max) == (num_workloads, num_held_out, 4)


def test_the_budgets_of_both_versions_are_the_published_ones_and_targets_are_equal():
    old, new = suites.load("algoperf_v05"), suites.load("algoperf_v06")
    budgets = [(old.targets(w).runtime_budget_sec, new.targets(w).runtime_budget_sec) for w in old.workloads]
    assert budgets == [
        (7703, 7703),
        (8859, 4430),
        (63008, 66159),
        (77520, 69768),
        (61068, 58015),
        (55506, 44405),
        (18477, 12011),
        (48151, 43336),
    ]
    assert {name: one.validation_target for name, one in old.known_targets.items()} == {
        name: one.validation_target for name, one in new.known_targets.items()
    }


def test_the_suite_of_2026_has_the_numbers_of_its_machine_and_the_targets_and_step_hints_of_2025():
    suite, before = suites.load("algoperf_a100"), suites.load("algoperf_v06")
    numbers = {
        "criteo1tb": (8915, 356),
        "fastmri": (2745, 110),
        "finewebedu_lm": (31967, 2571),
        "imagenet_resnet": (49918, 1996),
        "imagenet_vit": (64292, 2571),
        "librispeech_conformer": (43680, 1747),
        "librispeech_deepspeech": (36949, 1447),
        "ogbg": (11303, 452),
        "wmt": (16114, 644),
    }
    assert suite.workloads == tuple(numbers)
    for name, (budget_sec, period_sec) in numbers.items():
        targets = suite.targets(name)
        assert (targets.runtime_budget_sec, targets.eval_period_sec) == (budget_sec, period_sec)
        assert suite.budget_sec(name, "self") == 1.5 * budget_sec
        if name in before.workloads:
            same = dataclasses.replace(
                targets,
                **{
                    key: getattr(before.targets(name), key)
                    for key in ("runtime_budget_sec", "eval_period_sec")
                },
            )
            assert same == before.targets(name)
    assert suites.default_name(["wmt"]) == suite.name


def test_the_language_model_is_judged_by_perplexity_alone_in_workload_suite_and_scoring():
    from algoperf import direction

    suite, own = suites.load("algoperf_a100"), suites.targets_from_registry("finewebedu_lm")
    assert suite.targets("finewebedu_lm") == own
    assert (own.metric_name, own.higher_is_better, own.test_target) == ("ppl", False, None)
    assert own.is_met_by(22.2995)
    assert not own.is_met_by(22.3)
    assert direction.range_of("ppl")[0] == 1.0


@pytest.mark.parametrize("name", ["algoperf_a100", "algoperf_v05", "algoperf_v06", "qualification"])
def test_suites_that_ship_agree_with_their_workloads_on_metric_and_direction(name):
    suites._check_agreement(suites.load(name))


def test_a_variant_has_the_budget_and_metric_of_its_base():
    suite = suites.load("algoperf_v05")
    base, variant = suite.targets("wmt"), suite.targets("wmt_glu_tanh")
    changes = {"validation_target": 29.5779, "test_target": 29.0515}
    assert dataclasses.replace(base, **changes) == variant


def test_the_mini_suite_takes_its_numbers_from_the_registry():
    from algoperf import registry

    suite = suites.load("mini")
    for workload in suite.workloads:
        assert suite.targets(workload).validation_target == registry.get(workload).validation_target_value


@pytest.mark.parametrize("name", ["algoperf_v5", "", "../suites/mini"])
def test_an_unknown_suite_names_the_choices(name):
    with pytest.raises(UsageError, match="Choose from algoperf_a100, algoperf_v05,"):
        suites.load(name)


def targets_file(tmp_path, *workloads, **more):
    entries = {name: dataclasses.asdict(suites.targets_from_registry(name)) for name in workloads}
    path = tmp_path / "targets.json"
    path.write_text(json.dumps({"targets": entries, **more}))
    return path


def test_a_file_of_targets_is_a_suite_under_the_rules_for_the_size_of_its_workloads(tmp_path):
    small = suites.load(str(targets_file(tmp_path, "wmt_mini", "digits")))
    assert small.scored_names() == ("wmt_mini", "digits")
    assert (small.rulesets, small.r_max) == (suites.load("mini").rulesets, suites.load("mini").r_max)
    assert small.frugal
    full = suites.load(str(targets_file(tmp_path, "wmt_mini", "wmt")))
    assert not full.frugal
    assert full.rulesets == suites.load(suites.FULL_SIZE).rulesets, "the file is read anew"
    own = {"rulesets": {"external": {"num_studies": 7, "num_trials": 9}}}
    assert suites.load(str(targets_file(tmp_path, "digits", **own))).ruleset("external").num_trials == 9


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "No suite file .*give the path of one, or a name: algoperf_a100"),
        ("{", "not well formed"),
        ("[]", "not well formed"),
        ("{}", "lacks 'targets'"),
        ('{"targets": {"digits": {"metric_name": "error_rate"}}}', "not well formed"),
        ('{"targets": {"digitz": {}}}', "the nearest is 'digits'"),
    ],
)
def test_a_suite_file_at_fault_is_named(tmp_path, text, words):
    path = tmp_path / "own.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match=words) as caught:
        suites.load(str(path))
    assert str(path) in str(caught.value)


def test_unknown_rulesets_and_workloads_name_the_nearest():
    suite = suites.load("algoperf_v05")
    with pytest.raises(UsageError, match="nearest is 'external'"):
        suite.ruleset("externl")
    with pytest.raises(UsageError, match="nearest is 'ogbg'"):
        suite.targets("ogbgg")


@pytest.mark.parametrize(
    "changes",
    [
        {"workloads": ()},
        {"workloads": ("up", "up")},
        {"held_out": {"x": "sideways"}},
        {"held_out": {"down": "up"}},
        {"held_out_pools": {"all": {"x": "sideways"}}},
        {"held_out_pools": {"all": {"down": "up"}}},
        {"held_out_pools": {"all": {}}},
        {"held_out_pools": {"one": {"x": "up"}, "two": {"x": "up"}}},
        {"r_max": 1},
    ],
)
def test_a_suite_checks_itself(suite, changes):
    with pytest.raises(UsageError, match="Suite 'test'"):
        dataclasses.replace(suite, **changes)


@pytest.mark.parametrize("numbers", [(0, 5, 1.0), (3, -1, 1.0), (3, 5, 0.0), (2.5, 1, 1.0)])
def test_a_ruleset_checks_itself(numbers):
    studies, trials, factor = numbers
    with pytest.raises(UsageError, match="must be"):
        Ruleset(num_studies=studies, num_trials=trials, budget_factor=factor)


@pytest.mark.parametrize(
    "changes",
    [{"runtime_budget_sec": 0}, {"validation_target": float("nan")}, {"metric_name": ""}, {"step_hint": -1}],
)
def test_targets_check_themselves(suite, changes):
    with pytest.raises(UsageError, match="must"):
        dataclasses.replace(suite.targets("up"), **changes)


def test_a_customized_suite_keeps_the_variants_of_its_workloads_only(suite):
    cut = suites.customize(suite, workloads=["down"], num_studies=1)
    assert cut.scored_names() == ("down",)
    assert (cut.ruleset("external").num_studies, cut.ruleset("external").num_trials) == (1, 2)
    assert suites.customize(suite) == suite
    pools = {"ups": {"up_variant": "up"}, "downs": {"down_variant": "down"}}
    pooled = dataclasses.replace(suite, held_out_pools=pools)
    assert suites.customize(pooled, workloads=["down"]).held_out_pools == {"downs": {"down_variant": "down"}}
    as_fixed = suites.customize(suite, workloads=["up", "up_variant"])
    assert as_fixed.held_out == {}, "what is fixed guards nothing"
    with pytest.raises(UsageError, match="is called 'nowhere'"):
        suites.customize(suite, workloads=["nowhere"])


def test_loading_a_suite_and_scoring_import_no_framework():
    code = (
        "import sys, scoring.score_field; from algoperf import suites; suites.load('algoperf_v06'); "
        "print({'jax', 'torch', 'tensorflow', 'pandas', 'plotly', 'scipy'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


# ---- files that contradict themselves --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "more", "words"),
    [
        (
            {"higher_is_better": "false"},
            {},
            r"'targets.digits.higher_is_better' must be true or false, got 'false'",
        ),
        ({"validation_target": True}, {}, r"'targets.digits.validation_target' must be a number, got true"),
        ({"validation_target": "0.1"}, {}, r"'targets.digits.validation_target' must be a number, got '0.1'"),
        ({"step_hint": 10.5}, {}, r"'targets.digits.step_hint' must be a whole number, got 10.5"),
        ({"runtime_budget_sec": "30"}, {}, r"'targets.digits.runtime_budget_sec' must be a number, got '30'"),
        ({"runtime_budget_sec": None}, {}, r"'targets.digits.runtime_budget_sec' must be a number, got null"),
        (
            {"runtime_budget_sec": 1e308},
            {},
            r"'targets.digits' .*runtime_budget_sec must be positive, and 1000000000",
        ),
        (
            {"colour": "red"},
            {},
            r"'targets.digits' has a key 'colour' that means nothing; known are metric_name",
        ),
        ({"stephint": 10}, {}, r"has a key 'stephint' that means nothing; the nearest is 'step_hint'"),
        ({"metric_name": "bleu"}, {}, r"'targets.digits.metric_name' is 'bleu', and that of the workload is"),
        (
            {"higher_is_better": "flip"},
            {},
            r"'targets.digits.higher_is_better' is .*, and that of the workload is",
        ),
        (
            {"validation_target": 3.5},
            {},
            r"targets.digits: validation_target is a .*must be in \[0.0, 1.0\]; got 3.5",
        ),
        ({}, {"heldout": {}}, r"it has a key 'heldout' that means nothing; the nearest is 'held_out'"),
        ({}, {"held_out": ["digits"]}, r"'held_out' must be an object in braces, got \['digits'\]"),
        ({}, {"workloads": "digits"}, r"'workloads' must be a list, got 'digits'"),
        ({}, {"rulesets": {}}, r"has no rulesets: give external, self or both"),
        (
            {},
            {"rulesets": {"self": {"num_studies": True, "num_trials": 1}}},
            r"'rulesets.self.num_studies' must be a",
        ),
        (
            {},
            {"rulesets": {"self": {"num_studies": 10**9, "num_trials": 1}}},
            r"up to 1000, got 1000000000",
        ),
        ({}, {"r_max": "4"}, r"'r_max' must be a number, got '4'"),
        (
            {},
            {"variants": {"digits_x": {"base": "up"}}},
            r"'variants.digits_x.base' must be one of digits, got 'up'",
        ),
        ({}, {"targets": ["digits"]}, r"'targets' must be an object in braces, got \['digits'\]"),
    ],
    ids=lambda value: None if isinstance(value, str) else str(value)[:40],
)
def test_an_entry_of_a_suite_file_that_is_of_another_form_is_named_and_never_taken_for_true(
    tmp_path, changes, more, words
):
    path = targets_file(tmp_path, "digits")
    content = json.loads(path.read_text())
    entry = content["targets"]["digits"]
    for key, value in changes.items():
        entry[key] = not entry[key] if value == "flip" else value
    path.write_text(json.dumps({**content, **more}))
    with pytest.raises(UsageError, match=words) as caught:
        suites.load(str(path))
    assert str(path) in str(caught.value)


def test_a_key_that_stands_twice_in_a_suite_file_is_refused(tmp_path):
    path = targets_file(tmp_path, "digits")
    path.write_text(
        path.read_text().replace('"validation_target"', '"validation_target": 0.9, "validation_target"')
    )
    with pytest.raises(UsageError, match="the key 'validation_target' stands twice"):
        suites.load(str(path))


@pytest.mark.parametrize("number", [0, -1, 10**9])
def test_numbers_of_studies_that_cannot_be_meant_name_their_flag(number):
    with pytest.raises(
        UsageError, match=rf"--num_studies must be a positive integer up to 1000, got {number}\."
    ):
        suites.customize(suites.load("mini"), num_studies=number)
