"""The processes that train one trial together; the first of them speaks for all."""

import socket
import time
from collections.abc import Sequence
from typing import Any

from algoperf import backends
from algoperf.referee import channel
from algoperf.referee.channel import Channel
from algoperf.referee.children import Child
from algoperf.referee.confined import Confined

MODULE = "algoperf.referee.trainee"
LAST_WORDS_SEC = 10.0
"""After one of several has ended, how long the first gets to say why."""


class Trainees:
    """One process, or a group of PyTorch's, which find each other on a port of this host.

    All are told what the referee says; only the first answers, once all are there. So nothing depends on the others'
    word: they hold no records, and are stopped with the first (`freeze.Group`).

    Args:
      framework: that they train in.
      count: how many.
      evaluator_device: see `Launch.trainee_environment`.
      confinement: of each of them.

    Raises:
      UsageError: if the framework has no groups, or there is no such device.
    """

    def __init__(self, framework: str, count: int, evaluator_device: str, confinement: Confined):
        launch = backends.launch(framework)
        port = _free_port() if count > 1 else 0
        shared = launch.trainee_environment(evaluator_device)
        shared = {**shared, **confinement.environment}
        environments = [{**shared, **launch.in_group(index, count, port)} for index in range(count)]
        self._children: list[Child] = []
        for environment in environments:
            self._children.append(Child(MODULE, environment, confinement.trainee))
        self._alone_since: float | None = None
        """On `time.monotonic`, when another than the first was found to have ended."""

    @property
    def first(self) -> Child:
        """The one that speaks."""
        return self._children[0]

    @property
    def channel(self) -> Channel:
        """To the first."""
        return self.first.channel

    @property
    def pids(self) -> Sequence[int]:
        """Of all, the first at the front."""
        return [child.pid for child in self._children]

    @property
    def count(self) -> int:
        return len(self._children)

    def send(self, kind: str, **fields: Any) -> None:
        """Tells all of them; see `Channel.send`.

        Raises:
          Closed: if one of them does not listen any more.
        """
        for child in self._children:
            child.channel.send(kind, **fields)

    def check(self) -> None:
        """Looks whether all of them are there, from time to time while one waits for the first.

        Raises:
          Gone: if another has ended, and the first has not said why.
        """
        others = self._children[1:]
        if all(child.process.poll() is None for child in others):
            return
        now = time.monotonic()
        self._alone_since = self._alone_since or now
        if now - self._alone_since > LAST_WORDS_SEC:
            raise channel.Gone("one of the group has ended")

    def how_it_ended(self) -> str:
        """For people, once one has; the first that has, and which it was."""
        for index, child in enumerate(self._children):
            if child.process.poll() is not None or self.count == 1:
                which = f" (number {index} of {self.count})" if self.count > 1 else ""
                return child.how_it_ended() + which
        return self.first.how_it_ended()

    def kill(self) -> None:
        """Ends all of them at once."""
        for child in self._children:
            child.kill()


def _free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
