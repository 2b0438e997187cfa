"""Starts the two children of a referee, each with a channel and in a session of its own."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from algoperf.confinement import start
from algoperf.confinement.rules import Rules
from algoperf.referee.channel import Channel

ROOT = Path(__file__).resolve().parents[2]


class Child:
    """A process and the channel to it.

    Args:
      module: what it runs, as with `python -m`.
      environment: variables beside this process's own; None takes one away.
      rules: confine it, and all that it will start.
    """

    def __init__(
        self,
        module: str,
        environment: Mapping[str, str | None] | None = None,
        rules: Rules | None = None,
    ):
        own, other = socket.socketpair()
        variables = {**os.environ, **(environment or {})}
        # Where this project is, and whatever this process has been told beside it: the child finds the same modules.
        variables["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        with other, contextlib.ExitStack() as stack:
            inherited, command = [other.fileno()], [sys.executable, "-m", module]
            if rules is not None:
                file = start.rules_file(rules)
                stack.callback(os.close, file)
                inherited = [*inherited, file, *rules.joins]
                command = start.command(file, module)
            self.process = subprocess.Popen(
                [*command, str(other.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                env={name: value for name, value in variables.items() if value is not None},
                pass_fds=inherited,
                start_new_session=True,  # Ctrl-C is for the referee, which asks for a checkpoint.
            )
        self.channel = Channel(own)

    @property
    def pid(self) -> int:
        return self.process.pid

    def how_it_ended(self) -> str:
        """For people, once it has."""
        try:
            code = self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            return "closed its connection"
        return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"

    def kill(self) -> None:
        """Ends it at once."""
        self.process.kill()
        self.process.wait()
        self.channel.close()
