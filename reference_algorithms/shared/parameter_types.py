"""Which parameters are matrices, for the algorithms that treat matrices in a way of their own."""

from algoperf.spec import ParameterType

PER_HEAD = {ParameterType.ATTENTION_Q, ParameterType.ATTENTION_K, ParameterType.ATTENTION_V}
"""In JAX their shape is (model, heads, head), so outputs begin at the second axis; all others end with the output."""

MATRIX_TYPES = {
    ParameterType.WEIGHT,
    ParameterType.CONV_WEIGHT,
    *PER_HEAD,
    ParameterType.ATTENTION_OUT,
    ParameterType.ATTENTION_QKV,
    ParameterType.ATTENTION_KV,
}
"""Kernels of layers. What an algorithm does with those of fewer than two axes, or with embeddings, is its affair."""
