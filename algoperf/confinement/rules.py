"""What a confined process may do, as data that another process can be given."""

import dataclasses
import json
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
    """What a process and all that it starts may do. Paths are absolute, without links, and cover what lies below."""

    confines_files: bool = True
    """Whether only the following can be opened; if not, all that the user can."""
    run: tuple[str, ...] = ()
    """May be read, and run as programs."""
    read: tuple[str, ...] = ()
    """May be read."""
    look: tuple[str, ...] = ()
    """Folders whose names may be read."""
    write: tuple[str, ...] = ()
    """Folders in which everything is allowed."""
    devices: tuple[str, ...] = ()
    """May be read, written, and asked for all that a device can do."""
    loopback: bool = False
    """Whether confined processes may speak with each other over the network; nobody else hears them."""
    network_of_host: bool = False
    """Whether the network is that of the host: where processes must meet, and cannot share another one."""
    joins: tuple[int, ...] = ()
    """Descriptors of namespaces that were made for several processes, which each of them inherits and enters."""
    joined: tuple[str, ...] = ()
    """What it has then; see `namespaces.enter`."""
    memory_bytes: int | None = None
    """Of data in memory, for each process."""
    max_tasks: int | None = None
    """Processes and threads, all together."""

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Rules":
        fields: dict[str, Any] = json.loads(text)
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
        return cls(**values)
