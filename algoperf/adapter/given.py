"""What `--set name=value` says: values, and which of them are shared by all optimizers."""

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from algoperf.spec import UsageError, no_such

SCHEDULES = ("warmup_cosine", "warmup_linear", "constant")
DECAYED = ("matrices", "all")
"""Of `decay`: which parameters weight decay acts on."""
MATRICES = ("only", "all")
"""Of `matrices`: whether the optimizer gets hidden matrices only, and AdamW the rest, or all parameters."""
SHORT = {"warmup": "warmup_factor", "clip": "grad_clip", "dropout": "dropout_rate"}
"""Short names, as many say, of hyperparameters that the shared training step reads."""
OF_STEP = ("label_smoothing", "dropout_rate", "grad_clip")
"""Hyperparameters that the shared training step reads."""
OF_REST = ("rest_lr", "rest_weight_decay")
"""Of AdamW, which gets what is no hidden matrix."""
NUMBERS = (*OF_STEP, "warmup_factor", *OF_REST)
"""Shared settings that are numbers, and may be in a search space."""
CHOICES = {"schedule": SCHEDULES, "decay": DECAYED, "matrices": MATRICES}
SHARED = (*CHOICES, "batch_size", *SHORT, *NUMBERS)


@dataclass(frozen=True)
class Given:
    """Settings of one optimizer."""

    arguments: dict[str, Any] = field(default_factory=dict)
    """Of the optimizer, by the names of its own signature."""
    shared: dict[str, Any] = field(default_factory=dict)
    """By their long names."""


def parse(texts: Iterable[str]) -> dict[str, Any]:
    """Name -> value from `name=value`, several separated by commas.

    Raises:
      UsageError: for a text of another form, or a name that is given twice.

    >>> parse(["lr=1e-3,betas=(0.9, 0.99)", "nesterov=true"])
    {'lr': 0.001, 'betas': [0.9, 0.99], 'nesterov': True}
    """
    found: dict[str, Any] = {}
    for text in texts:
        for part in _split(text):
            name, equals, value = part.partition("=")
            name = name.strip()
            if not equals or not name:
                raise UsageError(
                    f"--set={text}: give name=value, for example --set lr=1e-3 or --set lr=1e-3,eps=1e-8."
                )
            if name in found:
                raise UsageError(f"--set gives {name!r} twice: leave one of them out.")
            found[name] = _value(value.strip())
    return found


def _split(text: str) -> list[str]:
    """At commas that are in no brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _value(text: str) -> Any:
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return list(value) if isinstance(value, tuple) else value


def sorted_out(settings: Mapping[str, Any], own_names: Iterable[str]) -> Given:
    """Which settings are the optimizer's own, and which are shared; its own names win.

    Raises:
      UsageError: for a shared setting that has no such value.
    """
    own, given = set(own_names), Given()
    for name, value in settings.items():
        if name in own or name.partition(".")[0] in own or name not in SHARED:
            given.arguments[name] = value
            continue
        long = SHORT.get(name, name)
        if long in given.shared:
            raise UsageError(f"--set gives {long!r} twice, once as {name!r}: leave one of them out.")
        given.shared[long] = _checked(long, value)
    return given


def _checked(name: str, value: Any) -> Any:
    if name in CHOICES:
        if value not in CHOICES[name]:
            raise no_such(name, value, CHOICES[name])
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UsageError(f"--set {name}={value} must be a number.")
    limits = {"label_smoothing": (0, 1), "dropout_rate": (0, 1), "warmup_factor": (0, 1)}
    low, high = limits.get(name, (0, float("inf")))
    if not low <= value <= high:
        raise UsageError(f"--set {name}={value} must be from {low} to {high}.")
    if name in ("batch_size", "grad_clip") and value <= 0:
        raise UsageError(f"--set {name}={value} must be positive; leave it out where it is not wanted.")
    if name == "batch_size" and not isinstance(value, int):
        raise UsageError(f"--set batch_size={value} must be a whole number.")
    return value
