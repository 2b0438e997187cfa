"""An output of evaluations that PyTorch does not give."""

from typing import Any

import jax
import jax.numpy as jnp
from workloads.diabetes.model_jax import Regression, example_batch, make_model

from algoperf.workload import WorkloadSpec

__all__ = ["eval_outputs", "example_batch", "make_model"]


def eval_outputs(
    model: Regression, variables: Any, batch: dict[str, jax.Array], spec: WorkloadSpec
) -> dict[str, jax.Array]:
    error = model.apply(variables, batch["inputs"], train=False, dropout_rate=0.0) - batch["targets"]
    return {"loss": error**2, "absolute_error": jnp.abs(error)}
