"""PyTorch's compiler, which takes two seconds to import, is imported when something compiles, and not before.

Every `torch.optim.Optimizer` imports it when it is made, to tell it that it is to leave some methods alone. As long as
it is not there, nobody has to be told. The optimizers that PyTorch itself brings import it in each `step` as well: they
still do so when they are made, which is off the clock.
"""

import functools
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

import torch

NAME = "torch._dynamo"


def leave_for_later() -> None:
    """From now on an optimizer does not import the compiler. A second call changes nothing."""
    for name, method in list(vars(torch.optim.Optimizer).items()):
        if _tells_the_compiler(method):
            setattr(torch.optim.Optimizer, name, _without_the_compiler(method))


def _tells_the_compiler(method: object) -> bool:
    """Whether it is what `torch._disable_dynamo` makes of a method, in the versions where that imports the compiler."""
    code = getattr(method, "__code__", None)
    return hasattr(method, "__wrapped__") and code is not None and code.co_filename == torch._compile.__file__


def _without_the_compiler(method: Callable[..., Any]) -> Callable[..., Any]:
    plain: Callable[..., Any] = method.__wrapped__  # type: ignore[attr-defined]

    @functools.wraps(method)
    def either(optimizer: torch.optim.Optimizer, *args: Any, **kwargs: Any) -> Any:
        is_wanted = NAME in sys.modules or _imports_it_in_step(type(optimizer))
        return (method if is_wanted else plain)(optimizer, *args, **kwargs)

    return either


def _imports_it_in_step(kind: type[torch.optim.Optimizer]) -> bool:
    """Whether `step` is what `_use_grad_for_differentiable` makes of one, below whatever else is around it."""
    step: Any = kind.step
    while step is not None:
        code = getattr(step, "__code__", None)
        if code is not None and NAME in code.co_names:  # As `import` has it.
            return True
        step = getattr(step, "__wrapped__", None)
    return False


def when_imported(action: Callable[[], None]) -> None:
    """Calls `action` as soon as the compiler has been imported: now, if it is there already."""
    if NAME in sys.modules:
        action()
        return
    # Of a trial before in this process, which hears nothing any more.
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Watch)]
    sys.meta_path.insert(0, _Watch(action))


class _Watch(importlib.abc.MetaPathFinder):
    """Finds nothing itself; looks on when the compiler is imported, once."""

    def __init__(self, action: Callable[[], None]):
        self._action = action

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != NAME:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = self._then_act(spec.loader.exec_module)  # type: ignore[assignment,method-assign]
        return spec

    def _then_act(self, execute: Callable[[types.ModuleType], None]) -> Callable[[types.ModuleType], None]:
        def execute_and_act(module: types.ModuleType) -> None:
            execute(module)
            self._action()

        return execute_and_act
