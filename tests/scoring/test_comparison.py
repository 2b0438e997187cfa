"""What a field has in common, and the findings about it, on records made by hand."""

import json
import re

import pytest

from algoperf import data_seed, suites
from algoperf.spec import UsageError
from scoring import archive, mixtures, output, published, reading, score_field
from scoring import comparison_report as report
from scoring.results import Kind
from scoring.score_field import Config

META_DATA = {
    **{"suite": "test", "ruleset": "external", "budget_sec": 100.0, "rng_seed": 0},
    **{"device": "cpu (2 cores)", "cpu_model_name": "Some(R) CPU", "cpu_count": 2, "python_version": "3.11"},
    **{
        "package_versions": {"jax": "0.10", "torch": "2.1", "numpy": "2.4"},
        "git_commit_hash": "0123456789abcdef",
    },
    **{"git_dirty": False, "submission_hash": "aaaa1111bbbb", "workload.step_hint": 1000},
    **{"workload.test_target_value": None, "workload.eval_period_time_sec": 10},
    "identity": {"rng_seed": 0, "environment": {"threads": 2}},
}
TARGETS = {"up": 0.8, "up_variant": 0.7, "down": 0.2}
BUSY = "Other processes use 75 % of this machine's processors: times are not comparable."


@pytest.fixture
def write_entry(write_trial):
    """A whole entry with records; `changes(study, trial)` gives keys of its meta data that differ."""

    def write(
        name, changes=lambda study, trial: {}, *, framework="jax", studies=range(3), trials=(1, 2), base=None
    ):
        folders = []
        for study in studies:
            for trial in trials:
                for workload, target in TARGETS.items():
                    folder = write_trial(
                        name,
                        f"{workload}_{framework}",
                        study=study,
                        trial=trial,
                        rows=[(10.0 + study + trial, target)],
                        metric="loss" if workload == "down" else "accuracy",
                    )
                    content = {
                        **(META_DATA if base is None else base),
                        "seeds": {"data": 100 * study + trial},
                        "workload.validation_target_value": target,
                        **changes(study, trial),
                    }
                    (folder / "meta_data_0.json").write_text(json.dumps(content))
                    folders.append(folder)
        return folders

    return write


@pytest.fixture
def score(tmp_path, suite, monkeypatch):
    monkeypatch.setattr(suites, "load", lambda name: suite)

    def score(**options):
        options = {"bootstrap_samples": 0, "suite": "test", **options}
        return score_field.run(Config(submissions_dir=tmp_path / "submissions", **options))

    return score


def block_of(scored):
    """Fact -> its line of the report, folded lines joined."""
    text = scored.text()
    lines = text[text.index("What the field has in common") :].partition("\n\n")[0].splitlines()[1:]
    joined = re.sub(r"\n {4,}", " ", "\n".join(lines)).splitlines()
    return {re.split(r"  +", line.strip())[0]: " ".join(line.split()) for line in joined}


def test_a_field_that_agrees_is_equal_in_every_fact_and_passes_strict(score, write_entry):
    write_entry("adam")
    write_entry("lion", lambda study, trial: {"submission_hash": "cccc"})
    scored = score(strict=True)
    block = block_of(scored)
    assert scored.findings == ()
    assert {
        line.split()[1 + name.count(" ")]
        for name, line in block.items()
        if not name.startswith("not recorded")
    } == {"equal"}
    assert block["device"] == "device equal cpu (2 cores)"
    assert block["host"] == "host equal 2 x Some CPU"
    assert block["versions"] == "versions equal jax 0.10, numpy 2.4, python 3.11"
    assert block["targets"] == "targets equal on each of 3 workloads"
    assert block["evaluations"] == "evaluations equal every 10 s"
    assert block["source"] == "source equal within each submission"
    assert block["commit"] == "commit equal 0123456789"
    assert "not recorded: harness code, workload code, load" in block


def test_two_entries_of_another_device_suite_version_and_source_are_named_and_refused(
    score, write_entry, tmp_path
):
    write_entry("adam")
    other = {
        **{"device": "1 x NVIDIA H200", "suite": "mini", "git_dirty": True},
        "package_versions": {"jax": "0.9", "torch": "2.0", "numpy": "2.4"},
    }
    write_entry("lion", lambda study, trial: {**other, "submission_hash": f"{'d' if study == 2 else 'c'}ccc"})
    scored = score(output_dir=tmp_path / "out")
    block = block_of(scored)
    assert block["device"] == "device differs 1 x NVIDIA H200 in lion; cpu (2 cores) in adam"
    assert block["suite"] == "suite differs mini in lion; test in adam"
    assert block["versions"] == "versions differs jax: 0.10 in adam; 0.9 in lion", (
        "torch decides nothing in JAX"
    )
    assert "cccc in 12 trials" in block["source"]
    assert "dccc in 6 trials such as down, study_2/trial_1" in block["source"]
    assert block["commit"] == "commit differs 0123456789 in adam; 0123456789 with changes in lion"
    assert {(one.kind, one.submission, one.detail.partition(":")[0]) for one in scored.findings} == {
        *((Kind.MIXED_FIELD, "", name) for name in ("device", "suite", "versions")),
        (Kind.MIXED_ENTRY, "lion", "source"),
    }
    with pytest.raises(UsageError) as refused:
        score(strict=True)
    for words in (
        "device: 1 x NVIDIA H200 in lion",
        "suite: mini in lion",
        "jax: 0.10 in adam",
        "lion source: ",
    ):
        assert words in str(refused.value)
    common = json.loads((tmp_path / "out" / output.SCORES_JSON).read_text())["comparison"]
    assert common["facts"]["device"]["verdict"] == "differs"
    assert common["facts"]["device"]["values"][0] == {
        "of": None,
        "value": "1 x NVIDIA H200",
        "trials": {"lion": 18},
    }
    assert common["ran_beside_other_processes"] == {}


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"device": "1 x NVIDIA H200"}, "device"),
        ({"suite": "mini"}, "suite"),
        ({"ruleset": "self"}, "ruleset"),
        ({"budget_sec": 200.0}, "budget"),
        ({"workload.step_hint": 5}, "step hint"),
        ({"workload.test_target_value": 0.5}, "targets"),
        ({"workload.eval_period_time_sec": 5}, "evaluations"),
        ({"cpu_count": 64}, "host"),
        ({"rng_seed": 1}, "seed"),
        ({"submission_hash": "other"}, "source"),
        ({"python_version": "3.12"}, "versions"),
    ],
    ids=str,
)
def test_a_submission_that_mixes_what_has_to_be_equal_is_a_finding_with_the_place(
    score, write_entry, changes, fact
):
    write_entry("adam", lambda study, trial: changes if (study, trial) == (1, 2) else {})
    (finding,) = score().findings
    assert (finding.submission, finding.kind) == ("adam", Kind.MIXED_ENTRY)
    assert finding.detail.startswith(fact)
    assert "study_1/trial_2" in finding.detail


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        (
            {"identity": {"rng_seed": 0, "environment": {"threads": 8}}},
            "threads differs 2 in adam; 8 in lion",
        ),
        ({"git_commit_hash": "fedcba9876543"}, "commit differs 0123456789 in adam; fedcba9876 in lion"),
    ],
    ids=str,
)
def test_what_the_rules_allow_to_differ_is_a_line_and_no_finding(score, write_entry, changes, fact):
    write_entry("adam")
    write_entry("lion", lambda study, trial: changes)
    scored = score(strict=True)
    assert fact in block_of(scored).values()


def test_frameworks_of_two_submissions_are_no_difference_in_versions(score, write_entry):
    write_entry("adam")
    only_torch = {"package_versions": {"torch": "2.2", "numpy": "2.4"}}
    write_entry("lion", lambda study, trial: only_torch, framework="pytorch")
    assert (
        block_of(score(strict=True))["versions"]
        == "versions equal jax 0.10, numpy 2.4, python 3.11, torch 2.2"
    )


def test_a_fact_that_some_do_not_record_is_said(score, write_entry, write_trial):
    write_entry("adam")
    write_trial("bare", "up_jax", rows=[(1.0, 0.1)])
    block = block_of(score())
    assert block["device"] == "device equal cpu (2 cores); not recorded by bare"


def test_logs_without_records_have_one_line_and_no_findings(score, write_trial):
    for study in range(3):
        for trial in (1, 2):
            for workload in TARGETS:
                metric = "loss" if workload == "down" else "accuracy"
                write_trial(
                    "adam", f"{workload}_jax", study=study, trial=trial, rows=[(99.0, 0.1)], metric=metric
                )
    scored = score(strict=True)
    assert [name.partition(":")[0] for name in block_of(scored)] == ["not recorded"]


def test_records_of_algoperf_are_read_for_what_they_hold(score, write_entry):
    gpu = {"gpu_model_name": "NVIDIA A100", "gpu_count": 4, "gpu_driver": "550", "python_version": "3.11.10"}
    base = {
        **gpu,
        "cpu_count": 24,
        "cpu_model_name": "Xeon",
        "git_commit_hash": "b21be29be0a1",
        "workload.step_hint": 10,
    }
    budget = {"workload.max_allowed_runtime_sec": 100, "workload.eval_period_time_sec": 7}
    write_entry(
        "a", lambda study, trial: {"seeds": None, "rng_seed": -7 * study - trial}, base={**base, **budget}
    )
    scored = score(strict=True)
    block = block_of(scored)
    assert block["device"] == "device equal 4 x NVIDIA A100"
    assert block["versions"] == "versions equal driver 550, python 3.11.10"
    assert block["budget"] == "budget equal 100 s"
    assert "not recorded: suite, ruleset, harness code, workload code, seed, source, threads, load" in block


def test_odd_types_in_records_are_not_known(score, write_entry):
    odd = {name: {"a": [1]} for name in META_DATA} | {
        "workload.step_hint": float("nan"),
        "device": 7,
        "seeds": [3],
    }
    write_entry("adam", lambda study, trial: odd)
    block = block_of(score())
    assert {name for name in block if ":" not in name} == {"targets", "refereed", "data"}


# ---- copies ----------------------------------------------------------------------------------------------------------


def test_equal_seeds_of_two_studies_are_a_finding(score, write_entry):
    write_entry("adam", lambda study, trial: {"seeds": {"data": trial + 100 * (study > 1)}})
    found = score().findings
    assert {one.kind for one in found} == {Kind.EQUAL_SEEDS}
    assert {(one.place, one.detail) for one in found} == {
        ("study_1/trial_1", "study_0/trial_1"),
        ("study_1/trial_2", "study_0/trial_2"),
    }


def test_equal_seeds_are_told_without_seeds_by_what_they_derive_from(score, write_entry):
    def changes(study, trial):
        return {"seeds": None, "identity": {"rng_seed": 0, "study": min(study, 1), "trial": trial}}

    write_entry("adam", changes)
    assert {(one.kind, one.place.partition("/")[0]) for one in score().findings} == {
        (Kind.EQUAL_SEEDS, "study_2")
    }


def test_a_study_with_another_clock_and_the_same_metrics_is_a_copy(write_trial, tmp_path, suite):
    metrics = [0.1, 0.2, 0.3, 0.4, 0.5]
    stuck = [0.1] * 9  # Diverged: nothing to tell it by.
    for study in (0, 1):
        write_trial(
            "adam", "up_jax", study=study, rows=[(at + 1 + study / 7, one) for at, one in enumerate(metrics)]
        )
        write_trial(
            "sgd", "up_jax", study=study, rows=[(at + 1 + study / 7, one) for at, one in enumerate(stuck)]
        )
    found = reading.read_submissions(tmp_path / "submissions", {"up": suite.targets("up")}).findings
    assert [(one.submission, one.kind, one.place, one.detail) for one in found] == [
        ("adam", Kind.COPY, "study_1/trial_1", "study_0/trial_1")
    ]


# ---- other rules -----------------------------------------------------------------------------------------------------


def test_a_self_tuning_archive_scored_as_external_is_said_in_one_line_and_not_as_missing_trials():
    config = Config(
        submissions_dir=published.DATA_DIR / "mini_self.tar.xz", suite="mini", bootstrap_samples=0
    )
    scored = score_field.run(config)
    words = "these are results of the self tuning ruleset, scored as external: use --ruleset=self"
    told = [one for one in scored.findings if one.kind is Kind.OTHER_RULESET]
    assert {one.detail for one in told} == {words}
    assert [one.submission for one in told] == list(scored.board.submissions)
    assert not [one for one in scored.findings if one.kind in (Kind.MISSING_TRIAL, Kind.MISSING_STUDY)]
    table = scored.text().partition("What the field")[0]
    assert table.count("these are results of the self tuning") == 1, "one row for all submissions"
    assert any(note.startswith(f"Warning: {words} (adamw, lion") for note in scored.notes)
    assert scored.board.bounds is None, "nor as runs that are still to come"


def test_results_of_external_tuning_scored_as_self_are_not_extra_trials(score, write_entry):
    write_entry("adam")
    assert [one.kind for one in score(ruleset="self").findings] == [Kind.OTHER_RULESET]


def test_a_smaller_budget_than_is_scored_is_a_finding_and_a_larger_one_is_not(score, write_entry):
    write_entry("adam", lambda study, trial: {"budget_sec": 60.0})
    (finding,) = score().findings
    assert (finding.kind, finding.detail.partition(",")[0]) == (
        Kind.SHORT_BUDGET,
        "down 60 s instead of 100 s",
    )


def test_a_larger_budget_than_is_scored_is_no_finding(score, write_entry):
    write_entry("adam", lambda study, trial: {"budget_sec": 600.0})
    assert score().findings == ()


def test_an_evaluation_of_another_target_is_a_finding_by_meta_data_alone(score, write_entry):
    write_entry("adam", lambda study, trial: {"workload.validation_target_value": 0.5})
    assert {one.kind for one in score().findings} == {Kind.OTHER_RUN}


# ---- load ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("num_loaded", "is_found"), [(0, False), (1, False), (2, True), (17, True)])
def test_trials_beside_other_processes_are_counted_and_a_finding_above_a_tenth(
    score, write_entry, num_loaded, is_found
):
    for number, folder in enumerate(write_entry("adam")):
        warnings = [BUSY] if number < num_loaded else ["Hyperparameter 'x' was never read by the submission."]
        summary = {"status": "target_reached", "warnings": warnings}
        (folder / "summary.json").write_text(json.dumps(summary))
    scored = score()
    words = f"{num_loaded or 'none'} of 18 trials ran beside other processes"
    assert block_of(scored)["load"] == f"load equal {words}"
    assert [(one.kind, one.detail) for one in scored.findings] == [(Kind.LOADED, words)] * is_found
    assert mixtures.MAX_LOADED == 0.1


# ---- archives --------------------------------------------------------------------------------------------------------


def test_an_archive_keeps_the_facts(write_entry, tmp_path, suite):
    for folder in write_entry("adam"):
        summary = {
            "status": "target_reached",
            "suite": "test",
            "warnings": [BUSY],
            "identity": META_DATA["identity"],
        }
        (folder / "summary.json").write_text(json.dumps(summary))
    root = tmp_path / "submissions"
    archive.pack(root, tmp_path / "packed.tar.xz")
    targets = {name: suite.targets(name) for name in TARGETS}
    with archive.unpacked(tmp_path / "packed.tar.xz") as folder:
        packed = reading.read_submissions(folder, targets).trials
    written = reading.read_submissions(root, targets).trials
    assert packed == written
    assert written[0].facts[0].threads == 2
    assert written[0].facts[0].was_loaded


@pytest.mark.parametrize(
    ("some", "field", "words"),
    [
        (["a"], ["a", "b"], "a"),
        (list("abcde"), list("abcde"), "all 5"),
        (list("abcde"), list("abcdef"), "a, b, c and 2 more"),
    ],
)
def test_many_names_are_abbreviated(some, field, words):
    assert report.names(some, field) == words


SEALED = data_seed.parse("17").setting


def on_data_of(setting):
    return {"identity": {**META_DATA["identity"], "data_seed": setting}}


def test_entries_on_data_of_a_secret_seed_are_named_beside_those_on_public_data_and_refused(
    score, write_entry
):
    write_entry("adam")
    write_entry("lion", lambda study, trial: {"submission_hash": "cccc", **on_data_of(SEALED)})
    block = block_of(score())
    assert block["data"].startswith(
        "data differs on down, likewise up, up_variant: public in adam; sealed 0452ce163558"
    )
    with pytest.raises(UsageError, match=r"data: on down, .*public in adam; sealed 0452ce163558 in lion"):
        score(strict=True)


def test_an_entry_does_not_mix_data_of_two_seeds(score, write_entry):
    write_entry("adam", lambda study, trial: on_data_of(SEALED if study else None))
    (found,) = [one for one in score().findings if one.detail.startswith("data")]
    assert (found.kind, found.submission) == (Kind.MIXED_ENTRY, "adam")


def test_a_revealed_seed_is_compared_with_the_hash_in_every_record(score, write_entry):
    write_entry("adam", lambda study, trial: on_data_of(SEALED))
    (note,) = [one for one in score(reveal_data_seed="17", strict=True).notes if "data seed" in one]
    assert note.startswith("The data seed that was given is that of 18 of 18 trials (hash 0452ce163558")
    assert note.endswith(").")
    (note,) = [one for one in score(reveal_data_seed="18").notes if "data seed" in one]
    assert "is that of 0 of 18 trials (hash " in note
    assert "; not of 18 of adam on sealed 0452ce163558" in note
    with pytest.raises(UsageError, match="--strict: The data seed that was given is that of 0 of 18 trials"):
        score(reveal_data_seed="18", strict=True)
    with pytest.raises(UsageError, match="needs the seed itself"):
        score(reveal_data_seed=SEALED)
