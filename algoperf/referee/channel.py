"""Messages between the referee and its two children: JSON over a socket pair, with open files passed along.

What comes from a child is data and never code: no pickle is read from it.
"""

import collections
import json
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

HEAD = struct.Struct("!III")
"""Bytes of JSON, bytes of the blob, number of open files."""
LIMIT_BYTES = 1 << 28
"""Of one message; more is an error of whoever sends it."""
LARGEST = 2**53
"""Whole number in a message: larger ones are no numbers of the records."""
MAX_FILES = 4
SEND_SEC = 60.0
"""How long a message may wait for the other side to read the ones before."""
_CHUNK_BYTES = 1 << 16


class Closed(Exception):  # noqa: N818 - what has happened to the channel
    """The other side breaks the form of messages."""


class Gone(Closed):
    """The other side has ended."""


@dataclass(frozen=True)
class Message:
    """What was received."""

    kind: str
    fields: dict[str, Any]
    blob: bytes = b""
    files: tuple[int, ...] = ()
    """Open files; whoever receives the message closes them."""

    def without_files(self) -> "Message":
        """This message.

        Raises:
          Closed: if files have come with it, which are closed.
        """
        for file in self.files:
            os.close(file)
        if self.files:
            raise Closed(f"files with a message {self.kind!r}")
        return self

    def number(self, name: str) -> float:
        """A field that is a number.

        Raises:
          Closed: if it is something else.
        """
        value = self.fields.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise Closed(f"message {self.kind!r} has no number {name!r}")
        return value

    def whole(self, name: str) -> int:
        """A field that is a whole number from 0."""
        value = self.number(name)
        if not isinstance(value, int) or not 0 <= value <= LARGEST:
            raise Closed(f"message {self.kind!r} has no whole number {name!r}")
        return value

    def text(self, name: str) -> str:
        """A field that is text."""
        value = self.fields.get(name)
        if not isinstance(value, str):
            raise Closed(f"message {self.kind!r} has no text {name!r}")
        return value

    def table(self, name: str) -> dict[str, Any]:
        """A field that is an object; empty where there is none."""
        value = self.fields.get(name)
        return cast(dict[str, Any], value) if isinstance(value, dict) else {}

    def items(self, name: str) -> list[Any]:
        """A field that is a list; empty where there is none."""
        value = self.fields.get(name)
        return value if isinstance(value, list) else []


class Channel:
    """One side of a socket pair.

    Args:
      end: the socket, which this object closes.
    """

    def __init__(self, end: socket.socket):
        self._socket = end
        self._socket.settimeout(SEND_SEC)
        self._bytes = bytearray()
        self._has_ended = False
        self._files: collections.deque[int] = collections.deque()
        self._sending = threading.Lock()  # The thread that watches a group sends its last word (`processes`).

    def fileno(self) -> int:
        """For `select`."""
        return self._socket.fileno()

    def send(self, kind: str, *, blob: bytes = b"", files: Sequence[int] = (), **fields: Any) -> None:
        """Sends one message.

        Args:
          kind: what it is about.
          blob: bytes that go with it.
          files: descriptors of open files, of which the other side gets its own.
          fields: what JSON can hold.

        Raises:
          Closed: if the other side does not read any more.
        """
        text = json.dumps({"kind": kind, **fields}).encode()
        head = HEAD.pack(len(text), len(blob), len(files))
        try:
            with self._sending:
                if files:  # They go with the first byte.
                    socket.send_fds(self._socket, [head], list(files))
                    self._socket.sendall(text + blob)
                else:
                    self._socket.sendall(head + text + blob)
        except OSError as error:
            raise Gone(str(error)) from None

    def receive(self, deadline: float | None = None) -> Message | None:
        """The next message; None if there is none until then.

        Args:
          deadline: on `time.monotonic`; None waits for ever.

        Raises:
          Closed: if the other side has ended, or has sent something else than a message.
        """
        while True:
            found = self._parsed()
            if found is not None:
                return found
            if self._has_ended:
                raise Gone("the other side has ended")
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([self._socket], [], [], left)[0]:
                return None
            self._read()

    def has_message(self) -> bool:
        """Whether `receive` would return or raise at once: reads what has arrived."""
        if not self._is_whole() and not self._has_ended and select.select([self._socket], [], [], 0)[0]:
            self._read()
        return self._is_whole() or self._has_ended

    def _is_whole(self) -> bool:
        head = self._head()
        return head is not None and len(self._bytes) >= HEAD.size + head[0] + head[1]

    def _read(self) -> None:
        try:
            data, files, _, _ = socket.recv_fds(self._socket, _CHUNK_BYTES, MAX_FILES)
        except OSError:
            data, files = b"", []
        self._files.extend(files)
        if len(self._files) > 2 * MAX_FILES:
            raise Closed("files without messages")
        self._bytes += data
        self._has_ended = not data

    def _head(self) -> tuple[int, int, int] | None:
        if len(self._bytes) < HEAD.size:
            return None
        text_bytes, blob_bytes, num_files = HEAD.unpack_from(self._bytes)
        if text_bytes + blob_bytes > LIMIT_BYTES or num_files > MAX_FILES:
            raise Closed("a message without end")
        return text_bytes, blob_bytes, num_files

    def _parsed(self) -> Message | None:
        head = self._head()
        if head is None:
            return None
        text_bytes, blob_bytes, num_files = head
        end = HEAD.size + text_bytes
        if len(self._bytes) < end + blob_bytes:
            return None
        text, blob = bytes(self._bytes[HEAD.size : end]), bytes(self._bytes[end : end + blob_bytes])
        del self._bytes[: end + blob_bytes]
        if num_files > len(self._files):
            raise Closed("a message without its files")
        files = tuple(self._files.popleft() for _ in range(num_files))
        try:
            fields = json.loads(text)
            kind = fields.pop("kind")
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
            raise Closed("something that is no message") from None
        if not isinstance(kind, str):
            raise Closed("a message of no kind")
        return Message(kind, fields, blob, files)

    def close(self) -> None:
        """Closes the socket and files that nobody has taken."""
        self._socket.close()
        for file in self._files:
            os.close(file)
        self._files.clear()


def from_descriptor(number: int) -> Channel:
    """The channel of a child, by the number of the descriptor that it has inherited."""
    os.set_inheritable(number, False)
    return Channel(socket.socket(fileno=number))
