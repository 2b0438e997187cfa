"""Figures that do not depend on the field."""

import csv
import math

import numpy as np
import pytest

from algoperf import suites
from scoring import absolute
from scoring.absolute import Reference
from scoring.uncertainty import Studies

INF = math.inf


def test_a_miss_counts_as_the_budget_and_so_does_a_workload_without_results():
    values = np.array([[[10.0, INF, 30.0], [np.nan] * 3]])
    studies = Studies(values, np.array([[3, 0]]), np.zeros((1, 2), dtype=bool))
    np.testing.assert_allclose(
        absolute.restricted_means(studies, np.array([50.0, 80.0])), [[(10 + 50 + 30) / 3, 80.0]]
    )


def test_the_restricted_speedup_is_the_same_whoever_competes():
    reference = Reference("algoperf_v05", "baseline", np.array([40.0, np.nan, 10.0]))
    own = np.array([[20.0, 7.0, 5.0], [40.0, 7.0, 10.0]])
    np.testing.assert_allclose(absolute.restricted_speedup(own, reference), [2.0, 1.0])
    np.testing.assert_allclose(absolute.restricted_speedup(own[:1], reference), [2.0])


def test_the_data_profile_is_the_share_of_workloads_within_a_fraction_of_the_budget():
    figures = absolute.Absolute(None, None, np.array([[0.05, 0.25, 0.9, INF]]))
    assert [figures.solved(share)[0] for share in absolute.FRACTIONS] == [0.25, 0.5, 0.5, 0.75]


@pytest.mark.parametrize(
    ("suite", "ruleset", "name", "known"),
    [
        ("algoperf_v05", "external", "baseline", 8),
        ("algoperf_v06", "self", "baseline", 8),
        ("algoperf_a100", "self", "nadamw_baselinev05", 9),
        ("mini", "self", "nadamw", 9),
        ("mini_quick", "external", "nadamw", 3),
        ("mini", "external", "nadamw", 3),
    ],
)
def test_suites_have_a_pinned_reference(suite, ruleset, name, known):
    found = absolute.pinned(suites.load(suite), ruleset)
    assert (found.name, int(np.isfinite(found.restricted).sum())) == (name, known)


def test_a_suite_of_other_targets_has_none(suite):
    assert absolute.pinned(suite, "external") is None


def test_a_suite_with_budgets_for_a_machine_of_its_own_takes_no_reference_from_another():
    assert absolute.pinned(suites.load("algoperf_a100"), "external") is None


def test_the_file_of_reference_times_is_what_the_shipped_results_say():
    with absolute.PATH.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert tuple(header) == absolute.COLUMNS
    assert rows == [[str(cell) for cell in row] for row in absolute.reference_rows()]
