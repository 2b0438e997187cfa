"""Parameter shapes, and parameter types derived from names; the first matching rule decides.

Source of the rules: AlgoPerf 0.6. Type trees have the same keys as the parameter tree; in AlgoPerf's JAX trees keys are
lower-cased, so they do not match.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

from algoperf.spec import ParameterShapeTree, ParameterType, ParameterTypeTree, ShapeTuple


class HasShape(Protocol):
    """An array, or what stands for one."""

    @property
    def shape(self) -> Iterable[int]: ...


class HasParameters(Protocol):
    """What is asked of a `torch.nn.Module`."""

    def named_parameters(self) -> Iterable[tuple[str, HasShape]]: ...


ArrayTree = Mapping[str, "HasShape | ArrayTree"]
ShapeTree = Mapping[str, "ShapeTuple | ShapeTree"]


def pytorch_param_shapes(model: HasParameters) -> dict[str, ShapeTuple]:
    """Dotted parameter name -> shape, for a `torch.nn.Module` that is not wrapped."""
    return {name: ShapeTuple(tuple(param.shape)) for name, param in model.named_parameters()}


def jax_param_shapes(params: ArrayTree) -> ParameterShapeTree:
    """Nested dict of shapes with the structure of `params` (arrays or abstract arrays)."""
    return {
        key: jax_param_shapes(value) if isinstance(value, Mapping) else ShapeTuple(tuple(value.shape))
        for key, value in params.items()
    }


def _scale_or_bias(name: str, scale: ParameterType, bias: ParameterType) -> ParameterType:
    return bias if "bias" in name else scale


# The order matters: "kv_proj" contains "v_proj", and "qkv_proj" contains "kv_proj".
_ATTENTION_PROJECTIONS = (
    (("in_proj", "qkv_proj"), ParameterType.ATTENTION_QKV),
    (("kv_proj",), ParameterType.ATTENTION_KV),
    (("k_proj", "key"), ParameterType.ATTENTION_K),
    (("q_proj", "query"), ParameterType.ATTENTION_Q),
    (("v_proj", "value"), ParameterType.ATTENTION_V),
    (("out",), ParameterType.ATTENTION_OUT),
)


def _attention_type(path: str) -> ParameterType | None:
    if "bias" in path:
        return ParameterType.ATTENTION_BIAS
    for words, param_type in _ATTENTION_PROJECTIONS:
        if any(word in path for word in words):
            return param_type
    return ParameterType.WEIGHT if "scale" in path else None


def pytorch_param_types(shapes: Mapping[str, ShapeTuple]) -> dict[str, ParameterType]:
    """Dotted parameter name -> type.

    Raises:
      ValueError: if the name of an attention parameter does not tell its role.
    """
    types = {}
    for name in shapes:
        # The order of the rules is AlgoPerf's. Normalisation comes before attention, which may contain norm
        # layers.
        if "bn" in name:
            types[name] = _scale_or_bias(name, ParameterType.BATCH_NORM_SCALE, ParameterType.BATCH_NORM_BIAS)
        elif "norm" in name or "ln" in name:
            types[name] = _scale_or_bias(name, ParameterType.LAYER_NORM_SCALE, ParameterType.LAYER_NORM_BIAS)
        elif "conv" in name:
            types[name] = ParameterType.BIAS if "bias" in name else ParameterType.CONV_WEIGHT
        elif "embed" in name and "weight" in name:
            types[name] = ParameterType.EMBEDDING
        elif "attn" in name or "attention" in name:
            types[name] = _known(name, _attention_type(name))
        else:
            types[name] = ParameterType.BIAS if "bias" in name else ParameterType.WEIGHT
    return types


def jax_param_types(shapes: ShapeTree, parents: str = "") -> ParameterTypeTree:
    """Nested dict of types with the structure of `shapes`; `parents` is the lower-cased path so far."""
    types: ParameterTypeTree = {}
    for key, value in shapes.items():
        leaf = key.lower()
        if isinstance(value, Mapping):
            types[key] = jax_param_types(value, f"{parents}/{leaf}")
        elif "batchnorm" in parents or "bn" in parents:
            types[key] = _scale_or_bias(leaf, ParameterType.BATCH_NORM_SCALE, ParameterType.BATCH_NORM_BIAS)
        elif "layernorm" in parents or "ln" in parents:
            types[key] = _scale_or_bias(leaf, ParameterType.LAYER_NORM_SCALE, ParameterType.LAYER_NORM_BIAS)
        elif "conv" in parents:
            types[key] = ParameterType.BIAS if "bias" in leaf else ParameterType.CONV_WEIGHT
        # Flax calls an embedding's table "embedding"; a dense layer used as one is recognised by the name of
        # its module.
        elif "embedding" in leaf or ("embedding" in parents and leaf == "kernel"):
            types[key] = ParameterType.EMBEDDING
        elif "attention" in parents:
            types[key] = _known(
                f"{parents}/{key}", _attention_type(f"{parents.split('attention')[-1]}/{leaf}")
            )
        else:
            types[key] = ParameterType.BIAS if "bias" in leaf else ParameterType.WEIGHT
    return types


def _known(name: str, param_type: ParameterType | None) -> ParameterType:
    if param_type is None:
        raise ValueError(
            f"Parameter {name!r} is part of an attention layer, but its name tells no role; "
            "call it query, key, value, out, in_proj, kv_proj or scale."
        )
    return param_type
