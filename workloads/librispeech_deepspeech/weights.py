"""Names and layouts of the JAX model's weights in the PyTorch model; imports no framework."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from algoperf.weights import conv, dense
from algoperf.workload import WorkloadSpec

# PyTorch's LSTM stacks its gates in this order: input, forget, cell, output.
GATES = ("i", "f", "g", "o")


def jax_to_torch(params: Mapping[str, Any], spec: WorkloadSpec) -> dict[str, np.ndarray]:
    """Nested Flax parameters -> PyTorch state dict of the same function, without batch norm's statistics."""
    state: dict[str, np.ndarray] = {}
    for index in (0, 1):
        state |= conv(f"subsample.conv{index + 1}", params["Subsample_0"][f"Conv_{index}"])
    state |= dense("subsample.linear", params["Subsample_0"]["Dense_0"])
    for index in range(spec.model.num_lstm_layers):
        rnn = params[f"BatchRNN_{index}"]
        state |= _norm(f"lstms.{index}", rnn)
        for direction, suffix in (("forward", ""), ("backward", "_reverse")):
            gates = rnn["BiLSTM_0"][direction]
            for name, of_gate in fuse_gates(gates).items():
                state[f"lstms.{index}.lstm.{name}{suffix}"] = of_gate
    for index in range(spec.model.num_ffn_layers):
        ffn = params[f"FeedForwardModule_{index}"]
        state |= _norm(f"ffns.{index}", ffn)
        state |= dense(f"ffns.{index}.lin", ffn["Dense_0"])
    if spec.model.enable_decoder_layer_norm:
        state |= {f"ln.{name}": np.asarray(value) for name, value in params["LayerNorm_0"].items()}
    state |= dense("lin", params["Dense_0"])
    return {name: np.ascontiguousarray(value) for name, value in state.items()}


def _norm(name: str, module: Mapping[str, Any]) -> dict[str, np.ndarray]:
    short, layer = ("bn", "BatchNorm_0") if "BatchNorm_0" in module else ("ln", "LayerNorm_0")
    return {f"{name}.{short}.{key}": np.asarray(value) for key, value in module[layer].items()}


def fuse_gates(gates: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """One direction's LSTM weights with the rows of all gates in one array, in the order of `GATES`."""
    return {
        "weight_ih": np.concatenate([np.asarray(gates["i" + gate]["kernel"]).T for gate in GATES]),
        "weight_hh": np.concatenate([np.asarray(gates["h" + gate]["kernel"]).T for gate in GATES]),
        # Flax's LSTM has one bias per gate, on the hidden side; the PyTorch model adds the bias once, too.
        "bias": np.concatenate([np.asarray(gates["h" + gate]["bias"]) for gate in GATES]),
    }


def batch_stats_to_torch(batch_stats: Mapping[str, Any], spec: WorkloadSpec) -> dict[str, np.ndarray]:
    """Flax collection 'batch_stats' -> running statistics of batch norm as the PyTorch state dict names them."""
    del spec
    short = {"BatchRNN": "lstms", "FeedForwardModule": "ffns"}
    state = {}
    for module, layers in batch_stats.items():
        name, index = module.rsplit("_", 1)
        for kind, value in layers["BatchNorm_0"].items():
            state[f"{short[name]}.{index}.bn.running_{kind}"] = np.asarray(value)
    return state
