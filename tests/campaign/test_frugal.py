"""Stopping early never changes a score: random campaigns, run whole and run frugally, scored by both axes."""

import types

import numpy as np
import pytest

from algoperf import suites
from campaign import frugal
from scoring import rules, times
from scoring.procedure import CLEAN
from scoring.results import AXES, Hit, Trial

R_MAX = 2.0
BUDGET_SEC = 25.0
TARGETS = suites.targets_from_registry("digits")


def make_suite(held_out=()):
    return types.SimpleNamespace(r_max=R_MAX, held_out=dict(held_out))


def make_jobs(num_studies, num_trials, num_submissions=3):
    return [
        types.SimpleNamespace(
            key=f"{submission}/{study}/{trial}",
            siblings=(submission, "w", study),
            workload="w",
            study=study,
            trial=trial,
            budget_sec=BUDGET_SEC,
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


def run(jobs, curves, limits, rng, num_workers=3):
    """Job -> cost at the target; trials run a few at a time and are stopped where `limits` says so."""
    costs, num_stopped = dict.fromkeys((job.key for job in jobs), frugal.NEVER), 0
    waiting, running = list(jobs), []
    while waiting or running:
        while waiting and len(running) < num_workers:
            job = waiting.pop(0)
            running.append((job, enumerate(curves[job.key][0])))
        job, evaluations = running[place := int(rng.integers(len(running)))]
        number, cost = next(evaluations, (None, None))
        is_hit = number is not None and number == curves[job.key][1]
        if is_hit:
            costs[job.key] = cost
        is_stopped = number is not None and not is_hit and limits and limits.why_stop(job, cost) is not None
        num_stopped += bool(is_stopped)
        if number is None or is_hit or is_stopped:
            del running[place]
            if limits is not None:
                reached = {"submission_time_sec": cost[0], "global_step": cost[1]} if is_hit else None
                limits.finished(job, reached)
    return costs, num_stopped


def ratios(jobs, costs, axis):
    """Performance ratios by the rules of scoring."""
    trials = {}
    for job in jobs:
        submission, _, study = job.siblings
        seconds, steps = costs[job.key]
        hit = Hit(0, seconds, steps) if np.isfinite(seconds) else None
        one = Trial(
            submission=str(submission), workload="w", framework="jax", study=study, trial=job.trial, hit=hit
        )
        trials.setdefault(submission, {}).setdefault(study, []).append(one)
    medians = [
        [
            times.median(
                [
                    times.study_time(
                        study,
                        own,
                        targets=TARGETS,
                        budget_sec=BUDGET_SEC,
                        num_trials=len(own),
                        procedure=CLEAN,
                        axis=axis,
                    ).value
                    for study, own in studies.items()
                ]
            )
        ]
        for studies in trials.values()
    ]
    return rules.performance_ratios(np.array(medians), 1, (), R_MAX).values


@pytest.mark.parametrize(
    ("num_studies", "num_trials"), [(1, 1), (1, 4), (2, 3), (3, 1), (3, 4), (4, 1), (5, 2)]
)
def test_scores_are_those_of_the_whole_campaign(num_studies, num_trials):
    rng = np.random.default_rng([num_studies, num_trials])
    jobs, total = make_jobs(num_studies, num_trials), 0
    for _ in range(60):
        curves = {job.key: make_curve(rng) for job in jobs}
        order = [jobs[i] for i in rng.permutation(len(jobs))]
        whole, _ = run(order, curves, None, rng)
        cut, num_stopped = run(order, curves, frugal.Limits(jobs, make_suite(), num_studies), rng)
        total += num_stopped
        for axis in AXES:
            np.testing.assert_array_equal(ratios(jobs, cut, axis), ratios(jobs, whole, axis))
    can_stop = num_trials > 1 or num_studies % 2 == 1
    assert (total > 20) == can_stop


def test_what_a_variant_guards_is_not_stopped_by_r_max():
    jobs = make_jobs(1, 1)
    for held_out, wanted in (({}, "r_max"), ({"w_variant": "w"}, None)):
        limits = frugal.Limits(jobs, make_suite(held_out), 1)
        limits.finished(jobs[0], {"submission_time_sec": 10.0, "global_step": 100})
        assert limits.why_stop(jobs[1], (20.0, 200)) is None, "exactly r_max times is within it"
        assert limits.why_stop(jobs[1], (20.0, 201)) is None, "exactly r_max times in seconds, too"
        assert limits.why_stop(jobs[1], (20.1, 200)) is None, "and in steps"
        assert limits.why_stop(jobs[1], (20.1, 199)) is None, "by steps it may still count"
        reason = limits.why_stop(jobs[1], (20.1, 201))
        assert (reason and reason.rule) == wanted


@pytest.mark.parametrize(("reached_sec", "is_reason"), [(BUDGET_SEC, True), (BUDGET_SEC + 0.1, False)])
def test_a_target_reached_with_the_last_of_the_budget_stops_the_others_of_its_study(reached_sec, is_reason):
    first, second = (job for job in make_jobs(1, 2, num_submissions=1))
    limits = frugal.Limits([first, second], make_suite(), 1)
    limits.finished(first, {"submission_time_sec": reached_sec, "global_step": 100})
    assert limits.why_stop(second, (BUDGET_SEC - 0.1, 90)) is None, "it may yet be the first"
    reason = limits.why_stop(second, (BUDGET_SEC, 90))
    assert (reason and reason.rule) == ("sibling" if is_reason else None), "any later evaluation comes second"


def test_only_mini_suites_are_frugal_by_default():
    frugal_ones = {name for name in suites.names() if suites.load(name).frugal}
    assert frugal_ones <= {"mini", "mini_held_out", "mini_quick", "demo"}
    assert suites.load("mini").frugal
