"""The process of a preflight: a trial of a few updates that says what it finds.

python -m algoperf.preflight.child <descriptor for messages, one JSON object a line>   # the task on its input
"""

import contextlib
import dataclasses
import json
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from algoperf import backends
from algoperf.backends.base import Backend
from algoperf.preflight import host
from algoperf.preflight.off_the_record import off_the_record
from algoperf.run import checkpoint, clock, runner
from algoperf.run.study import StudyPlan

NO_MEMORY = ("out of memory", "not enough memory", "MemoryError", "RESOURCE_EXHAUSTED")
"""In the words of an error, whoever says it: frameworks, their allocators on processors, Python."""
ERROR_CHARS = 4000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """What the process is to try; the parent sends it as a pickle."""

    plan: StudyPlan
    trial: int
    """Number of the trial, from 1."""
    batch_size: int | None = None
    """Instead of the submission's own."""
    eval_batch_size: int | None = None
    """Instead of the workload's."""


def main(arguments: list[str]) -> int:
    """Runs the task; returns the exit code, which is 0 whatever was found."""
    with contextlib.suppress(
        OSError
    ):  # Where memory is full, the kernel is to end this process before others.
        Path("/proc/self/oom_score_adj").write_text("1000")
    with open(int(arguments[0]), "w", buffering=1) as messages:
        return _run(messages)


def _run(messages: TextIO) -> int:
    def say(kind: str, content: Mapping[str, Any]) -> None:
        messages.write(json.dumps([kind, checkpoint.plain(content)]) + "\n")

    task: Task = pickle.load(sys.stdin.buffer)  # From the parent of this process.
    sys.argv = [sys.argv[0]]
    trying = host.Host(say, task.batch_size, task.eval_batch_size)
    backends.launch(task.plan.framework).prepare()  # Before the submission is imported.
    try:
        steps = range(1, host.MAX_UPDATES + 1)
        ended = runner.run_trial(off_the_record(task.plan, steps), task.trial, clock.Ledger(), trying)
    except Exception as error:
        backend = backends.get_backend(task.plan.framework)
        say("failed", {"error": _words(error), "no_memory": _is_no_memory(backend, error)})
        return 0
    if ended.status == "failed":
        backend = backends.get_backend(task.plan.framework)
        text = str(ended.error)
        no_memory = _is_no_memory(backend, RuntimeError(text))
        say("failed", {"error": text[-ERROR_CHARS:], "no_memory": no_memory})
    else:
        say("done", {})
    return 0


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[-ERROR_CHARS:]


def _is_no_memory(backend: Backend, error: Exception) -> bool:
    text = _words(error)
    return backend.is_out_of_memory(error) or any(words in text for words in NO_MEMORY)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
