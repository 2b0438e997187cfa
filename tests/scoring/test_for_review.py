"""What scoring names for people to look at, and that it names nobody honest."""

import csv
import dataclasses

import pytest

from scoring import plausible, reference_examples, score_field
from scoring.evaluations import EvaluationLog
from scoring.results import FOR_REVIEW, Hit, Kind, RunEnd, Trial


def trial(submission="own", study=0, step=900, evaluation=3, **end):
    """One that has met the target of `wmt_mini` after so many updates of 16 examples."""
    known = {"batch_size": 16.0, "share_before_hit": 0.8, "step_before_hit": step - 50.0, **end}
    return Trial(
        submission=submission,
        workload="wmt_mini",
        framework="pytorch",
        study=study,
        trial=1,
        hit=Hit(evaluation, 30.0, step),
        end=RunEnd(8, step, 5.0, True, **known),
    )


def kinds(*trials, hint=1000):
    return [(one.kind, one.submission) for one in plausible.findings(trials, {"wmt_mini": hint})]


def test_the_target_after_a_third_of_the_best_reference_s_examples_is_for_review():
    name, fewest = plausible.best_references()["wmt_mini"]
    enough = int(fewest / 3 / 16) + 1
    assert kinds(trial(step=enough)) == []
    assert kinds(trial(step=enough - 2)) == [(Kind.FEW_EXAMPLES, "own")]
    (finding,) = plausible.findings([trial(step=enough - 2)], {"wmt_mini": 1000})
    assert f"{name} needs {fewest:,.0f}" in finding.detail
    unknown = dataclasses.replace(trial(step=3), workload="wmt_glu_mini")
    assert plausible.findings([unknown], {}) == []


@pytest.mark.parametrize(
    ("share", "step_before", "is_odd"),
    [(0.1, 850.0, True), (0.3, 850.0, False), (0.1, 700.0, False), (-2.0, 899.0, True)],
)
def test_from_noise_to_the_target_in_few_updates_is_for_review(share, step_before, is_odd):
    found = kinds(trial(share_before_hit=share, step_before_hit=step_before))
    assert found == [(Kind.JUMP, "own")] * is_odd


def test_the_target_after_one_update_is_for_review():
    assert (Kind.JUMP, "own") in kinds(trial(step=1, evaluation=0))


@pytest.mark.parametrize("what", ["each_evaluation_sec", "set_up_sec"])
def test_what_takes_one_submission_several_times_as_long_as_others_is_for_review(what):
    def field(own, others=4.0, second=None):
        trials = [trial(study=study, **{what: own}) for study in range(2)]
        if second is not None:
            trials[1] = trial(study=1, **{what: second})
        return trials + [trial(name, study, **{what: others}) for name in "ab" for study in range(2)]

    assert kinds(*field(13.0)) == [(Kind.LONG, "own")]
    assert kinds(*field(11.0)) == []
    assert kinds(*field(40.0, second=4.5)) == [], "the first trial on a machine makes its data"
    assert kinds(*field(0.9, others=0.2)) == [], "less than a second"
    elsewhere = [dataclasses.replace(one, framework="jax") for one in field(13.0)[:2]]
    assert kinds(*elsewhere, *field(13.0)[2:]) == [], "in another framework"


def test_what_is_read_of_a_log_for_that():
    log = EvaluationLog([1.0, 5.0, 9.0], [1, 10, 20], [10.0, 9.0, 4.0], evaluation_sec=6.0)
    found = plausible.of_end(log, None, Hit(2, 9.0, 20), target=5.0)
    assert found == {"each_evaluation_sec": 2.0, "share_before_hit": 0.2, "step_before_hit": 10}
    assert plausible.of_end(log, None, None, target=5.0) == {"each_evaluation_sec": 2.0}


def test_strict_scoring_accepts_what_is_for_people_to_decide_by_r12_10():
    from scoring.results import HARMLESS

    assert set(FOR_REVIEW) <= set(HARMLESS)
    assert all(kind.startswith("for review") for kind in FOR_REVIEW)


@pytest.mark.parametrize("ruleset", ["self", "external"])
def test_no_run_of_a_reference_algorithm_is_for_review(ruleset):
    archive = plausible.REFERENCES.parent / f"mini_{ruleset}.tar.xz"
    config = score_field.Config(submissions_dir=archive, suite="mini", ruleset=ruleset, bootstrap_samples=0)
    scored = score_field.run(config)
    assert len(scored.trials) > 100
    assert [one for one in scored.findings if one.kind in FOR_REVIEW] == []


def test_the_table_of_examples_is_that_of_the_archived_runs():
    with open(plausible.REFERENCES, newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == list(reference_examples.COLUMNS)
    assert rows[1:] == [[str(cell) for cell in row] for row in reference_examples.measured()]
