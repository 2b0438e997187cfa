"""Notices code that is not the submission's and was replaced: of the harness, of the workload, of what models are made
of (R3.13, R3.17, R3.20).

What is looked at follows from the imports: the modules of `algoperf` and `workloads` that are loaded, and of framework
and NumPy the modules and classes that these name, so the layers and functions of the workload's own model. Nothing is
hashed: the objects that were there before the submission was imported are kept, and compared. A process cannot be kept
from itself, so this is for who does not hide it; who hides it is for a referee.
"""

import dataclasses
import importlib
import inspect
import sys
from collections.abc import Collection, Iterator, Mapping
from types import FunctionType, MappingProxyType, ModuleType
from typing import Any

from algoperf import frameworks, registry
from algoperf.spec import UsageError
from algoperf.workload import WorkloadSpec

OURS = ("algoperf", "workloads")
CONSTANTS = (int, float, str, tuple)
METHODS = (property, classmethod, staticmethod)
SHOWN = 3
"""So many names are told of what was replaced."""
_GONE = object()


@dataclasses.dataclass(frozen=True)
class _Entry:
    """A name, and what it meant."""

    holder: Mapping[str, Any]
    """Names of a module or a class, as they are at any time."""
    key: str
    value: object
    code: tuple[object, ...]
    place: str
    """For people."""
    is_ours: bool


class Intact:
    """What names mean now, for a later look whether they still do.

    Args:
      packages: of the framework, by import name; they are imported, and so is the workload's model.
    """

    @classmethod
    def of(cls, workload: WorkloadSpec, framework: str) -> "Intact":
        """The same for a trial, before its submission is imported, which could import the workload itself.

        Raises:
          UsageError: if the framework is not installed, or the workload has no model in it.
        """
        record = frameworks.get(framework)
        record.check_installed()
        with record.blamed():
            importlib.import_module(record.backend)
            if record.older_names is not None:
                importlib.import_module(record.older_names).put_back()
        registry.model_module(workload, framework)
        registry.data_module(workload)
        registry.metrics_module(workload)
        return cls(record.packages)

    def __init__(self, packages: Collection[str]):
        self._packages = {*packages, "numpy"}
        self._classes: dict[type, frozenset[str]] = {}
        """Class -> its own members."""
        self._entries = list(self._all())

    def replaced(self) -> list[str]:
        """Names that mean something else now, in alphabetical order; takes some milliseconds."""
        found = [entry.place for entry in self._entries if self._has_changed(entry)]
        found += [_place(cls, key) for cls, keys in self._classes.items() for key in _hiding(cls, keys)]
        return sorted(found)

    def check(self) -> None:
        """Looks whether all of it is as it was.

        Raises:
          UsageError: if something was replaced.
        """
        found = self.replaced()
        if found:
            more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
            raise UsageError(
                f"The submission has replaced code that is not its own: {', '.join(found[:SHOWN])}{more} (R3.13, "
                "R3.17, R3.20). Leave it as it is; write functions and classes of your own, and call those."
            )

    # ---- what there is -----------------------------------------------------------------------------------------

    def _all(self) -> Iterator[_Entry]:
        loaded = list(sys.modules.items())
        ours = [module for name, module in loaded if name.split(".")[0] in OURS and _is(module, ModuleType)]
        named: dict[str, ModuleType] = {}
        for module in ours:
            yield from self._of(module, is_ours=True)
            for value in vars(module).values():
                if _is(value, ModuleType) or callable(value):
                    named |= self._place(value)
        for module in list(named.values()):  # A layer calls what the module names in which it was written.
            for value in list(vars(module).values()):
                if _is(value, type):
                    named |= self._place(value)
        for module in named.values():
            yield from self._of(module, is_ours=False)

    def _place(self, value: object) -> dict[str, ModuleType]:
        """A module of the packages, or the one in which something was written; empty for others."""
        name = getattr(value, "__name__" if _is(value, ModuleType) else "__module__", None)
        if not isinstance(name, str) or name.split(".")[0] not in self._packages or name not in sys.modules:
            return {}
        return {name: sys.modules[name]}

    def _of(self, module: ModuleType, is_ours: bool) -> Iterator[_Entry]:
        """What a module names: functions, classes, modules and constants, and the members of its own classes."""
        for key, value in list(vars(module).items()):
            is_constant = is_ours and key.isupper() and issubclass(type(value), CONSTANTS)
            if not (callable(value) or is_constant or _is(value, ModuleType)):
                continue
            yield _Entry(vars(module), key, value, _code(value), f"{module.__name__}.{key}", is_ours)
            if _is(value, type) and value.__module__ == module.__name__ and _can_be_changed(value):
                self._classes[value] = frozenset(vars(value))
                yield from _members(value, is_ours)

    def _has_changed(self, entry: _Entry) -> bool:
        now = entry.holder.get(entry.key, _GONE)
        if now is entry.value:
            return not _are_same(_code(now), entry.code)
        return entry.is_ours or not self._is_wrapped(now, entry.value)

    def _is_wrapped(self, now: object, before: object) -> bool:
        """Whether the framework has put something around a function of its own, as its compiler does when it is
        imported."""
        own, wrapped = getattr(now, "__func__", now), getattr(before, "__func__", before)
        module = sys.modules.get(getattr(own, "__globals__", {}).get("__name__", ""))
        if module is None or module.__name__.split(".")[0] not in self._packages:
            return False
        return bool(inspect.unwrap(own, stop=lambda one: one is wrapped) is wrapped)  # type: ignore[arg-type]


def _is(value: object, kind: type) -> bool:
    """`isinstance`, without asking the object, as some warn whoever asks them for anything."""
    return issubclass(type(value), kind)


def _members(cls: type, is_ours: bool) -> Iterator[_Entry]:
    held: MappingProxyType[str, Any] = vars(cls)
    for key, value in list(held.items()):
        if callable(value) or isinstance(value, METHODS):
            yield _Entry(held, key, value, _code(value), _place(cls, key), is_ours)


def _hiding(cls: type, before: Collection[str]) -> list[str]:
    """Members that a class has got since, in front of those that it inherits."""
    new = [key for key, value in vars(cls).items() if key not in before and callable(value)]
    return [key for key in new if any(key in vars(base) for base in cls.__mro__[1:])]


def _place(cls: type, key: str) -> str:
    return f"{cls.__module__}.{cls.__qualname__}.{key}"


def _can_be_changed(cls: type) -> bool:
    """Whether attributes of a class can be set: of those that are written in C most are fixed."""
    is_made_at_run_time, is_immutable = 1 << 9, 1 << 8
    return bool(cls.__flags__ & is_made_at_run_time) and not cls.__flags__ & is_immutable


def _code(value: object) -> tuple[object, ...]:
    """The insides of a function, which can be replaced without replacing the function."""
    own = getattr(value, "fget", None) or getattr(value, "__func__", value)
    if not isinstance(own, FunctionType):
        return ()
    return (own.__code__, *(own.__defaults__ or ()), *(own.__kwdefaults__ or {}).values())


def _are_same(some: tuple[object, ...], others: tuple[object, ...]) -> bool:
    """Whether these are the same objects; default values may be arrays, which have no plain `==`."""
    return len(some) == len(others) and all(one is other for one, other in zip(some, others, strict=True))
