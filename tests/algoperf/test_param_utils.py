"""Shapes and types of parameters, from their names."""

import pytest

from algoperf.param_utils import jax_param_shapes, jax_param_types, pytorch_param_types
from algoperf.spec import ParameterType as T
from algoperf.spec import ShapeTuple

SHAPE = ShapeTuple((2, 3))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("layers.0.bn1.weight", T.BATCH_NORM_SCALE),
        ("layers.0.bn1.bias", T.BATCH_NORM_BIAS),
        ("norm_self_attn.weight", T.LAYER_NORM_SCALE),
        ("ln_1.bias", T.LAYER_NORM_BIAS),
        ("convs.0.weight", T.CONV_WEIGHT),
        ("convs.0.bias", T.BIAS),
        ("shared_embedding.weight", T.EMBEDDING),
        ("self_attn.in_proj_weight", T.ATTENTION_QKV),
        ("self_attn.kv_proj.weight", T.ATTENTION_KV),
        ("self_attn.q_proj.weight", T.ATTENTION_Q),
        ("self_attn.k_proj.weight", T.ATTENTION_K),
        ("self_attn.v_proj.weight", T.ATTENTION_V),
        ("self_attn.out_proj.weight", T.ATTENTION_OUT),
        ("self_attn.q_proj.bias", T.ATTENTION_BIAS),
        ("cross_attention.query.weight", T.ATTENTION_Q),
        ("attention.scale", T.WEIGHT),
        ("hidden.weight", T.WEIGHT),
        ("hidden.bias", T.BIAS),
    ],
)
def test_types_in_pytorch_follow_the_name(name, wanted):
    assert pytorch_param_types({name: SHAPE}) == {name: wanted}


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("BatchNorm_0/scale", T.BATCH_NORM_SCALE),
        ("BatchNorm_0/bias", T.BATCH_NORM_BIAS),
        ("encoder/LayerNorm_1/scale", T.LAYER_NORM_SCALE),
        ("encoder/ln/bias", T.LAYER_NORM_BIAS),
        ("Conv_0/kernel", T.CONV_WEIGHT),
        ("Conv_0/bias", T.BIAS),
        ("shared_embedding/embedding", T.EMBEDDING),
        ("Embedding_0/kernel", T.EMBEDDING),
        ("SelfAttention_0/query/kernel", T.ATTENTION_Q),
        ("SelfAttention_0/key/kernel", T.ATTENTION_K),
        ("SelfAttention_0/value/kernel", T.ATTENTION_V),
        ("SelfAttention_0/out/kernel", T.ATTENTION_OUT),
        ("SelfAttention_0/out/bias", T.ATTENTION_BIAS),
        ("Dense_0/kernel", T.WEIGHT),
        ("Dense_0/bias", T.BIAS),
    ],
)
def test_types_in_jax_follow_the_path(path, wanted):
    tree, leaf = SHAPE, wanted
    for key in reversed(path.split("/")):
        tree, leaf = {key: tree}, {key: leaf}
    assert jax_param_types(tree) == leaf


def test_an_attention_parameter_whose_name_tells_no_role_is_an_error():
    with pytest.raises(ValueError, match=r"'attn.mystery' is part of an attention layer"):
        pytorch_param_types({"attn.mystery": SHAPE})
    with pytest.raises(ValueError, match="mystery"):
        jax_param_types({"Attention_0": {"mystery": {"kernel": SHAPE}}})


def test_shapes_are_leaves_of_trees():
    import jax
    import jax.numpy as jnp

    params = {"Dense_0": {"kernel": jnp.zeros((2, 3)), "bias": jnp.zeros(3)}}
    shapes = jax_param_shapes(params)
    assert shapes == {"Dense_0": {"kernel": ShapeTuple((2, 3)), "bias": ShapeTuple((3,))}}
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape_tuple), shapes)
    assert jax.tree.structure(zeros) == jax.tree.structure(params)


def test_a_shape_prints_compares_and_hashes():
    assert repr(ShapeTuple((2, 3))) == "ShapeTuple((2, 3))"
    assert ShapeTuple((2, 3)) == ShapeTuple([2, 3])
    assert ShapeTuple((2, 3)) != ShapeTuple((3, 2))
    assert ShapeTuple((2,)) != (2,)
    assert hash(ShapeTuple((2, 3))) == hash(ShapeTuple((2, 3)))
