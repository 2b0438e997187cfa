"""An optimizer that was imported: its framework, its arguments, its package. Runs in the process that adapts."""

import contextlib
import hashlib
import importlib
import importlib.metadata
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from algoperf import files, frameworks
from algoperf.adapter import dialect
from algoperf.adapter.named import Named
from algoperf.spec import UsageError, no_such

TEMPLATE = "what the adapter cannot do is a few lines in a copy of submissions/template"
RATES = ("learning_rate", "lr", "max_learning_rate", "max_lr")
"""What the argument is called that a schedule multiplies."""
PARAMS = ("params", "parameters", "param_groups", "model_params")
"""What the argument is called for which PyTorch's optimizers get the parameters."""
INNER = ("optimizer", "base_optimizer", "fast_optimizer", "inner", "opt", "base_opt", "inner_optimizer")
"""What the argument is called for which an optimizer of optimizers gets another one."""


@dataclass(frozen=True)
class Parameter:
    """One argument of an optimizer."""

    name: str
    default: Any = inspect.Parameter.empty
    annotation: str = ""

    @property
    def is_required(self) -> bool:
        return self.default is inspect.Parameter.empty

    @property
    def takes_schedule(self) -> bool:
        """Whether it may be a function of the step, as its annotation says."""
        return "Callable" in self.annotation or "Schedule" in self.annotation

    @property
    def takes_optimizer(self) -> bool:
        """Whether it is another optimizer."""
        if "GradientTransformation" in self.annotation and "Callable" not in self.annotation:
            return True
        return self.name in INNER or self.name.endswith("_optimizer")


@dataclass(frozen=True)
class Optimizer:
    """An optimizer that was imported."""

    named: Named
    target: Callable[..., Any]
    framework: str
    first: str | None
    """The argument that gets the parameters; None where there is none, as in optax."""
    parameters: tuple[Parameter, ...]
    """All others."""
    takes_any: bool
    """Whether it passes arguments of any name on."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.parameters)

    @property
    def rate(self) -> str | None:
        """The name of its learning rate."""
        return next((name for name in RATES if name in self.names), None)

    def parameter(self, name: str) -> Parameter | None:
        return next((one for one in self.parameters if one.name == name), None)

    @property
    def package(self) -> str:
        """The package that it comes from, with its version; '' for a file of the user's."""
        top = self.named.module.split(".")[0]
        if self.named.file is not None:
            return ""
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return f"{top} {importlib.metadata.version(top)}"
        # Installed under another name than it is imported by; a look at all packages takes a second.
        names = importlib.metadata.packages_distributions().get(top)
        return f"{names[0]} {importlib.metadata.version(names[0])}" if names else ""

    @property
    def source_sha256(self) -> str:
        """Of the file that defines it; '' where there is none."""
        try:
            path = inspect.getsourcefile(inspect.unwrap(self.target))
            return hashlib.sha256(files.read_regular(path)).hexdigest() if path else ""
        except (TypeError, OSError):
            return ""


def load(named: Named, framework: str | None = None) -> Optimizer:
    """Imports an optimizer and reads its signature.

    Args:
      named: what to import.
      framework: what the command says; None infers it.

    Raises:
      UsageError: if there is none of that name, or it is written for another framework.
    """
    target = _imported(named)
    found = _framework_of(target, named)
    if framework is not None and frameworks.get(framework).name != found:
        raise UsageError(
            f"{named.text} is written for {found}, not for {framework}: leave out --framework={framework}, or name "
            f"an optimizer for {framework}."
        )
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):
        raise UsageError(f"{named.text} has no signature to read: {TEMPLATE}.") from None
    kinds = inspect.Parameter
    parameters = [
        Parameter(one.name, one.default, _text(one.annotation))
        for one in signature.parameters.values()
        if one.kind in (kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY)
    ]
    first = None
    if parameters and not dialect.of(found).is_functional and not _is_wrapper(parameters[0]):
        first = parameters.pop(0).name
    takes_any = any(one.kind == kinds.VAR_KEYWORD for one in signature.parameters.values())
    return Optimizer(named, target, found, first, tuple(parameters), takes_any)


def cannot(optimizer: Optimizer, problem: str) -> str:
    """What is said of an optimizer that cannot be adapted."""
    return (
        f"{optimizer.named.text} cannot be adapted: on small parameters it raised {problem[:300].rstrip('.')}. "
        f"{TEMPLATE[0].upper()}{TEMPLATE[1:]}."
    )


def _is_wrapper(parameter: Parameter) -> bool:
    return parameter.name not in PARAMS and parameter.takes_optimizer


def _text(annotation: object) -> str:
    return "" if annotation is inspect.Parameter.empty else str(annotation)


def _imported(named: Named) -> Callable[..., Any]:
    top = named.module.split(".")[0]
    if named.file is not None:
        sys.path.insert(0, str(named.file.parent))
    try:
        module = importlib.import_module(named.module)
    except ModuleNotFoundError as error:
        if error.name == top or (error.name or "").startswith(f"{top}.") or named.module == error.name:
            raise UsageError(_not_found(named, str(error.name))) from None
        raise UsageError(f"Importing {named.module} failed: {error}.") from None
    except (Exception, SystemExit) as error:
        raise UsageError(f"Importing {named.module} failed: {type(error).__name__}: {error}.") from None
    target = getattr(module, named.name, None)
    if target is None:
        choices = [
            name for name, value in vars(module).items() if not name.startswith("_") and callable(value)
        ]
        raise no_such(f"optimizer of {named.file or named.module}", named.name, choices[:80])
    if not callable(target):
        raise UsageError(
            f"{named.text} is a {type(target).__name__}: name the class of an optimizer, or the function that makes "
            "one, such as torch.optim.AdamW or optax.adam."
        )
    return target


def _not_found(named: Named, missing: str) -> str:
    for one in frameworks.FRAMEWORKS:
        if missing in one.packages:
            return (
                f"{named.text} needs {missing}, which is not installed: run `pip install -e .[{one.extra}]`."
            )
    return (
        f"No submission and no optimizer is called {named.text!r}: there is no module {missing!r}. Install the package "
        "that it comes from, or give a folder, a .py file, or <file>.py:<class>."
    )


def _framework_of(target: Callable[..., Any], named: Named) -> str:
    """The name of the framework that an optimizer is written for.

    Raises:
      UsageError: if it is no optimizer.
    """
    if isinstance(target, type):
        bases = {f"{one.__module__}.{one.__qualname__}" for one in target.__mro__}
        if "torch.optim.optimizer.Optimizer" in bases:
            return "pytorch"
        parameters = list(inspect.signature(target).parameters.values())
        if parameters and _is_wrapper(Parameter(parameters[0].name)) and "torch" in sys.modules:
            return "pytorch"
        raise UsageError(
            f"{named.text} is a class and no torch.optim.Optimizer: name one, or a function that returns one or an "
            f"optax.GradientTransformation. Else {TEMPLATE}."
        )
    signature = inspect.signature(target)
    returned = _text(signature.return_annotation)
    if "GradientTransformation" in returned:
        return "jax"
    first = next(iter(signature.parameters), "")
    if "Optimizer" in returned or first in PARAMS:
        return "pytorch"
    module = sys.modules.get(target.__module__)
    values = vars(module).values() if module else ()
    used = {value.__name__.split(".")[0] for value in values if inspect.ismodule(value)}
    return "pytorch" if "torch" in used and not used & {"jax", "optax"} else "jax"
