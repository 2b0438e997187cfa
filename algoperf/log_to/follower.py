"""Follows the records of a trial: at each pause of the clock, new rows go to every destination.

What is sent is read from the trial's own measurements, so that each destination has what the record has, also what was
written before a failure of the network, or by an earlier process. `log_to.json` in the trial's folder says how far each
has got: a row goes to it once. A destination that raises is told of in one warning and tried again at a later pause,
the later the longer the failure has taken; one that takes longer than `LIMIT_SEC` is given up, as it would go on while
the clock runs.
"""

import contextlib
import dataclasses
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from algoperf import files, records, typed_json
from algoperf.log_to.destination import About, Destination, Point, module_of
from algoperf.log_to.rows import Place, Row, new_rows

LIMIT_SEC = 60.0
"""How long a destination may take at one pause."""
REST = 20
"""How many times as long as a failure has taken nothing is tried again: a network that is down costs a twentieth."""


@dataclasses.dataclass(kw_only=True)
class Sent:
    """How far a destination has got: its part of `log_to.json`."""

    run: str | None = None
    """See `Destination.run`; None before the first points."""
    training_step: int = -1
    """The last step of rows that the submission has logged."""
    evaluation_step: int = -1
    """The last step of rows of evaluations."""
    problem: str | None = None
    """Why the last points did not get there."""

    def lacks(self, row: Row) -> bool:
        """Whether a row is still to be sent."""
        return row.step > (self.evaluation_step if row.is_evaluation else self.training_step)

    def add(self, rows: Sequence[Row]) -> None:
        """Enters rows that have got there."""
        for row in rows:
            if row.is_evaluation:
                self.evaluation_step = max(self.evaluation_step, row.step)
            else:
                self.training_step = max(self.training_step, row.step)


class Follower:
    """See `records.Follower`.

    Args:
      about: the trial.
      names: of the destinations.
      warn: told of each destination that fails, once.
    """

    def __init__(self, about: About, names: Sequence[str], warn: Callable[[str], None]):
        self._state = about.folder / records.LOG_TO
        stored = files.read_json_or_none(self._state)
        self._links = [_Link(name, about, _sent(stored, name), warn) for name in names]

    def send(self, memory: Mapping[str, float]) -> None:
        for link in self._links:
            link.send(memory)
        self._store()

    def end(self, status: str | None) -> None:
        for link in self._links:
            link.end(status)
        self._store()

    def _store(self) -> None:
        content = {link.name: dataclasses.asdict(link.sent) for link in self._links}
        # The records notice a full disk by themselves, and say so.
        with contextlib.suppress(OSError, files.StorageError):
            files.write_json(self._state, content)


def _sent(stored: object, name: str) -> Sent:
    content = stored.get(name) if isinstance(stored, dict) else None
    try:
        return typed_json.typed(Sent, content, allows_others=True)
    except typed_json.MalformedError:
        return Sent()


class _Link:
    """One destination, and what becomes of it."""

    def __init__(self, name: str, about: About, sent: Sent, warn: Callable[[str], None]):
        self.name, self.sent = name, sent
        self._about, self._warn = about, warn
        self._place = Place()
        self._destination: Destination | None = None
        self._has_warned = self._is_lost = False
        self._rests_until = 0.0

    def send(self, memory: Mapping[str, float]) -> None:
        """Sends what is new; `memory` is of the newest evaluation."""
        if time.monotonic() >= self._rests_until:
            self._guarded(lambda: self._send(memory))

    def end(self, status: str | None) -> None:
        """Sends the rest, and the end."""
        self._guarded(lambda: self._end(status))

    def _end(self, status: str | None) -> None:
        self._send({})
        if self._destination is not None:
            self._destination.end(status)

    def _send(self, memory: Mapping[str, float]) -> None:
        found, place = new_rows(self._about.folder / records.MEASUREMENTS, self._place)
        rows = [row for row in found if self.sent.lacks(row)]
        if rows:
            if self._destination is None:
                self._destination = module_of(self.name).make(self._about, self.sent.run)
                self.sent.run = self._destination.run
            self._destination.send(_points(rows, memory))
        self.sent.add(rows)
        self._place = place

    def _guarded(self, action: Callable[[], None]) -> None:
        """Does it, and survives what becomes of it."""
        if self._is_lost:
            return
        started = time.monotonic()
        try:
            within(LIMIT_SEC, action)
            self.sent.problem = None
        except Exception as error:
            now = time.monotonic()
            self._is_lost, self._rests_until = isinstance(error, TookTooLong), now + REST * (now - started)
            self.sent.problem = _described(error)
            if not self._has_warned:
                again = (
                    "nothing more goes there" if self._is_lost else "it is tried again at a later evaluation"
                )
                self._warn(f"--log_to={self.name}: {self.sent.problem}; {again}, and the records are whole.")
            self._has_warned = True


def _points(rows: Sequence[Row], memory: Mapping[str, float]) -> list[Point]:
    newest = max((index for index, row in enumerate(rows) if row.is_evaluation), default=None)
    return [
        Point(row.step, {**row.values, **memory} if index == newest else row.values)
        for index, row in enumerate(rows)
    ]


def _described(error: Exception) -> str:
    """One line of an error of somebody else's code."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


class TookTooLong(Exception):  # noqa: N818 - what the call did
    """A call has not come back in time."""


def within(limit_sec: float, action: Callable[[], None]) -> None:
    """Calls it, and waits for it so long at most.

    Raises:
      TookTooLong: if it has not come back; its thread does not keep the process alive.
      Exception: what it raises, be it `SystemExit`, as a RuntimeError.
    """
    raised: list[BaseException] = []

    def run() -> None:
        try:
            # Of other people's packages; turned into errors they would be failures.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                action()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, name="log_to", daemon=True)
    thread.start()
    thread.join(limit_sec)
    if thread.is_alive():
        raise TookTooLong(f"it took longer than {limit_sec:.0f} s")
    for error in raised:
        raise error if isinstance(error, Exception) else RuntimeError(repr(error))


def memory_values(peak: Mapping[str, Any]) -> dict[str, float]:
    """Peak memory under the names of points.

    >>> memory_values({"host_bytes": 10, "device_bytes": {"cuda:0": 20}})
    {'memory/host_bytes': 10.0, 'memory/device_0_bytes': 20.0}
    """
    values = {"memory/host_bytes": float(peak["host_bytes"])}
    for number, num_bytes in enumerate(peak["device_bytes"].values()):
        values[f"memory/device_{number}_bytes"] = float(num_bytes)
    return values
