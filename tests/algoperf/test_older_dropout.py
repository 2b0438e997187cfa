"""Submissions that leave dropout to the harness get the rates that the harness of their time built models with."""

import collections
import dataclasses

from harness import submission, trial_config

from algoperf import registry
from algoperf.run import session


def bound_rates(tmp_path, leaves, workload="wmt_mini", **point):
    """(rate of the model, second rate) of a trial with this point."""
    run = dataclasses.replace(submission("pytorch"), leaves_dropout_to_harness=leaves)
    config = trial_config(tmp_path, "pytorch", run, workload=registry.get(workload), point=point)
    hyperparameters = collections.namedtuple("Hyperparameters", point)(**point)
    bound = session._workload(config, hyperparameters)
    assert config.identity()["workload_config"] == registry.get(workload).config_hash()
    return bound.default_dropout_rate, bound.spec.model.get("aux_dropout_rate")


def test_an_absent_second_rate_meant_a_tenth_whatever_the_first_was(tmp_path):
    assert bound_rates(tmp_path, True, dropout_rate=0.0) == (0.0, 0.1)
    assert bound_rates(tmp_path, True, dropout_rate=0.3, aux_dropout_rate=None) == (0.3, 0.1)
    assert bound_rates(tmp_path, True, dropout_rate=0.3, aux_dropout_rate=0.2) == (0.3, 0.2)
    assert bound_rates(tmp_path, True, aux_dropout_rate=0.0) == (0.1, 0.0)


def test_points_without_a_rate_and_submissions_that_pass_one_are_as_ever(tmp_path):
    assert bound_rates(tmp_path, True, learning_rate=0.1) == (0.1, None)
    assert bound_rates(tmp_path, False, dropout_rate=0.0, aux_dropout_rate=0.4) == (0.1, None)
