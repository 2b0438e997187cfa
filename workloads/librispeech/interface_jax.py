"""What both speech models share in JAX: their arguments, and the outputs of an evaluation step."""

from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from algoperf.losses.jax_losses import ctc_loss
from algoperf.workload import WorkloadSpec


def example_batch(spec: WorkloadSpec) -> dict[str, Any]:
    """A batch of one row of silence."""
    audio = np.zeros((1, spec.data.max_audio_samples), np.float32)
    return {"inputs": (audio, audio)}


def call_args(batch: dict[str, Any], train: bool) -> dict[str, Any]:
    del train
    audio, paddings = batch["inputs"]
    return {"audio": audio, "paddings": paddings}


def eval_outputs(
    model: nn.Module, variables: Any, batch: dict[str, Any], spec: WorkloadSpec
) -> dict[str, jax.Array]:
    """Per utterance: CTC `loss` (B,) in nats, and `ids` (B, T) int32, each frame's best token, -1 on padded frames."""
    del spec
    outputs = model.apply(variables, **call_args(batch, train=False), train=False, dropout_rate=0.0)
    logits, paddings_BT = cast(tuple[jax.Array, jax.Array], outputs)
    # Ids, not logits: 500 frames of 1,024 logits per utterance would be a lot to move to the host.
    ids_BT = jnp.where(paddings_BT > 0, -1, jnp.argmax(logits, axis=-1)).astype(jnp.int32)
    return {"loss": ctc_loss(batch["targets"], (logits, paddings_BT))["per_example"], "ids": ids_BT}
