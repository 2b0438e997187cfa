"""Variants, narrowing, OptList, degradation, tuning budgets, expected best: by hand and by brute force."""

import itertools

import numpy as np
import pytest
import sweep_folders

from algoperf import tuning
from algoperf.spec import UsageError
from target_setting.best_of_k import best_of_k_weights, exact_quantiles
from target_setting.procedures.budgets import QUANTILES, simulate, simulate_budgets
from target_setting.procedures.degradation import worst_case_degradation
from target_setting.procedures.expected_best import expected_best, weights_without_replacement
from target_setting.procedures.narrow import narrow, round_outward
from target_setting.procedures.optlist import make_optlist
from target_setting.procedures.variants import compare_variant
from target_setting.sweep import read_sweep
from target_setting.sweep_tables import make_table

NAN, INF = float("nan"), float("inf")

# ---- variants ----------------------------------------------------------------------------------------------------


def variant_test(tmp_path, base, variant, **options):
    sweep_folders.write_sweep(tmp_path, "nadamw", {"wmt_mini": base, "wmt_post_ln_mini": variant})
    trials = read_sweep(tmp_path).trials
    return compare_variant(trials, "nadamw", "wmt_mini", "wmt_post_ln_mini", **options)


def test_rank_transfer_counts_points_that_are_strictly_better(tmp_path):
    # BLEU. Best of the base is point 1, which three points beat on the variant; best of the variant is point 4, which
    # two points beat on the base.
    found = variant_test(tmp_path, [30.0, 29.0, 10.0, 20.0, 5.0], [24.0, 25.0, 26.0, 28.0, 24.0])
    assert (found.base_to_variant.trial, found.base_to_variant.rank) == (1, 3)
    assert (found.base_to_variant.value, found.base_to_variant.value_away) == (30.0, 24.0)
    assert (found.variant_to_base.trial, found.variant_to_base.rank) == (4, 2)
    assert (found.variant_to_base.value, found.variant_to_base.value_away) == (28.0, 20.0)
    assert found.distinctness == 2
    assert found.relative_gap == pytest.approx(2 / 30)


@pytest.mark.parametrize(("best", "trainable"), [(27.0, True), (26.9, False), (35.0, True)])
def test_ten_percent_rule_where_higher_is_better(tmp_path, best, trainable):
    assert variant_test(tmp_path, [30.0, 10.0], [10.0, best]).is_trainable == trainable


@pytest.mark.parametrize(("best", "trainable"), [(0.109, True), (0.111, False), (0.05, True)])
def test_ten_percent_rule_where_lower_is_better(tmp_path, best, trainable):
    sweep_folders.write_sweep(
        tmp_path, "nadamw", {"criteo1tb_mini": [0.1, 0.5], "criteo1tb_layernorm_mini": [0.9, best]}
    )
    trials = read_sweep(tmp_path).trials
    assert (
        compare_variant(trials, "nadamw", "criteo1tb_mini", "criteo1tb_layernorm_mini").is_trainable
        == trainable
    )


def test_of_several_best_points_the_one_that_transfers_best_is_taken(tmp_path):
    found = variant_test(tmp_path, [30.0, 30.0, 1.0], [10.0, 20.0, 15.0])
    assert (found.base_to_variant.trial, found.base_to_variant.rank, found.distinctness) == (2, 0, 0)


def test_a_point_without_result_ranks_last(tmp_path):
    found = variant_test(tmp_path, [30.0, 20.0, 10.0], [NAN, 5.0, 6.0])
    assert found.base_to_variant.rank == 2
    assert np.isnan(found.base_to_variant.value_away)


def test_workloads_with_other_metrics_are_no_variants(tmp_path):
    sweep_folders.write_sweep(tmp_path, "nadamw", {"criteo1tb_mini": [0.1], "wmt_mini": [3.0]})
    with pytest.raises(UsageError, match="wmt_mini is no variant of criteo1tb_mini: bleu against loss"):
        compare_variant(read_sweep(tmp_path).trials, "nadamw", "criteo1tb_mini", "wmt_mini")


# ---- narrowing ---------------------------------------------------------------------------------------------------

POINTS = [
    {
        "learning_rate": rate,
        "weight_decay": decay,
        "one_minus_beta1": momentum,
        "beta2": 0.99,
        "warmup_factor": 0.02,
        "power": power,
        "aux_dropout_rate": 0.0,
    }
    for rate, decay, momentum, power in [
        (0.001, 0.1, 0.0268, 1.5),
        (0.004, 0.02, 0.1363, 2.0),
        (0.002, 0.05, 0.05, 1.5),
        (0.1, 0.1, 0.5, 3.0),
    ]
]


def test_a_narrow_space_spans_the_best_points(make_rows):
    found = narrow(make_rows(POINTS, a=[0.1, 0.2, 0.3, 0.4], b=[0.5, 0.1, 0.3, 0.2]), widen=2.0)
    assert found.chosen == (0, 1)
    assert found.space == {
        "learning_rate": {"min": 0.0005, "max": 0.008, "scaling": "log"},
        "weight_decay": {"min": 0.01, "max": 0.2, "scaling": "log"},
        "one_minus_beta1": {"min": 0.02, "max": 0.2, "scaling": "log"},
        "beta2": {"feasible_points": [0.999]},
        "warmup_factor": {"feasible_points": [0.05]},
        "power": {"feasible_points": [1.5, 2.0]},
    }
    assert len(tuning.draw_points(found.space, 20, seed=0)) == 20
    assert found.notes == (
        "adam: beta2 gets the paper's {0.999}, while best points have {0.99}: write these into the space where the "
        "algorithm needs them.",
        "adam: warmup_factor gets the paper's {0.05}, while best points have {0.02}: write these into the space where "
        "the algorithm needs them.",
        "aux_dropout_rate is left out: it is tied to dropout_rate.",
    )


def test_a_best_point_with_a_value_of_the_paper_gives_no_note(make_rows):
    points = [{**point, "beta2": 0.999, "warmup_factor": 0.05} for point in POINTS]
    points[2]["beta2"] = 0.5  # Best nowhere.
    found = narrow(make_rows(points, a=[0.1, 0.2, 0.3, 0.4]))
    assert found.notes == ("aux_dropout_rate is left out: it is tied to dropout_rate.",)


def test_beta1_may_be_fixed(make_rows):
    space = narrow(make_rows(POINTS, a=[0.1, 0.2, 0.3, 0.4]), fix_beta1=True).space
    assert space["one_minus_beta1"] == {"feasible_points": [0.1]}


def test_rounding_goes_outward():
    assert [round_outward(0.02, -1), round_outward(0.3, 1), round_outward(0.95, 1)] == [0.02, 0.3, 1.0]


def test_an_outlier_is_replaced_by_a_nearly_equal_point_within_the_range(make_rows):
    # On c the best point is 4, with 25 times the learning rate of the others; point 3 is 0.5 % worse and in range.
    rows = {"a": [1.0, 9.0, 9.0, 9.0], "b": [9.0, 1.0, 9.0, 9.0], "c": [9.0, 9.0, 1.005, 1.0]}
    found = narrow(make_rows(POINTS, **rows), outlier_tolerance=0.01)
    assert found.chosen == (0, 1, 2)
    assert (found.replacements[0].workload, found.replacements[0].trial, found.replacements[0].by) == (
        "c",
        4,
        3,
    )
    assert found.space["learning_rate"]["max"] == pytest.approx(0.005)
    assert narrow(make_rows(POINTS, **rows)).chosen == (0, 1, 3)
    assert narrow(make_rows(POINTS, **rows), outlier_tolerance=0.001).chosen == (0, 1, 3)
    assert narrow(make_rows(POINTS, **rows), outlier_tolerance=0.01, outlier_factor=30).chosen == (0, 1, 3)


def test_arguments_of_narrowing_are_checked(make_rows):
    with pytest.raises(UsageError, match="--widen must be a factor of 1 or more"):
        narrow(make_rows(POINTS, a=[1, 2, 3, 4]), widen=0.5)
    with pytest.raises(UsageError, match="--outlier_tolerance must be in"):
        narrow(make_rows(POINTS, a=[1, 2, 3, 4]), outlier_tolerance=1.0)


# ---- OptList -----------------------------------------------------------------------------------------------------


def test_optlist_goes_round_robin_over_the_workloads(make_rows):
    # Orders of points (1 to 5): a: 3 1 2 4 5; b: 3 2 1 5 4 (5 twice as bad); c: 5, others without result.
    table = make_rows(a=[0.2, 0.3, 0.1, 0.4, 0.5], b=[0.3, 0.2, 0.1, 0.5, 0.4], c=[NAN, NAN, NAN, NAN, 0.7])
    found = make_optlist(table, 5)
    assert [table.trials[index] for index in found.entries] == [3, 2, 5, 1, 4]
    assert found.chosen_for == ("a", "b", "c", "a", "b")
    np.testing.assert_array_equal(found.ranks[:, 0], [0, 0, 1])
    np.testing.assert_allclose(found.degradations[:, 1], [2.0, 1.0, INF])
    assert [point["learning_rate"] for point in found.points()] == [3, 2, 5, 1, 4]
    assert tuning.check_search_space(found.points()) is None


def test_equal_points_are_listed_once_and_too_long_a_list_is_refused(make_rows):
    table = make_rows([{"x": 1}, {"x": 1}, {"x": 2}], a=[0.1, 0.2, 0.3])
    assert make_optlist(table, 2).points() == [{"x": 1}, {"x": 2}]
    with pytest.raises(UsageError, match="--size=3 is more than the 2 different points of adam with results"):
        make_optlist(table, 3)
    with pytest.raises(UsageError, match="--size must be at least 1"):
        make_optlist(table, 0)


# ---- degradation -------------------------------------------------------------------------------------------------


def test_worst_case_degradation_by_hand(make_rows):
    # delta on a: 0, 0.5, 1; on b: 1.5, 0.25, 0; so worst 1.5, 0.5, 1.
    found = worst_case_degradation(make_rows(a=[0.2, 0.3, 0.4], b=[1.0, 0.5, 0.4]))
    np.testing.assert_allclose(found.worst, [1.5, 0.5, 1.0])
    assert (found.value, found.overall) == (pytest.approx(0.5), 1)
    up = worst_case_degradation(make_rows(higher_is_better=True, a=[0.8, 0.4], b=[0.45, 0.5]))
    assert up.value == pytest.approx(0.1)


def test_worst_case_degradation_equals_brute_force(make_rows):
    values = np.random.default_rng(1).uniform(0.1, 1.0, size=(4, 50))
    found = worst_case_degradation(make_rows(**dict(zip("abcd", values))))
    expected = min(
        max(abs(values[w, h] - values[w].min()) / values[w].min() for w in range(4)) for h in range(50)
    )
    assert found.value == pytest.approx(expected)


def test_degradation_is_zero_where_one_point_is_best_everywhere_and_infinite_without_results(make_rows):
    assert worst_case_degradation(make_rows(a=[0.1, 0.2], b=[0.0, 0.2])).value == 0
    assert worst_case_degradation(make_rows(a=[NAN, 0.2], b=[0.1, NAN])).value == INF
    assert worst_case_degradation(make_rows(a=[0.1, 0.2], b=[0.3, 0.0])).value == 1.0


# ---- best of k ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "k"), [(1, 3), (3, 1), (3, 2), (4, 4), (2, 6)])
def test_the_probability_that_result_i_is_best_is_that_of_all_draws(n, k):
    counts = np.zeros(n)
    for draw in itertools.product(range(n), repeat=k):
        counts[min(draw)] += 1
    np.testing.assert_allclose(best_of_k_weights(n, k), counts / n**k, rtol=1e-12)


def test_weights_without_replacement_are_those_of_all_subsets():
    n, weights = 5, weights_without_replacement(5, 6)
    for k in range(1, n + 1):
        subsets = list(itertools.combinations(range(n), k))
        expected = [sum(min(subset) == i for subset in subsets) / len(subsets) for i in range(n)]
        np.testing.assert_allclose(weights[k - 1], expected, atol=1e-12)
    assert np.isnan(weights[5]).all()


def test_exact_quantiles_are_those_of_all_draws():
    costs = np.array([0.1, 0.2, 0.4, INF])
    best = np.sort([min(draw) for draw in itertools.product(costs, repeat=3)])
    for level in (0.01, 0.2, 0.5, 0.6, 0.95, 0.99, 1.0):
        expected = best[int(np.ceil(level * len(best) - 1e-9)) - 1]
        assert exact_quantiles(costs, 3, [level])[0] == expected, level


def test_a_level_that_is_a_share_of_the_results_is_reached_by_just_as_many_of_them():
    """Whatever the last bits of both are, as of 3 / 25 and 1 - 22 / 25."""
    for size in range(1, 60):
        costs = np.arange(1, size + 1)
        np.testing.assert_array_equal(exact_quantiles(costs, 1, costs / size), costs)


def test_the_simulation_agrees_with_the_exact_distribution():
    costs = np.random.default_rng(2).permutation(np.arange(100.0))
    draws = simulate(costs, 20, 20_000, np.random.default_rng(3))
    weights = best_of_k_weights(100, 20)
    expected = weights @ np.arange(100)
    deviation = np.sqrt(weights @ np.arange(100) ** 2 - expected**2)
    assert abs(draws.mean() - expected) < 4 * deviation / np.sqrt(len(draws))
    (found,) = simulate_budgets(costs, [20], num_samples=20_000)
    np.testing.assert_allclose(found.simulated, found.exact, atol=1)
    assert found.exact[QUANTILES.index(0.5)] == 3  # 1 - (1 - 4/100)^20 = 0.558, 1 - (1 - 3/100)^20 = 0.456.


@pytest.mark.parametrize("size", [2, 6, 8, 14, 100])
def test_simulated_and_exact_medians_of_an_even_number_of_results_are_the_same(size):
    """Half of the draws reach the lower of the two middle results: it was by chance which of the two came out."""
    costs = np.random.default_rng(size).permutation(np.arange(float(size)))
    for seed in range(8):
        for num_samples in (10_000, 999):
            (found,) = simulate_budgets(costs, [1], num_samples=num_samples, seed=seed)
            middle = QUANTILES.index(0.5)
            assert found.simulated[middle] == found.exact[middle] == size / 2 - 1


def test_the_simulation_in_batches_draws_the_number_asked_for(monkeypatch):
    monkeypatch.setattr("target_setting.procedures.budgets.BATCH_BYTES", 8 * 5 * 3)
    assert len(simulate(np.arange(4.0), 5, 10, np.random.default_rng(0))) == 10


def test_failed_trials_are_the_worst_of_a_budget():
    (found,) = simulate_budgets(np.array([0.1, INF, INF, INF]), [1], num_samples=200)
    np.testing.assert_array_equal(found.exact, [0.1, 0.1, INF, INF, INF])
    np.testing.assert_array_equal(found.simulated[[0, -1]], [0.1, INF])


def test_budgets_below_one_are_refused():
    with pytest.raises(UsageError, match="--budgets must be 1 or more trials, got 0"):
        simulate_budgets(np.array([0.1]), [0])
    with pytest.raises(UsageError, match="--num_samples must be at least 1"):
        simulate_budgets(np.array([0.1]), [1], num_samples=0)


def test_expected_best_by_hand():
    curve = expected_best(np.array([0.3, 0.1, 0.2]))
    # k = 1 the mean; k = 2: (5 x 0.1 + 3 x 0.2 + 1 x 0.3) / 9; k = 3: (19 x 0.1 + 7 x 0.2 + 1 x 0.3) / 27.
    np.testing.assert_allclose(curve.expected, [0.2, 1.4 / 9, 3.6 / 27])
    # Subsets: {1,2} {1,3} {2,3} -> 0.1, 0.1, 0.2; all three -> 0.1.
    np.testing.assert_allclose(curve.unbiased, [0.2, 0.4 / 3, 0.1])
    np.testing.assert_array_equal(curve.num_trials, [1, 2, 3])
    np.testing.assert_allclose(curve.luck[1], [0.2, 0.1, 0.1])


def test_the_interval_of_the_median_is_there_only_where_it_holds():
    rng = np.random.default_rng(4)
    curve = expected_best(rng.uniform(size=20), 20)
    # Of uniform costs the median of the best of k is 1 - 0.5 ** (1 / k).
    known = 1 - 0.5 ** (1 / np.arange(1, 21))
    held, lower_ends = np.zeros(20), np.zeros(20)
    for _ in range(400):
        curve = expected_best(rng.uniform(size=20), 20)
        held += ~(curve.low > known) & ~(curve.high < known)
        lower_ends += np.isfinite(curve.low)
    assert (held / 400 > 0.93).all()
    # A least result of n bounds the median of the best of k from below up to k of about n / 5.3.
    np.testing.assert_array_equal(lower_ends > 0, np.arange(1, 21) <= 3)


def test_failed_trials_count_as_the_worst_result_in_means_only():
    curve = expected_best(np.array([0.1, 0.2, INF]), 2)
    assert curve.num_failed == 1
    np.testing.assert_allclose(curve.expected[0], 0.5 / 3)
    np.testing.assert_array_equal(curve.luck[:, 0], [0.1, 0.2, INF])
    with pytest.raises(UsageError, match="--max_trials must be at least 1"):
        expected_best(np.array([0.1]), 0)


def test_a_table_keeps_the_order_of_the_workloads(tmp_path):
    sweep_folders.write_sweep(tmp_path, "adam", {"wmt_mini": [9.0, 8.0], "criteo1tb_mini": [0.2, 0.1]})
    table = make_table(read_sweep(tmp_path).trials, "adam", ("wmt_mini", "criteo1tb_mini"))
    assert make_optlist(table, 2).chosen_for == ("wmt_mini", "criteo1tb_mini")


# ---- numbers that cannot be meant ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: simulate_budgets(np.ones(3), [10**9]), "--budgets must be at least 1 and at most 10000"),
        (lambda: simulate_budgets(np.ones(3), [1], num_samples=10**12), "--num_samples"),
        (lambda: simulate_budgets(np.ones(3), [10_000], num_samples=10**6), "too many draws"),
        (lambda: expected_best(np.ones(3), 10**9), "--max_trials must be at least 1 and at most 10000"),
    ],
    ids=["budgets", "samples", "draws", "max_trials"],
)
def test_counts_that_would_keep_the_machine_busy_for_ever_are_refused_at_once(call, words):
    with pytest.raises(UsageError, match=words):
        call()


def test_messages_about_an_archive_do_not_name_where_it_was_unpacked(tmp_path):
    sweep_folders.write_sweep(tmp_path, "nadamw", {"wmt_mini": [30.0]})
    with pytest.raises(
        UsageError, match=r"algorithm in sweep.tar.xz is called 'nadam'; the nearest is 'nadamw'"
    ):
        read_sweep(tmp_path, algorithms=["nadam"], called="sweep.tar.xz")
    with pytest.raises(UsageError, match=r"No finished trials of digits below sweep.tar.xz"):
        read_sweep(tmp_path, workloads=["digits"], called="sweep.tar.xz")
