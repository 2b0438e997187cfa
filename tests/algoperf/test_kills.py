"""Trials whose processes are killed (`kill -9`) at random moments; `benchmarks/kill_and_resume.py` is the long form."""

import random

import pytest

from benchmarks import kill_and_resume
from benchmarks.kill_and_resume import Case


@pytest.mark.parametrize(("kind", "framework"), [("many_optimizers", "pytorch"), ("own_class", "jax")])
def test_a_trial_that_is_killed_at_random_moments_ends_as_if_nothing_had_been(tmp_path, kind, framework):
    case = Case(kind=kind, framework=framework, max_steps=12)
    straight = tmp_path / "straight"
    kill_and_resume.subprocess.run(case.command(straight), check=True)
    draw = random.Random(f"{kind} {framework}")  # Other moments for each, the same ones in every run.
    outcome = kill_and_resume.under_fire(case, tmp_path / "fire", straight, 2, draw)
    assert outcome.problem is None
    assert outcome.kills


def test_a_trial_that_would_end_otherwise_is_noticed(tmp_path):
    """The check itself: another seed is another run."""
    case = Case(kind="alias", framework="pytorch", max_steps=4)
    folder = tmp_path / "one"
    command = [*case.command(folder), "--rng_seed=0"]
    kill_and_resume.subprocess.run(command, check=True)
    outcome = kill_and_resume.under_fire(case, folder, folder, 0, random.Random(0))
    assert outcome.problem is not None
    assert outcome.problem.startswith("lost: exit 2")  # --rng_seed=1 is not the run of this folder.
