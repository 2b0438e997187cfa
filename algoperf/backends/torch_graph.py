"""Writes a PyTorch submission's state as it is, and makes it again: who shares what with whom, kinds, dtypes, devices.

`pickle` keeps identity and cycles of objects. What it cannot do is added here: tensors are views of storages, each
written once; parameters are those of the model at hand; objects that were there from the start are filled rather than
replaced, because closures of the submission, hooks and schedulers may hold them; what cannot be written is left as
`init_optimizer_state` has made it.
"""

import copyreg
import importlib
import io
import pickle
import sys
import types
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from algoperf.backends.torch_places import (
    LEAVES,
    LIVE,
    Initial,
    ModelNames,
    Path,
    Places,
    described,
    has_contract,
    is_compiled,
    is_of_harness,
)


class StorageRecord(NamedTuple):
    """One piece of memory."""

    content: torch.Tensor | None
    """Its bytes, on the host; None where a tensor of the model has them all, and in a share that is cut short."""
    of: str | None
    """Name of that tensor."""
    on_host: bool
    """Whether it belongs to the CPU, whatever the device of the run is."""


class TensorRecord(NamedTuple):
    """One tensor, as a view of its storage."""

    storage: int
    dtype: torch.dtype
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    requires_grad: bool
    is_parameter: bool
    path: Path | None
    is_kept: bool
    """Whether it is still the tensor that was there at the start, at this path."""


class _Call:
    """In a pickle, a method of `StateReader`."""

    def __init__(self, name: str):
        self.name = name

    def __call__(self) -> None:
        raise AssertionError("stands in a pickle only, which wants something that can be called")


NEW_OBJECT = object().__reduce_ex__(4)[0]
"""How `pickle` makes an instance; `copyreg` has it without offering it."""
FRESH, MISSING, TENSOR, GENERATOR = _Call("fresh"), _Call("missing"), _Call("tensor"), _Call("generator")
INSTANCE, FILL, FILL_BY_CONTRACT, COMPILED = (
    _Call("instance"),
    _Call("fill"),
    _Call("fill_by_contract"),
    _Call("compiled"),
)


class StateWriter(pickle.Pickler):
    """Pickles a state; what is not in the pickle itself is in `tensors` and `storages`.

    Args:
      names: of the model.
      places: of all that is to be written.
      initial: what a new process will have.
    """

    def __init__(self, names: ModelNames, places: Places, initial: Initial):
        self._file = io.BytesIO()
        super().__init__(self._file, protocol=5)
        self._names, self._places, self._initial = names, places, initial
        self.tensors: list[TensorRecord] = []
        self.storages: list[StorageRecord] = []
        self.unsaved: list[str] = []
        """What is left as it is at the start, with the reason."""
        self._number_of_storage: dict[int, int] = {}
        self._held: list[torch.UntypedStorage] = []  # As long as their addresses are keys.
        self._root: object = None
        self._contracts: dict[int, object] = {}
        self._unwritable: dict[int, str] = {}
        self._left_to_holders: set[int] = set()
        self._find_unwritable()

    def written(self, root: dict[str, Any], filled: object) -> bytes:
        """The pickle of `root`, in which `filled` stands for the dict that the new process has in its place."""
        self._root = filled
        self.dump(root)
        return self._file.getvalue()

    # ---- what cannot be written ----------------------------------------------------------------------------------

    def _find_unwritable(self) -> None:
        """Looks for what `pickle` refuses; what holds it may say in its `state_dict` how it is saved."""
        asked: set[int] = set()
        for path, value in self._places.objects.items():
            if self._is_special(value):
                continue
            reason = why_unwritable(value)
            if reason is None:
                continue
            self._unwritable[id(value)] = reason
            holders = (self._places.objects.get(path[:end]) for end in range(len(path), 0, -1))
            holder = next((one for one in holders if has_contract(one)), None)
            if holder is not None and id(holder) not in asked:
                asked.add(id(holder))
                self._ask(holder)
            if id(holder) in self._contracts:
                self._left_to_holders.add(id(value))
            else:
                self.unsaved.append(f"{described(path)} ({reason})")

    def _ask(self, holder: Any) -> None:
        """Gets the state that an object gives out by itself."""
        where = described(self._places.path_of(holder) or ())
        try:
            if hasattr(holder, "consolidate_state_dict"):
                # Called by all processes, for each in turn: every one restores its own.
                for process in range(torch.distributed.get_world_size()):
                    holder.consolidate_state_dict(to=process)
            state = holder.state_dict()
        except Exception as error:  # The submission's own.
            self.unsaved.append(f"{where}.state_dict() ({type(error).__name__}: {error})")
            return
        for path, value in Places({where: state}, self._names).objects.items():
            if not self._is_special(value) and (reason := why_unwritable(value)) is not None:
                raise pickle.PicklingError(f"{described(path)} of its state_dict(): {reason}")
        if hasattr(holder, "load_state_dict"):
            self._contracts[id(holder)] = state

    @staticmethod
    def _is_special(value: object) -> bool:
        special = (*LEAVES, torch.optim.Optimizer, types.MethodType, *LIVE)
        return isinstance(value, special) or is_of_harness(value)

    # ---- objects -------------------------------------------------------------------------------------------------

    def persistent_id(self, value: object) -> tuple[str, str] | None:
        if isinstance(value, _Call):
            return "call", value.name
        if value is self._root and value is not None:
            return "root", ""
        if (
            type(value) is int
        ):  # Dicts may have tensors as keys by their numbers, which differ between processes.
            name = self._names.name_of.get(value)
            return None if name is None else ("id", name)
        name = self._names.name_of.get(id(value))
        return None if name is None else ("model", name)

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return self._reduced_tensor(value)
        if isinstance(value, torch.Generator):
            return GENERATOR, (value.device.type == "cpu", value.get_state(), *self._whereabouts(value))
        path = self._places.path_of(value)
        if isinstance(value, types.MethodType):
            plain = getattr(type(value.__self__), value.__name__, None) is value.__func__
            return NotImplemented if plain else self._left(value, path)
        if isinstance(value, LIVE):
            return NotImplemented if is_importable(value) else self._left(value, path)
        if is_of_harness(value) and self._initial.has(path):
            return FRESH, (path,)
        if id(value) in self._unwritable and id(value) not in self._contracts:
            return self._left(value, path)
        if is_compiled(value):
            return COMPILED, (value._orig_mod,)  # A copy of a compiled model; the rest is the compiler's.
        return self._reduced_instance(value, path)

    def _whereabouts(self, value: object) -> tuple[Path | None, bool]:
        path = self._places.path_of(value)
        return path, self._initial.is_kept(path, value)

    def _left(self, value: object, path: Path | None) -> Any:
        """An object that cannot be written: the new process's own, if it has one."""
        if id(value) in self._left_to_holders:
            return MISSING, ()
        if self._initial.has(path):
            return FRESH, (path,)
        if path and path[-1][0] == "attribute":
            # A scheduler that came late has put itself before its optimizer's `step`, which does without.
            holder = type(self._places.objects.get(path[:-1]))
            if callable(value) and callable(getattr(holder, path[-1][1], None)):
                return MISSING, ()
        where = described(path) if path else f"a {type(value).__name__}"
        if id(value) not in self._unwritable:
            self.unsaved.append(f"{where} (it came during training and cannot be imported)")
        return MISSING, ()

    def _reduced_instance(self, value: Any, path: Path | None) -> Any:
        kind = type(value)
        if kind in copyreg.dispatch_table:  # Somebody has said how it is written, as PyTorch does of layouts.
            return NotImplemented
        if id(value) in self._contracts and id(value) in self._unwritable:
            reduced: Any = (NEW_OBJECT, (kind,))
        elif isinstance(value, torch.optim.Optimizer):
            # Its own way writes three attributes, and a subclass may have more.
            reduced = NEW_OBJECT, (kind,), dict(vars(value))
        else:
            reduced = value.__reduce_ex__(4)
        if isinstance(reduced, str):  # The name of a global.
            return reduced
        function, arguments, state, items, pairs = (*reduced, *[None] * 5)[:5]
        if function is not NEW_OBJECT or arguments[0] is not kind or len(reduced) > 5:
            return reduced
        if len(arguments) > 1 and is_importable(kind):
            return reduced
        if not is_importable(kind) and not self._initial.has(path, kind):
            return self._left(value, path)
        head = (kind.__module__, kind.__qualname__, *self._whereabouts(value), arguments[1:])
        state = {} if state is None else state
        if id(value) in self._contracts:
            return INSTANCE, head, (state, self._contracts[id(value)]), items, pairs, FILL_BY_CONTRACT
        return INSTANCE, head, state, items, pairs, FILL

    # ---- tensors -------------------------------------------------------------------------------------------------

    def record(self, tensor: torch.Tensor) -> TensorRecord:
        """How a tensor is found again in the storages, to which its own is added."""
        whereabouts = self._whereabouts(tensor)
        view = tensor.detach()
        return TensorRecord(
            self._storage(view),
            view.dtype,
            tuple(view.shape),
            view.stride(),
            int(view.storage_offset()),
            tensor.requires_grad and tensor.is_leaf,
            isinstance(tensor, torch.nn.Parameter),
            *whereabouts,
        )

    def _reduced_tensor(self, tensor: torch.Tensor) -> Any:
        is_view = tensor.layout is torch.strided and not (tensor.is_conj() or tensor.is_neg())
        if type(tensor) not in (torch.Tensor, torch.nn.Parameter) or not is_view or tensor.is_meta:
            return NotImplemented  # By PyTorch's own means, by value.
        self.tensors.append(self.record(tensor))
        state = vars(tensor) or None
        return TENSOR, (len(self.tensors) - 1,), state, None, None, FILL

    def _storage(self, tensor: torch.Tensor) -> int:
        storage = tensor.untyped_storage()
        address = storage._cdata
        if address not in self._number_of_storage:
            self._number_of_storage[address] = len(self.storages)
            self._held.append(storage)
            name = whole_of(storage, self._names) if address in self._names.storages else None
            on_host = tensor.device.type == "cpu"
            content = None
            if name is None:
                content = _as_bytes(storage.clone() if on_host else storage.cpu())
            self.storages.append(StorageRecord(content, name, on_host))
        return self._number_of_storage[address]


def whole_of(storage: torch.UntypedStorage, names: ModelNames) -> str | None:
    """The name of a tensor of the model that has a storage all for itself."""
    for name, tensor in names.tensors.items():
        if tensor.untyped_storage()._cdata == storage._cdata and is_whole(tensor):
            return name
    return None


def is_whole(tensor: torch.Tensor) -> bool:
    """Whether a tensor has every element of its storage, and each once."""
    expected = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size > 1 and stride != expected:
            return False
        expected *= size
    return tensor.numel() * tensor.element_size() == tensor.untyped_storage().nbytes()


def _as_bytes(storage: torch.UntypedStorage) -> torch.Tensor:
    return torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)


def is_importable(value: Any) -> bool:
    """Whether a class or function is found by its module and name, which is how `pickle` writes it."""
    found: Any = sys.modules.get(getattr(value, "__module__", None) or "")
    for part in getattr(value, "__qualname__", "?").split("."):
        found = getattr(found, part, None)
    return found is value


def why_unwritable(value: Any) -> str | None:
    """The words in which an object refuses to be pickled; None where it does not."""
    if type(value) in (dict, list, tuple, set, frozenset) or type(value) in copyreg.dispatch_table:
        return None
    try:
        with warnings.catch_warnings(action="ignore"):  # Of iterators, whose pickling Python 3.12 deprecates.
            value.__reduce_ex__(4)
    except Exception as error:  # Whatever its class raises.
        return str(error) or type(error).__name__
    return None


class _Missing:
    """In the place of what neither the checkpoint nor the new process has."""


class StateReader(pickle.Unpickler):
    """Makes a state again.

    Args:
      pickled: of `StateWriter.written`.
      tensors: of the writer.
      storages: of this process: those of the model's tensors, and those of the writer on their devices.
      names: of the model that was made anew.
      fresh: the state that was made anew; parts of it are filled.
      root: the dict that is to be filled.
    """

    def __init__(
        self,
        pickled: bytes,
        tensors: Sequence[TensorRecord],
        storages: Sequence[torch.UntypedStorage | None],
        names: ModelNames,
        fresh: Places,
        root: object,
        device: torch.device,
    ):
        super().__init__(io.BytesIO(pickled))
        self._tensors, self._storages, self._names, self._root = tensors, storages, names, root
        self._fresh, self._device = fresh, device

    def persistent_load(self, identity: Any) -> Any:
        kind, name = identity
        if kind == "call":
            return getattr(self, name)
        if kind == "id":
            return id(self._names.parts[name])
        return self._root if kind == "root" else self._names.parts[name]

    def fresh(self, path: Path) -> object:
        """The new process's own object."""
        return self._fresh.objects.get(path, _Missing)

    @staticmethod
    def missing() -> type[_Missing]:
        """For what nobody has."""
        return _Missing

    def tensor(self, number: int) -> torch.Tensor:
        """A tensor on its storage; the very one that was there, if it was there all the time."""
        record = self._tensors[number]
        storage = self._storages[record.storage]
        assert storage is not None
        view = torch.empty(0, dtype=record.dtype, device=storage.device)
        view.set_(storage, record.offset, record.shape, record.stride)
        there = self._fresh.objects.get(record.path) if record.is_kept and record.path else None
        if isinstance(there, torch.Tensor) and there.is_leaf and there.device == view.device:
            there.requires_grad_(record.requires_grad)
            there.data = view
            return there
        if record.is_parameter:
            return torch.nn.Parameter(view, record.requires_grad)
        return view.requires_grad_(record.requires_grad)

    def generator(
        self, on_host: bool, state: torch.Tensor, path: Path | None, is_kept: bool
    ) -> torch.Generator:
        """A generator that goes on as saved."""
        there = self._fresh.objects.get(path) if is_kept and path else None
        if not isinstance(there, torch.Generator):
            there = torch.Generator("cpu" if on_host else self._device)
        return there.set_state(state)

    @staticmethod
    def compiled(module: torch.nn.Module) -> Any:
        """A compiled copy of a model."""
        return torch.compile(module)

    def instance(
        self, module: str, qualname: str, path: Path | None, is_kept: bool, arguments: tuple[Any, ...]
    ) -> Any:
        """An instance without its attributes: the one that was there all the time, or a new one."""
        there = self._fresh.objects.get(path) if path else None
        is_same = (type(there).__module__, type(there).__qualname__) == (module, qualname)
        if is_kept and is_same and not arguments:
            if isinstance(there, (dict, list)):
                there.clear()  # Its items follow.
            return there
        kind: Any = type(there)
        if not is_same:
            kind = importlib.import_module(module)
            for part in qualname.split("."):
                kind = getattr(kind, part)
        return kind.__new__(kind, *arguments)

    @staticmethod
    def fill(value: Any, state: Any) -> None:
        """Gives an instance its attributes, and no others."""
        is_ours = isinstance(value, (torch.optim.Optimizer, torch.Tensor))
        if hasattr(value, "__setstate__") and not is_ours:
            value.__setstate__(state)
            return
        whole, slots = state if isinstance(state, tuple) else (state, None)
        found = {**(whole or {}), **(slots or {})}
        if hasattr(value, "__dict__"):
            vars(value).clear()
        for name, held in found.items():
            if held is not _Missing:
                object.__setattr__(value, name, held)  # Past those that refuse, as frozen dataclasses do.

    @staticmethod
    def fill_by_contract(value: Any, state: tuple[Any, Any]) -> None:
        """First what the object itself can restore, then what could be written of it as it was."""
        attributes_saved, own = state
        value.load_state_dict(own)
        if isinstance(attributes_saved, dict):
            vars(value).update(
                (name, held) for name, held in attributes_saved.items() if held is not _Missing
            )
