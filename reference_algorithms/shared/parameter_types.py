"""Which parameters are matrices, for algorithms that treat matrices differently."""

from algoperf.spec import ParameterType

PER_HEAD = {ParameterType.ATTENTION_Q, ParameterType.ATTENTION_K, ParameterType.ATTENTION_V}
"""Their shape in JAX is (model, heads, head): outputs are the last two axes. All other kernels end with the output."""

MATRIX_TYPES = {
    ParameterType.WEIGHT,
    ParameterType.CONV_WEIGHT,
    *PER_HEAD,
    ParameterType.ATTENTION_OUT,
    ParameterType.ATTENTION_QKV,
    ParameterType.ATTENTION_KV,
}
"""Kernels of layers. Each algorithm decides what to do with embeddings and with kernels of fewer than two axes."""
