"""Stopping early never changes a score: random campaigns, run whole and run frugally, scored by both axes."""

import types

import numpy as np
import pytest

from algoperf import suites
from campaign import frugal
from scoring import rules

R_MAX = 2.0


def make_suite(held_out=()):
    return types.SimpleNamespace(r_max=R_MAX, held_out=dict(held_out))


def make_jobs(num_studies, num_trials, num_submissions=3):
    return [
        types.SimpleNamespace(
            key=f"{submission}/{study}/{trial}", siblings=(submission, "w", study), workload="w", study=study
        )
        for study in range(num_studies)
        for trial in range(num_trials)
        for submission in range(num_submissions)
    ]


def make_curve(rng):
    """Evaluations of a trial as (seconds, steps), and the place of the one that reaches the target, if any."""
    count = int(rng.integers(3, 30))
    seconds = np.cumsum(rng.uniform(0.5, 1.5, count)) * rng.choice([0.5, 1.0, 3.0])
    steps = np.cumsum(rng.integers(1, 20, count)).astype(float)
    hit = int(rng.integers(0, count)) if rng.random() < 0.7 else None
    return list(zip(seconds, steps, strict=True)), hit


def run(jobs, curves, limits):
    """Job -> cost at the target; trials run one after the other and are stopped where `limits` says so."""
    costs, num_stopped = {}, 0
    for job in jobs:
        evaluations, hit = curves[job.key]
        costs[job.key] = frugal.NEVER
        for place, (seconds, steps) in enumerate(evaluations):
            if place == hit:
                costs[job.key] = (seconds, steps)
                break
            if limits is not None and limits.why_stop(job, (seconds, steps)) is not None:
                num_stopped += 1
                break
        if limits is not None:
            reached = {"submission_time_sec": costs[job.key][0], "global_step": costs[job.key][1]}
            limits.finished(job, reached if np.isfinite(costs[job.key][0]) else None)
    return costs, num_stopped


def ratios(jobs, costs, axis):
    """Performance ratios by the rules of scoring: least of the trials, median of the studies."""
    studies = {}
    for job in jobs:
        submission, _, study = job.siblings
        own = studies.setdefault(submission, {})
        own[study] = min(own.get(study, np.inf), costs[job.key][axis])
    with np.errstate(invalid="ignore"):
        medians = [[np.median(list(own.values()))] for own in studies.values()]
    return rules.performance_ratios(np.nan_to_num(medians, nan=np.inf, posinf=np.inf), 1, (), R_MAX).values


@pytest.mark.parametrize(
    ("num_studies", "num_trials"), [(1, 1), (1, 4), (2, 3), (3, 1), (3, 4), (4, 1), (5, 2)]
)
def test_scores_are_those_of_the_whole_campaign(num_studies, num_trials):
    rng = np.random.default_rng([num_studies, num_trials])
    jobs, total = make_jobs(num_studies, num_trials), 0
    for _ in range(60):
        curves = {job.key: make_curve(rng) for job in jobs}
        order = [jobs[i] for i in rng.permutation(len(jobs))]
        whole, _ = run(order, curves, None)
        cut, num_stopped = run(order, curves, frugal.Limits(jobs, make_suite(), num_studies))
        total += num_stopped
        for axis in (0, 1):
            np.testing.assert_array_equal(ratios(jobs, cut, axis), ratios(jobs, whole, axis))
    can_stop = num_trials > 1 or num_studies % 2 == 1
    assert (total > 20) == can_stop


def test_what_a_variant_guards_is_not_stopped_by_r_max():
    jobs = make_jobs(1, 1)
    for held_out, wanted in (({}, "r_max"), ({"w_variant": "w"}, None)):
        limits = frugal.Limits(jobs, make_suite(held_out), 1)
        limits.finished(jobs[0], {"submission_time_sec": 10.0, "global_step": 100})
        assert limits.why_stop(jobs[1], (20.0, 200)) is None, "exactly r_max times is within it"
        assert limits.why_stop(jobs[1], (20.1, 199)) is None, "by steps it may still count"
        reason = limits.why_stop(jobs[1], (20.1, 201))
        assert (reason and reason.rule) == wanted


def test_only_mini_suites_are_frugal_by_default():
    assert {name for name in suites.names() if suites.load(name).frugal} <= {"mini", "mini_quick", "demo"}
    assert suites.load("mini").frugal
