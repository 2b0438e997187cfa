"""What both speech models share in PyTorch: their arguments, and the outputs of an evaluation step."""

from typing import Any

from torch import Tensor, nn

from algoperf.losses.torch_losses import ctc_loss
from algoperf.workload import WorkloadSpec


def call_args(batch: dict[str, Any], train: bool) -> dict[str, Any]:
    del train
    audio, paddings = batch["inputs"]
    return {"audio": audio, "paddings": paddings}


def eval_outputs(model: nn.Module, batch: dict[str, Any], spec: WorkloadSpec) -> dict[str, Tensor]:
    """Per utterance: CTC `loss` (B,) in nats, and `ids` (B, T) int32, each frame's best token, -1 on padded frames."""
    del spec
    logits, paddings_BT = model(**call_args(batch, train=False), dropout_rate=0.0)
    # Ids, not logits: 500 frames of 1,024 logits per utterance would be a lot to move to the host.
    ids_BT = logits.argmax(dim=-1).masked_fill(paddings_BT > 0, -1).int()
    return {"loss": ctc_loss(batch["targets"], (logits, paddings_BT))["per_example"], "ids": ids_BT}
