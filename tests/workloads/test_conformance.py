"""What every workload must do, in both frameworks: run for each one that discovery finds and that is small."""

import functools
import itertools

import conformance
import pytest
from bound_workloads import Bound, few, names

from algoperf import registry
from algoperf.data import locate

# A training step takes seconds to compile in JAX, so variants are stepped through there only where that is quick;
# `tests/workloads/<family>/` compares the variants' forward and backward passes between the frameworks.
STEPPED_IN_JAX = [name for name in names() if registry.get(name).variant is None]
DATA_NAMES = sorted({(few(name).dataset, str(few(name).data)): name for name in reversed(names())}.values())


@pytest.fixture(scope="session")
def bound(data_dir):
    return functools.cache(functools.partial(Bound, data_dir=data_dir))


@pytest.fixture(scope="session")
def folder(data_dir):
    def get(name):
        found = few(name)
        return found, registry.data_module(found), locate.ready_folder(found, data_dir, progress=False)

    return get


def of_each_data_set(check):
    """A test of the check; variants that have the same data need not show it each."""

    @pytest.mark.parametrize("name", DATA_NAMES)
    def test(folder, name):
        check(*folder(name))

    return test


def stepped(check, in_jax=STEPPED_IN_JAX):
    cases = [(name, "pytorch") for name in names()] + [(name, "jax") for name in in_jax]

    @pytest.mark.parametrize(("name", "framework"), cases)
    def test(bound, name, framework):
        check(bound(name, framework))

    return test


def of_each_pair(check, of=None):
    @pytest.mark.parametrize("name", names() if of is None else of)
    def test(bound, name):
        check(bound(name, "jax"), bound(name, "pytorch"))

    return test


# ---- data ------------------------------------------------------------------------------------------------------------

test_training_batches_are_full_and_the_same_for_the_same_seed = of_each_data_set(
    conformance.training_batches_are_full_and_the_same_for_the_same_seed
)
test_a_stream_continues_where_its_state_says_over_the_end_of_an_epoch_too = of_each_data_set(
    conformance.a_stream_continues_where_its_state_says_over_the_end_of_an_epoch_too
)
test_training_needs_only_what_a_confined_submission_may_read = of_each_data_set(
    conformance.training_needs_only_what_a_confined_submission_may_read
)
test_processes_that_make_their_own_rows_make_the_whole_batch_together = of_each_data_set(
    conformance.processes_that_make_their_own_rows_make_the_whole_batch_together
)
test_another_data_seed_makes_other_samples_of_the_same_shapes = of_each_data_set(
    conformance.another_data_seed_makes_other_samples_of_the_same_shapes
)


@pytest.fixture(scope="module")
def digest_there():
    with conformance.another_process() as digest:
        yield digest


@pytest.mark.parametrize("name", DATA_NAMES)
def test_another_process_makes_the_same_batches(folder, digest_there, name):
    conformance.another_process_makes_the_same_batches(*folder(name), digest_there)


@pytest.mark.parametrize("batch_size", [5, 32])
@pytest.mark.parametrize("name", DATA_NAMES)
def test_evaluation_batches_have_one_size_and_weights_for_what_is_real(folder, name, batch_size):
    conformance.evaluation_batches_have_one_size_and_weights_for_what_is_real(*folder(name), batch_size)


# ---- models ----------------------------------------------------------------------------------------------------------

test_a_gradient_step_lowers_the_loss_on_its_own_batch = stepped(
    conformance.a_gradient_step_lowers_the_loss_on_its_own_batch
)
test_the_loss_of_new_weights_is_that_of_guessing = stepped(
    conformance.the_loss_of_new_weights_is_that_of_guessing
)
test_dropout_is_an_argument_of_the_call = stepped(conformance.dropout_is_an_argument_of_the_call)
test_shapes_and_types_line_up_with_the_parameters = stepped(
    conformance.shapes_and_types_line_up_with_the_parameters
)
test_update_batch_norm_without_training_is_an_error = stepped(
    conformance.update_batch_norm_without_training_is_an_error
)
test_evaluation_changes_nothing = stepped(conformance.evaluation_changes_nothing)
test_the_same_key_gives_the_same_initial_weights_and_another_key_others = stepped(
    conformance.the_same_key_gives_the_same_initial_weights_and_another_key_others
)
test_untrained_weights_do_not_meet_the_target = stepped(
    conformance.untrained_weights_do_not_meet_the_target, in_jax=()
)
test_frameworks_agree_on_the_outputs_of_an_evaluation_with_the_same_weights = of_each_pair(
    conformance.frameworks_agree_on_the_outputs_of_an_evaluation_with_the_same_weights
)
test_metrics_hold_the_target_metric_and_are_floats_in_range = of_each_pair(
    conformance.metrics_hold_the_target_metric_and_are_floats_in_range
)
test_frameworks_hold_the_same_numbers_of_parameters_of_every_type = of_each_pair(
    conformance.frameworks_hold_the_same_numbers_of_parameters_of_every_type
)
test_frameworks_draw_new_weights_from_the_same_distributions = of_each_pair(
    conformance.frameworks_draw_new_weights_from_the_same_distributions
)
test_frameworks_agree_on_loss_and_gradients_with_the_same_weights = of_each_pair(
    conformance.frameworks_agree_on_loss_and_gradients_with_the_same_weights, STEPPED_IN_JAX
)


def test_there_is_something_to_conform():
    assert len(names()) >= 2
    assert set(itertools.chain(names(), registry.names(mini=True))) == set(names())


def test_every_check_has_a_test_here():
    checks = (*conformance.DATA_CHECKS, *conformance.MODEL_CHECKS, *conformance.PAIR_CHECKS)
    for check in (*checks, *conformance.BASE_PAIR_CHECKS):
        assert f"test_{check.__name__}" in globals()
