"""Models that had a second dropout rate until mid-2025 take one in their settings, for submissions of that time."""

import dataclasses

import numpy as np
import pytest
from bound_workloads import Bound

WITH_AUX = ["wmt_mini", "librispeech_conformer_mini", "librispeech_deepspeech_mini"]


@pytest.fixture(scope="module")
def losses(data_dir):
    """(workload, framework, second rate) -> losses of one batch with two seeds, the first rate being 0."""

    def get(name, framework, aux):
        run = Bound(name, framework, data_dir)
        if aux is not None:
            model = run.spec.model.as_configdict().to_dict() | {"aux_dropout_rate": aux}
            run.spec = dataclasses.replace(run.spec, model=model)
            workload = type(run.workload)(run.spec, framework, data_dir)
            params, model_state = workload.init_model_fn(workload.backend.root_key(0))
            run.workload, run.params, run.model_state = workload, params, model_state
        return [float(run.mean_loss(run.params, 0.0, seed)[0]) for seed in (1, 2)]

    return get


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_AUX)
def test_the_second_rate_drops_while_the_first_does_not(losses, name, framework):
    if framework == "jax" and name != "wmt_mini":
        pytest.skip("a step of speech takes half a minute to compile; one is enough")
    first, second = losses(name, framework, 0.5)
    assert first != second
    np.testing.assert_equal(*losses(name, framework, 0.0))
