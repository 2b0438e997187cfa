"""Tries an optimizer of PyTorch on three small parameters, to find out what its step needs."""

import contextlib
import dataclasses
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch

from algoperf.adapter.call import Call
from algoperf.adapter.plan import Traits
from algoperf.adapter.signature import cannot
from algoperf.spec import UsageError

NUM_STEPS = 3
"""Some rules change something after the first steps."""
FUSED = ("Adam", "AdamW", "SGD")
"""Of torch.optim, those whose fused kernel exists on CPUs and on GPUs."""
Params = list[torch.nn.Parameter]


def traits_of(call: Call) -> Traits:
    """What an optimizer needs.

    Raises:
      UsageError: if it cannot be adapted; says why.
    """
    with _quietly():
        wants_matrices = _wants_matrices(call)
        shapes = ((4, 3), (3, 4)) if wants_matrices else SHAPES
        first = _trained(call, shapes)
        found = Traits(
            closure=first,
            has_modes=_has_modes(_made(call, _params(shapes))),
            wants_matrices=wants_matrices,
            takes_groups=call.optimizer.first is not None and _takes_groups(call, shapes),
        )
        return dataclasses.replace(
            found, fast=_fast(call, shapes), bears_zero=_bears_zero(call, shapes, found.closure)
        )


SHAPES = ((4, 3), (3,), (2, 2, 3, 3))
"""A matrix, a vector, the kernel of a convolution."""


def _params(shapes: Any) -> Params:
    generator = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]


def _made(call: Call, params: Any, **more: Any) -> Any:
    """The optimizer of a call."""
    values = {**call.values, **more}
    for name, inner in call.inner.items():
        if call.optimizer.first is None:
            values[name] = _made(inner, params)
        else:  # The class, and its arguments among those of the outer one.
            values = {**values, name: inner.optimizer.target, **inner.values}
    if call.optimizer.first is None:
        return call.optimizer.target(**values)
    return call.optimizer.target(params, **values)


def _wants_matrices(call: Call) -> bool:
    """Whether it can be made for matrices, and for nothing else."""
    if call.optimizer.first is None:
        return False
    try:
        _made(call, _params(SHAPES))
        return False
    except Exception:
        with contextlib.suppress(Exception):
            _made(call, _params(((4, 3),)))
            return True
        return False


def _trained(call: Call, shapes: Any) -> str:
    """How its step is called: '', or see `Traits.closure`."""
    problems = []
    for closure in ("", "first", "after"):
        params = _params(shapes)
        try:
            optimizer = _made(call, params)
            if not callable(getattr(optimizer, "step", None)) or not hasattr(optimizer, "param_groups"):
                raise TypeError(f"a {type(optimizer).__name__} has no step() or no param_groups")
            _train_mode(optimizer)
            before = [param.detach().clone() for param in params]
            for _ in range(NUM_STEPS):
                _step(optimizer, params, closure)
            if all(torch.equal(old, new) for old, new in zip(before, params)):
                raise RuntimeError(f"{NUM_STEPS} steps changed no parameter")
            if not all(bool(param.isfinite().all()) for param in params):
                raise RuntimeError(f"after {NUM_STEPS} steps parameters are not finite")
            return closure
        except (Exception, SystemExit) as error:
            problems.append(f"{type(error).__name__}: {' '.join(str(error).split())}")
    raise UsageError(cannot(call.optimizer, problems[0]))


def _step(optimizer: Any, params: Params, closure: str) -> None:
    @torch.enable_grad()
    def backward() -> torch.Tensor:
        for param in params:
            param.grad = None
        loss = torch.stack([((param - 1) ** 2).sum() for param in params]).sum()
        loss.backward()
        return loss.detach()

    if closure != "first":
        backward()
    if not closure:
        optimizer.step()
        return
    moved_before, calls = False, 0
    start = [param.detach().clone() for param in params]

    def called() -> torch.Tensor:
        nonlocal moved_before, calls
        if calls == 0:
            moved_before = not all(torch.equal(old, new) for old, new in zip(start, params))
        calls += 1
        return backward()

    optimizer.step(called)
    if closure == "first" and moved_before:
        raise RuntimeError("it moves the parameters before it asks for the gradient")


def _bears_zero(call: Call, shapes: Any, closure: str) -> bool:
    """See `Traits.bears_zero`."""

    def tried() -> None:
        params = _params(shapes)
        optimizer = _made(call, params)
        _train_mode(optimizer)
        rates = [group.get("lr") for group in optimizer.param_groups]
        for number in range(NUM_STEPS):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                if rate is not None:
                    group["lr"] = rate if number else rate * 0.0
            _step(optimizer, params, closure)
        if not all(bool(param.isfinite().all()) for param in params):
            raise RuntimeError("parameters are not finite")

    return _works(tried)


def _has_modes(optimizer: Any) -> bool:
    return all(callable(getattr(optimizer, name, None)) for name in ("train", "eval"))


def _train_mode(optimizer: Any) -> None:
    if _has_modes(optimizer):
        optimizer.train()


def _takes_groups(call: Call, shapes: Any) -> bool:
    params = _params(shapes)
    rest: dict[str, Any] = {"params": params[1:]}
    if "weight_decay" in call.optimizer.names:
        rest["weight_decay"] = 0.0
    return _works(lambda: _made(call, [{"params": params[:1]}, rest]))


def _fast(call: Call, shapes: Any) -> str:
    """An argument that makes its steps faster, where nobody has chosen one."""
    names = call.optimizer.names
    if call.inner or {"fused", "foreach"} & call.values.keys():
        return ""
    is_known = call.optimizer.named.module == "torch.optim" and call.optimizer.named.name in FUSED
    for name in ("fused", "foreach"):
        if name not in names or (name == "fused" and not is_known):
            continue

        def tried(name: str = name) -> None:
            params = _params(shapes)
            _step(_made(call, params, **{name: True}), params, "")

        if call.value_of(name) is None and _works(tried):
            return name
    return ""


def _works(function: Callable[[], Any]) -> bool:
    try:
        function()
        return True
    except Exception:
        return False


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
