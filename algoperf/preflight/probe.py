"""Starts the process of a preflight, watches its memory, and finds the largest batch that fits."""

import contextlib
import dataclasses
import json
import os
import pickle
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from algoperf.preflight import found, memory
from algoperf.preflight.child import Task
from algoperf.preflight.found import FAILED, FITS, OUT_OF_MEMORY, Found, Phase
from algoperf.run.study import StudyPlan

PERIOD_SEC = 0.005
"""Between two looks at the memory of the process: at most a few megabytes are filled meanwhile."""
CHILDREN_PERIOD_SEC = 0.25
"""Between two looks at all that it has started, which takes longer."""
ERROR_LINES = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """Where a trial of the plan would run."""

    command: tuple[str, ...] = ()
    """Put before that of the process, such as one that keeps it to some cores."""
    environment: Mapping[str, str] | None = None
    """Of the process; by default this one's."""


ANYWHERE = Place()
"""As this process."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """Memory that one trial may take, in bytes."""

    host_bytes: int
    device_bytes: int | None = None
    """Of an accelerator; by default all that it has."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What was found about a submission on a workload."""

    found: Found
    """With its own batch sizes."""
    smaller: Found | None = None
    """Where that runs out of memory: the largest that was tried and fits, by halving."""
    last: Found | None = None
    """Where none does: what was found with the smallest."""
    num_tries: int = 1
    """Processes that this has taken."""


Run = Callable[[Task], Found]


def probe(run: Run, plan: StudyPlan, trial: int) -> Result:
    """Tries a trial as it is; where its memory is too small, finds which half, quarter, … of its batch fits.

    Args:
      run: tries one; see `run_in_process`.
      plan: has the trial.
      trial: its number.
    """
    search = _Search(run, Task(plan=plan, trial=trial))
    first = one = search.tried()
    if one.status == OUT_OF_MEMORY and one.stopped_in in found.OF_BATCH and one.facts.batch_size:
        one = search.largest("batch_size", one.facts.batch_size, found.OF_BATCH)
    if one.status == OUT_OF_MEMORY and one.stopped_in == found.EVALUATION:
        own = one.facts.eval_batch_size or plan.workload.eval_batch_size
        one = search.largest("eval_batch_size", own, (found.EVALUATION,))
    if one is first:
        return Result(found=first, num_tries=search.num_tries)
    smaller, last = (one, None) if one.status == FITS else (None, one)
    return Result(found=first, smaller=smaller, last=last, num_tries=search.num_tries)


class _Search:
    """Tries a task with other batches."""

    def __init__(self, run: Run, task: Task):
        self._run, self._task = run, task
        self.num_tries = 0

    def tried(self, **changes: Any) -> Found:
        self.num_tries += 1
        return self._run(dataclasses.replace(self._task, **changes))

    def largest(self, name: str, own: int, phases: Sequence[str]) -> Found:
        """What was found with the largest of own / 2, own / 4, …, 1 that does not run out of memory in these phases.

        Where none of them does, what was found with the smallest. The task keeps it. As less memory is never needed for
        a larger batch, halves of the list are left out instead of trying one after the other.
        """
        sizes = [own >> halvings for halvings in range(1, own.bit_length())]
        low, high, kept = 0, len(sizes), None
        one = None
        while low < high:
            middle = (low + high) // 2
            one = self.tried(**{name: sizes[middle]})
            if one.status == OUT_OF_MEMORY and one.stopped_in in phases:
                low = middle + 1
            else:
                high, kept = middle, one
        last = kept or one or self.tried(**{name: 1})
        if low < len(sizes):
            kept_size: dict[str, Any] = {name: sizes[low]}
            self._task = dataclasses.replace(self._task, **kept_size)
        return last


def run_in_process(task: Task, limits: Limits, place: Place = ANYWHERE) -> Found:
    """Tries a trial in a process of its own, which is ended where it takes more than it may.

    Args:
      task: what to try.
      limits: on its memory.
      place: where.
    """
    reader, writer = os.pipe()
    with (
        tempfile.TemporaryFile() as said,
        tempfile.TemporaryFile() as given,
        tempfile.TemporaryDirectory(prefix="algoperf_preflight_") as place_for_files,
    ):
        pickle.dump(task, given)
        given.seek(0)
        command = [*place.command, sys.executable, "-m", "algoperf.preflight.child", str(writer)]
        process = subprocess.Popen(
            command,
            stdin=given,
            stdout=said,
            stderr=subprocess.STDOUT,
            env=_environment(place, place_for_files),
            pass_fds=(writer,),
        )
        os.close(writer)
        try:
            return _Watched(process, reader, limits).until_ended(said)
        finally:
            os.close(reader)
            if process.poll() is None:
                process.kill()
            process.wait()


def _environment(place: Place, folder: str) -> dict[str, str]:
    """That of the place, and a folder for whatever a process leaves behind that is ended."""
    own = dict(os.environ if place.environment is None else place.environment) | {"TMPDIR": folder}
    root = str(Path(__file__).resolve().parents[2])
    own["PYTHONPATH"] = os.pathsep.join([root, *filter(None, [own.get("PYTHONPATH")])])
    return own


class _Watched:
    """A process, what it has said, and what it holds."""

    def __init__(self, process: "subprocess.Popen[bytes]", reader: int, limits: Limits):
        self._process, self._reader, self._limits = process, reader, limits
        self._rest = b""
        self._phases: list[Phase] = []
        self._phase: str | None = found.START
        self._facts: dict[str, Any] = {}
        self._failed: Mapping[str, Any] | None = None
        self._is_done = False
        self._too_much: str | None = None
        """The phase in which it took more than it may, and how much."""

    def until_ended(self, said: Any) -> Found:
        """Waits for its end; what it took and said by then."""
        watched = psutil.Process(self._process.pid)
        next_children = 0.0
        while self._too_much is None and not self._is_over and self._read():
            now = time.monotonic()
            with_children = now >= next_children
            if with_children:
                next_children = now + CHILDREN_PERIOD_SEC
            self._check(memory.held_by(watched, with_children), self._limits.host_bytes)
        if self._too_much is not None or self._is_over:  # It need not take itself apart.
            with contextlib.suppress(psutil.Error):
                for one in watched.children(recursive=True):
                    one.kill()
            self._process.kill()
        code = self._process.wait()
        said.seek(0)
        return self._found(code, said.read().decode(errors="replace"))

    @property
    def _is_over(self) -> bool:
        """Whether it has said how it ended."""
        return self._is_done or self._failed is not None

    def _read(self) -> bool:
        """Takes what has come; False when no more will."""
        ready, _, _ = select.select([self._reader], [], [], PERIOD_SEC)
        if not ready:
            return True
        data = os.read(self._reader, 1 << 16)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            kind, content = json.loads(line)
            self._take(kind, content)
        return bool(data)

    def _take(self, kind: str, content: Mapping[str, Any]) -> None:
        if kind == "begin":
            self._phase = content["name"]
        elif kind == "end":
            one = found.phase_of(content)
            # The peak says more than looks at it: what came and went between two of them, too.
            self._check(one.host_bytes, self._limits.host_bytes)
            self._check(one.device_bytes or 0, self._limits.device_bytes)
            if self._too_much is None:
                self._phases.append(one)
                self._phase = None
        elif kind == "facts":
            self._facts |= content
        elif kind == "failed":
            self._failed = content
        else:
            self._is_done = True

    def _check(self, held: int, limit: int | None) -> None:
        if limit is not None and held > limit and self._too_much is None:
            self._too_much = self._phase

    def _found(self, code: int, said: str) -> Found:
        status, error = FITS, None
        if self._too_much is not None:
            status = OUT_OF_MEMORY
        elif self._failed is not None:
            status = OUT_OF_MEMORY if self._failed["no_memory"] else FAILED
            error = str(self._failed["error"]).strip()
        elif not self._is_done:
            # Killed, as the kernel does where a machine, or a control group, is full.
            status = OUT_OF_MEMORY if code == -9 else FAILED
            error = _last_lines(said) or f"its process ended with exit code {code}"
        return Found(
            status=status,
            phases=tuple(self._phases),
            facts=found.facts_of(self._facts),
            stopped_in=None if status == FITS else self._phase,
            error=error,
        )


def _last_lines(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-ERROR_LINES:])
