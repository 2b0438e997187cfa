"""A few tricks in refereed trials, one of each kind of means: nothing is gained, or somebody says so.

All of them run by `make tricks`; what the audit says of them is in tests/audit/test_cheats.py.
"""

import dataclasses

import pytest
from harness import ROOT

from benchmarks import trick_runs
from benchmarks.trick_runs import PLAIN, REFEREED, Trick

STEPS, EVERY = 9, 3
ODD = ROOT / "tests" / "submissions_of_all_kinds"


@pytest.fixture(scope="session")
def outcome(tmp_path_factory):
    """outcome(trick) of a refereed run of a few updates; each runs once."""
    known = {}

    def run(trick):
        if trick.name not in known:
            folder = tmp_path_factory.mktemp("trick")
            known[trick.name] = trick_runs.run(
                trick, REFEREED, folder, timeout_sec=300, limits=(STEPS, EVERY)
            )
        return known[trick.name]

    return run


TRICKS = {one.name: one for one in trick_runs.find([trick_runs.OWN])}


def graver(found):
    return {(one["rule"], one["grade"]) for one in found["findings"] if one["grade"] != "note"}


def test_a_submission_that_slows_the_clock_when_it_is_imported_is_refused(outcome):
    found = outcome(TRICKS["slow_clock"])
    assert (found["status"], found["exit_code"]) == (None, 2)
    assert "has replaced code that is not its own: algoperf.run.clock" in str(found["said"])


def test_an_evaluator_in_the_process_that_trains_is_asked_nothing(outcome):
    found = outcome(TRICKS["perfect_scores"])
    assert found["status"] == "max_steps"
    assert max(row["validation/accuracy"] for row in found["evaluations"]) < 0.9


def test_messages_in_the_words_of_the_harness_end_the_trial_and_are_named(outcome):
    found = outcome(TRICKS["talks_to_referee"])
    assert found["status"] == "failed"
    assert ("R3.20", "forbidden") in graver(found)
    assert len(found["evaluations"]) == 1


def test_a_file_without_end_is_no_checkpoint(outcome):
    found = outcome(TRICKS["endless_file"])
    assert found["status"] == "failed"
    assert "something else than a checkpoint" in found["error"]
    assert ("R3.20", "forbidden") in graver(found)


KINDS = [
    pytest.param("many_ways", "pytorch", id="threads, two gradients, averages, a new start"),
    pytest.param("own_class", "pytorch", id="own class", marks=pytest.mark.slow),
    pytest.param("own_node", "jax", id="own pytree", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("kind", "framework"), KINDS)
def test_much_that_is_allowed_and_looks_odd_raises_nothing_above_a_note(outcome, kind, framework):
    found = outcome(Trick(name=f"{kind}_{framework}", submission=ODD / kind, framework=framework))
    assert found["status"] == "max_steps", found
    assert graver(found) == set()


# ---- what a run came to ----------------------------------------------------------------------------------------------


def rows(*cells):
    return [{"global_step": step, "score": sec, "validation/accuracy": value} for step, sec, value in cells]


def ran(*cells, wall_sec=20.0):
    return {"evaluations": rows(*cells), "wall_sec": wall_sec, "set_up_sec": 10.0}


HONEST = ran((1, 0.1, 0.1), (20, 4.0, 0.5), (40, 8.0, 0.95))


@pytest.mark.parametrize(
    ("cells", "updates", "seconds", "is_one"),
    [
        pytest.param([(1, 0.1, 0.1), (20, 4.0, 0.5), (40, 8.0, 0.95)], 1, 1, False, id="the same"),
        pytest.param([(1, 0.1, 0.1), (20, 0.4, 0.5), (40, 0.8, 0.95)], 1, 10, True, id="a slow clock"),
        pytest.param([(1, 0.1, 0.99)], 40, 40 * 80, True, id="trained before"),
        pytest.param([(1, 0.1, 0.1), (40, 8.0, 0.5)], float("nan"), float("nan"), False, id="no target"),
    ],
)
def test_a_gain_is_one_in_updates_or_in_seconds_on_the_clock(cells, updates, seconds, is_one):
    found = trick_runs.gain(ran(*cells), [HONEST], "digits")
    assert (found.updates, found.seconds) == pytest.approx((updates, seconds), nan_ok=True)
    assert found.is_one(1.1) == is_one


def test_what_an_index_and_docstrings_say_of_tricks_is_found(tmp_path):
    assert len(TRICKS) >= 50
    assert TRICKS["shared_memory"].again == "study"
    assert TRICKS["ahead_of_time"].framework == "jax"
    assert TRICKS["slow_clock"] == dataclasses.replace(
        TRICKS["slow_clock"], workload="digits", framework="pytorch", rules=("R3.20",), again=""
    )
    assert all(one.rules for one in TRICKS.values())
    command = trick_runs.command(TRICKS["slow_clock"], PLAIN, tmp_path, tmp_path / "s.json")
    assert {"--referee=False", "--max_steps=75"} <= set(command)
