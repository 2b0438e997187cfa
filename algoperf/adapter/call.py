"""How an optimizer is called: settings checked against its signature, and what of them is a hyperparameter.

Numbers and lists of numbers become hyperparameters: fields of the point that the records of a trial hold. Words and
switches are written into the call.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from algoperf.adapter import dialect
from algoperf.adapter import given as givens
from algoperf.adapter.named import is_optimizer, parse
from algoperf.adapter.signature import Optimizer, Parameter, load
from algoperf.spec import UsageError, no_such

COMPLEMENT = "one_minus_"
"""Before the name of a hyperparameter: it is 1 minus that, as for all submissions."""
OPAQUE = "opaque_mode"
"""Of sharpness-aware rules of optax: whether steps uphill stay within an update, as they must where batch norm moves,
and where any step may be the last before an evaluation."""
HYPERPARAMETERS = "hyperparameters"
"""What the point is called in the function that is written."""


@dataclass
class Call:
    """A call of an optimizer."""

    optimizer: Optimizer
    arguments: dict[str, "str | Call"] = field(default_factory=dict)
    """Argument -> expression, or the call of another optimizer."""
    values: dict[str, Any] = field(default_factory=dict)
    """Argument -> its value, to try the optimizer with; those of ranges are in their middle."""
    point: dict[str, Any] = field(default_factory=dict)
    """Hyperparameter -> value where nothing is tuned; those of inner optimizers included."""

    @property
    def inner(self) -> "dict[str, Call]":
        return {name: one for name, one in self.arguments.items() if isinstance(one, Call)}

    def value_of(self, name: str) -> Any:
        """The value of an argument, its default included; None where it has none."""
        parameter = self.optimizer.parameter(name)
        default = None if parameter is None or parameter.is_required else parameter.default
        return self.values.get(name, default)


def bind(
    optimizer: Optimizer, arguments: Mapping[str, Any], ranges: Mapping[str, Any], prefix: str = ""
) -> Call:
    """The call of an optimizer.

    Args:
      optimizer: from `signature.load`.
      arguments: name -> value; those of an inner optimizer as `<argument>.<name>`.
      ranges: hyperparameter -> a value of the search space, for those that are tuned.
      prefix: of the hyperparameters of an inner optimizer.

    Raises:
      UsageError: for a name that it does not have, a value of another kind, or one that is missing.
    """
    call = Call(optimizer)
    own = {name: value for name, value in arguments.items() if "." not in name}
    _check_names(optimizer, own)
    for name in [*optimizer.names, *(name for name in own if name not in optimizer.names)]:
        parameter = optimizer.parameter(name) or Parameter(name)
        nested = {
            key.partition(".")[2]: value for key, value in arguments.items() if key.startswith(f"{name}.")
        }
        tuned = _tuned(parameter, ranges, prefix)
        if name in own and tuned:
            raise UsageError(f"{name} is both set and in the search space: leave one of them out.")
        if parameter.takes_optimizer and (nested or is_optimizer(own.get(name, ""))):
            _bind_inner(call, parameter, own, nested, ranges, prefix)
        elif tuned:
            call.arguments[name], call.values[name] = tuned
            call.point |= {key: ranges[key] for key in ranges if _belongs(key, parameter, prefix)}
        elif name in own:
            _put(call, parameter, own[name], prefix)
        elif name == optimizer.rate and _is_number(parameter.default):
            _put(call, parameter, parameter.default, prefix)
        elif parameter.is_required:
            raise UsageError(_missing(optimizer, parameter))
        elif name == OPAQUE and parameter.default is False:
            _put(call, parameter, True, prefix)
    return call


def _check_names(optimizer: Optimizer, own: Mapping[str, Any]) -> None:
    for name in own:
        if name not in optimizer.names and not (optimizer.takes_any and name.isidentifier()):
            raise no_such(f"argument of {optimizer.named.text}", name, (*optimizer.names, *givens.SHARED))


def _missing(optimizer: Optimizer, parameter: Parameter) -> str:
    own = dialect.of(optimizer.framework)
    example, rate = own.example, own.rate
    if parameter.takes_optimizer:
        wanted = f"--set {parameter.name}={example} --set {parameter.name}.{rate}"
    elif parameter.name == optimizer.rate:
        wanted = f"--set {parameter.name}=1e-3"
    else:
        wanted = f"--set {parameter.name}=<value>"
    return f"{optimizer.named.text} needs {parameter.name}, which has no default: add for example {wanted}."


def _bind_inner(
    call: Call,
    parameter: Parameter,
    own: Mapping[str, Any],
    nested: Mapping[str, Any],
    ranges: Mapping[str, Any],
    prefix: str,
) -> None:
    if not is_optimizer(own.get(parameter.name, "")):
        raise UsageError(
            f"{parameter.name}.{next(iter(nested))} is given, and not which optimizer {parameter.name} is: add --set "
            f"{parameter.name}=<optimizer>."
        )
    loaded = load(parse(own[parameter.name]))
    if loaded.framework != call.optimizer.framework:
        raise UsageError(
            f"{loaded.named.text} is written for {loaded.framework}, and {call.optimizer.named.text}, which is to hold "
            f"it, for {call.optimizer.framework}: name two for one framework."
        )
    inner = bind(loaded, nested, ranges, f"{prefix}{parameter.name}_")
    call.arguments[parameter.name] = inner
    call.point |= inner.point


def _put(call: Call, parameter: Parameter, value: Any, prefix: str) -> None:
    _check_value(call.optimizer, parameter, value)
    call.values[parameter.name] = _as_given(parameter, value)
    is_field = _is_number(value) or (
        isinstance(value, list) and value and all(_is_number(one) for one in value)
    )
    key = f"{prefix}{parameter.name}"
    if not is_field or key in givens.OF_STEP:  # Those the shared step would read, too.
        call.arguments[parameter.name] = repr(_as_given(parameter, value))
        return
    call.arguments[parameter.name] = _read(parameter, key, value)
    call.point[key] = value


def _as_given(parameter: Parameter, value: Any) -> Any:
    """JSON has lists only, and most optimizers want tuples."""
    return tuple(value) if isinstance(value, list) and not isinstance(parameter.default, list) else value


def _read(parameter: Parameter, key: str, value: Any) -> str:
    text = f"{HYPERPARAMETERS}.{key}"
    return f"tuple({text})" if isinstance(_as_given(parameter, value), tuple) else text


def _check_value(optimizer: Optimizer, parameter: Parameter, value: Any) -> None:
    if _is_number(parameter.default) and isinstance(value, (str, list)):
        raise UsageError(
            f"{optimizer.named.text}: {parameter.name} is a number, {parameter.default} by default, got {value!r}."
        )
    if (
        isinstance(parameter.default, tuple)
        and isinstance(value, list)
        and len(value) != len(parameter.default)
    ):
        raise UsageError(
            f"{optimizer.named.text}: {parameter.name} has {len(parameter.default)} values, {parameter.default} by "
            f"default, got {value!r}."
        )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


# ---- search spaces ---------------------------------------------------------------------------------------------------


def _parts(parameter: Parameter) -> tuple[str, ...]:
    """Names of the parts of a pair or triple: beta1, beta2 of betas.

    >>> _parts(Parameter("betas", (0.9, 0.999)))
    ('beta1', 'beta2')
    """
    if not isinstance(parameter.default, tuple) or not all(_is_number(one) for one in parameter.default):
        return ()
    return tuple(
        f"{parameter.name.removesuffix('s')}{index}" for index in range(1, len(parameter.default) + 1)
    )


def _belongs(key: str, parameter: Parameter, prefix: str) -> bool:
    if not key.removeprefix(COMPLEMENT).startswith(prefix):
        return False
    return key.removeprefix(COMPLEMENT).removeprefix(prefix) in (parameter.name, *_parts(parameter))


def _tuned(parameter: Parameter, ranges: Mapping[str, Any], prefix: str) -> tuple[str, Any] | None:
    """(expression, value to try) of an argument that the search space has; None for others."""
    found: dict[str, tuple[str, Any]] = {}
    for key, value in ranges.items():
        if _belongs(key, parameter, prefix):
            name = key.removeprefix(COMPLEMENT)
            is_complement = key.startswith(COMPLEMENT)
            text = f"1 - {HYPERPARAMETERS}.{key}" if is_complement else _read(parameter, key, value)
            tried = 1 - value if is_complement else _as_given(parameter, value)
            found[name.removeprefix(prefix)] = text, tried
    if not found:
        return None
    if parameter.name in found:
        return found[parameter.name]
    assert isinstance(parameter.default, tuple)
    parts = [
        found.get(name, (repr(value), value)) for name, value in zip(_parts(parameter), parameter.default)
    ]
    return f"({', '.join(text for text, _ in parts)})", tuple(value for _, value in parts)


def check_space(call: Call, ranges: Mapping[str, Any]) -> None:
    """Raises UsageError for a name in the search space that nothing reads."""
    for name in ranges:
        if name not in call.point and name not in givens.NUMBERS:
            choices = [*_names_of(call), *givens.NUMBERS]
            raise no_such(f"hyperparameter of {call.optimizer.named.text}", name, choices)


def _names_of(call: Call, prefix: str = "") -> list[str]:
    found = []
    for one in call.optimizer.parameters:
        found += [f"{prefix}{name}" for name in (one.name, *_parts(one))]
    for name, inner in call.inner.items():
        found += _names_of(inner, f"{prefix}{name}_")
    return found


def with_arguments(call: Call, **arguments: str) -> Call:
    """The same call with further arguments, as expressions."""
    return dataclasses.replace(call, arguments={**call.arguments, **arguments})
