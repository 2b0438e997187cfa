"""A folder that the tests share, and short trainings on `digits` in this process."""

import numpy as np
import pytest
from harness import digits, shared_workload

from algoperf import backends, submission, tuning
from algoperf.adapter import here

SEED = 0


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("adapted")


@pytest.fixture(scope="session")
def adapt(root):
    """Adapts in this process; `text`, then settings by keyword."""

    def adapted(text, settings=None, framework=None, space=None, eject=None):
        return here.as_submission(text, framework, settings or {}, space, root, eject)

    return adapted


@pytest.fixture(scope="session")
def train():
    """Trains a submission for some steps on `digits`; returns (parameters trained, evaluated), as flat arrays."""

    def trained(folder, steps=3):
        loaded = submission.load(folder)
        backend = backends.get_backend(loaded.framework)
        workload = shared_workload(digits(), loaded.framework)
        space, _ = submission.search_space(loaded.path, None)
        point = tuning.make_hyperparameters(tuning.draw_points(space, 1, seed=SEED)[0])
        params, model_state = workload.init_model_fn(backend.root_key(SEED))
        state = loaded.module.init_optimizer_state(
            workload, params, model_state, point, backend.root_key(SEED)
        )
        keys = backend.step_keys(SEED)
        queue = workload._build_input_queue(backend.root_key(SEED), "train", None, 64)
        common = {
            "workload": workload,
            "current_params_types": workload.model_params_types,
            "hyperparameters": point,
            "loss_type": workload.loss_type,
            "eval_results": [],
        }
        for step in range(steps):
            state, params, model_state = loaded.module.update_params(
                **common,
                current_param_container=params,
                model_state=model_state,
                batch=next(queue),
                optimizer_state=state,
                global_step=step,
                rng=keys(step)[1],
            )
        queue.close()
        now = _flat(params)
        if hasattr(loaded.module, "prepare_for_eval"):
            state, params, model_state = loaded.module.prepare_for_eval(
                **common,
                current_param_container=params,
                model_state=model_state,
                optimizer_state=state,
                global_step=steps,
                rng=keys(steps)[1],
            )
        return now, _flat(params)

    return trained


def _flat(params):
    if hasattr(params, "parameters"):
        leaves = [param.detach().numpy() for param in params.parameters()]
    else:
        import jax  # Only where a test of JAX has it anyway.

        leaves = jax.tree.leaves(params)
    return np.concatenate([np.asarray(leaf).ravel() for leaf in leaves])
