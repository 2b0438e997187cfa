"""What a checkpoint holds of a PyTorch run: the model by name, and the submission's state as it is, of each process."""

import hashlib
import pickle
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypedDict, cast

import torch
import torch.distributed as dist

from algoperf.backends import torch_closures
from algoperf.backends.torch_graph import StateReader, StateWriter, StorageRecord, TensorRecord, is_whole
from algoperf.backends.torch_model import unwrap
from algoperf.backends.torch_places import Initial, ModelNames, Places
from algoperf.backends.torch_processes import TorchExchange
from algoperf.spec import OptimizerState, UsageError


class Share(NamedTuple):
    """What one process holds; of another one than process 0, None stands for what is the same there."""

    module: dict[str, torch.Tensor | None]
    """Parameters and buffers of the model, on the host; those of process 0 are in `Saved.module`."""
    layout: dict[str, TensorRecord]
    """How these lie in memory."""
    graph: bytes | None
    """Of `StateWriter`: the optimizer state; gradients and attributes of parameters; modes of modules."""
    tensors: list[TensorRecord]
    storages: list[StorageRecord]
    """Those that are the same on process 0 have neither content nor a name."""


class Saved(TypedDict):
    """What a checkpoint holds."""

    module: dict[str, torch.Tensor]
    share: Share
    """Of process 0."""
    others: list[Share]
    """Of the other processes, where any of them differs from process 0."""


class OldSaved(TypedDict):
    """What the first version's checkpoints hold."""

    module: dict[str, torch.Tensor]
    optimizer: dict[str, tuple[str, Any]]
    """Entry of the optimizer state -> 'state_dict', 'value' or 'skipped', and that."""


class Written(NamedTuple):
    """What one process can save, and what not."""

    module: dict[str, torch.Tensor]
    share: Share
    """Without the module."""
    unsaved: Sequence[str]


def places_of(names: ModelNames, optimizer_state: OptimizerState) -> Places:
    """Where the objects are that a checkpoint holds or leaves as they are."""
    return Places({"optimizer_state": optimizer_state, "parameters": _tensor_attributes(names)}, names)


def initial(params: torch.nn.Module, optimizer_state: OptimizerState) -> Initial:
    """What a new process will have, to be called when this one has it."""
    names = ModelNames(params)
    places = places_of(names, optimizer_state)
    return Initial(places, torch_closures.marks(places, names))


def _tensor_attributes(names: ModelNames) -> dict[str, dict[str, Any]]:
    """What submissions have hung on parameters."""
    return {name: vars(tensor) for name, tensor in names.tensors.items() if vars(tensor)}


# ---- writing ---------------------------------------------------------------------------------------------------------


def write(params: torch.nn.Module, optimizer_state: OptimizerState, initial: Initial) -> Written:
    """This process's share."""
    names = ModelNames(params)
    places = places_of(names, optimizer_state)
    writer = StateWriter(names, places, initial)
    gradients = {
        name: tensor.grad
        for name, tensor in names.tensors.items()
        if tensor.is_leaf and tensor.grad is not None
    }
    root = {
        "optimizer_state": list(optimizer_state.items()),
        "parameters": _tensor_attributes(names),
        "gradients": gradients,  # Those of a submission that adds up over several updates.
        "in_evaluation_mode": [name for name, module in names.modules.items() if not module.training],
    }
    graph = writer.written(root, optimizer_state)
    layout = {name: writer.record(tensor) for name, tensor in names.tensors.items()}
    module = {name: tensor.detach().to("cpu", copy=True) for name, tensor in names.tensors.items()}
    unsaved = [
        *writer.unsaved,
        *torch_closures.changed(initial.variables, torch_closures.marks(places, names)),
    ]
    return Written(module, Share({}, layout, graph, writer.tensors, writer.storages), unsaved)


def gathered(written: Written, exchange: TorchExchange | None) -> Saved | None:
    """What all processes can save, on process 0; each part once where they agree."""
    others: list[Share] = []
    if exchange is not None:
        own = _digests(written)
        digests = exchange.gather(own)
        if any(other != digests[0] for other in digests):
            found = exchange.gather_on_first(_without_common(written, own, digests[0]))
            others = [] if found is None else found[1:]
        if dist.get_rank():
            return None
    return {"module": written.module, "share": written.share, "others": others}


def _digests(written: Written) -> dict[str, str]:
    """Part of what a process saves -> its hash."""

    def digest(value: object) -> str:
        if isinstance(value, torch.Tensor):
            flat = value.contiguous().reshape(-1).view(torch.uint8) if value.numel() else torch.empty(0)
            return hashlib.sha256(flat.numpy().data).hexdigest()
        return hashlib.sha256(value if isinstance(value, bytes) else pickle.dumps(value)).hexdigest()

    share = written.share
    found = {f"module {name}": digest(tensor) for name, tensor in written.module.items()}
    found |= {f"storage {number}": digest(one.content) for number, one in enumerate(share.storages)}
    rest = (share.layout, share.tensors, [one[1:] for one in share.storages])
    return {**found, "graph": digest(share.graph), "rest": digest(rest)}


def _without_common(written: Written, own: Mapping[str, str], first: Mapping[str, str]) -> Share:
    """A share without what process 0 has, too, which may be all of gigabytes but a few bytes."""
    share = written.share

    def is_common(part: str) -> bool:
        return own[part] == first.get(part)

    return share._replace(
        module={
            name: None if is_common(f"module {name}") else tensor for name, tensor in written.module.items()
        },
        graph=None if is_common("graph") else share.graph,
        storages=[
            one._replace(content=None) if is_common(f"storage {number}") else one
            for number, one in enumerate(share.storages)
        ],
    )


def num_bytes(saved: Saved) -> int:
    """The size of all that is saved."""
    shares = [saved["share"], *saved["others"]]
    tensors = [saved["module"].values(), *(one.module.values() for one in shares)]
    contents = [one.content for share in shares for one in share.storages]
    held = [tensor for group in (*tensors, contents) for tensor in group if tensor is not None]
    return sum(tensor.nbytes for tensor in held) + sum(len(share.graph or b"") for share in shares)


# ---- reading ---------------------------------------------------------------------------------------------------------


def restore(
    saved: Saved | OldSaved,
    params: torch.nn.Module,
    optimizer_state: OptimizerState,
    *,
    device: torch.device,
    process_index: int,
    num_processes: int,
) -> None:
    """Fills the model and the optimizer state of a new process.

    Raises:
      UsageError: for another number of processes, where each had its own state.
    """
    if "optimizer" in saved:
        _restore_old(cast(OldSaved, saved), params, optimizer_state, device)
        return
    module, share = _share_of(saved, process_index, num_processes)
    names = ModelNames(params)
    fresh = places_of(names, optimizer_state)
    storages = [_on_its_device(one, device) for one in share.storages]
    with torch.no_grad():
        _fill_model(module, share, storages, names)
    assert share.graph is not None
    reader = StateReader(share.graph, share.tensors, storages, names, fresh, optimizer_state, device)
    root = reader.load()
    optimizer_state.clear()
    optimizer_state.update(root["optimizer_state"])
    for name, attributes in root["parameters"].items():
        reader.fill(names.tensors[name], attributes)
    for name, tensor in names.tensors.items():
        if tensor.is_leaf:
            tensor.grad = root["gradients"].get(name)
    for name, module in names.modules.items():
        module.training = name not in root["in_evaluation_mode"]


def _share_of(saved: Saved, process_index: int, num_processes: int) -> tuple[dict[str, torch.Tensor], Share]:
    """The model and the whole share of a process."""
    module, first, others = saved["module"], saved["share"], saved["others"]
    if others and num_processes != len(others) + 1:
        raise UsageError(
            f"The checkpoint holds the states of {len(others) + 1} processes, which differ, and this run has "
            f"{num_processes}: continue it with {len(others) + 1}, or start over with --overwrite."
        )
    if not others or process_index == 0:
        return module, first
    own = others[process_index - 1]
    storages = [
        first.storages[number] if one.content is None and one.of is None else one
        for number, one in enumerate(own.storages)
    ]
    graph = first.graph if own.graph is None else own.graph
    changed = {name: tensor for name, tensor in own.module.items() if tensor is not None}
    return module | changed, own._replace(graph=graph, storages=storages)


def _on_its_device(record: StorageRecord, device: torch.device) -> torch.UntypedStorage | None:
    """A storage with its content; None for one of a tensor of the model."""
    if record.content is None:
        return None
    return record.content.to("cpu" if record.on_host else device).untyped_storage()


def _fill_model(
    module: Mapping[str, torch.Tensor],
    share: Share,
    storages: list[torch.UntypedStorage | None],
    names: ModelNames,
) -> None:
    """Gives the model's tensors their values: in place where they lie as then, else where they lay.

    Args:
      module: the values.
      share: of this process.
      storages: those that no tensor of the model has for itself; the others are filled in.
      names: of the model.
    """
    for name, tensor in names.tensors.items():
        record = share.layout.get(name)
        if record is None:  # Of a module that was changed in training: as it is made.
            continue
        storage = storages[record.storage]
        if storage is None:
            owner = share.storages[record.storage].of
            assert owner is not None
            storage = _filled(names.tensors[owner], share.layout[owner], module[owner])
            storages[record.storage] = storage
        if tensor.untyped_storage()._cdata != storage._cdata or _view(tensor) != _view(record):
            there = torch.empty(0, dtype=record.dtype, device=tensor.device)
            tensor.data = there.set_(storage, record.offset, record.shape, record.stride)
        if tensor.is_leaf:
            tensor.requires_grad_(record.requires_grad)


def _filled(tensor: torch.Tensor, record: TensorRecord, value: torch.Tensor) -> torch.UntypedStorage:
    """The storage of a tensor that has it for itself, with its value; a new one if the tensor lies differently now."""
    if not (is_whole(tensor) and _view(tensor) == _view(record)):
        tensor = torch.empty_strided(record.shape, record.stride, dtype=record.dtype, device=tensor.device)
    tensor.detach().copy_(value)
    return tensor.untyped_storage()


def _view(tensor: torch.Tensor | TensorRecord) -> tuple[object, ...]:
    """What makes a tensor of a storage."""
    if isinstance(tensor, TensorRecord):
        return tensor.dtype, tensor.shape, tensor.stride, tensor.offset
    return tensor.dtype, tuple(tensor.shape), tensor.stride(), int(tensor.storage_offset())


def _restore_old(
    saved: OldSaved, params: torch.nn.Module, optimizer_state: OptimizerState, device: torch.device
) -> None:
    """As the first version of the program wrote it: values only."""
    unwrap(params).load_state_dict(saved["module"])
    for key, (kind, value) in saved["optimizer"].items():
        if kind == "state_dict":
            optimizer_state[key].load_state_dict(value)
        elif kind == "value":
            optimizer_state[key] = _to_device(value, device)


def _to_device(tree: object, device: torch.device) -> Any:
    if isinstance(tree, torch.Tensor):
        return tree.to(device)
    if isinstance(tree, dict):
        return {key: _to_device(value, device) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)) and not hasattr(tree, "_fields"):
        return type(tree)(_to_device(value, device) for value in tree)
    return tree
