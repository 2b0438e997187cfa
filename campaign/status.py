"""What a person sees of a campaign: the plan, the counts, one line that moves."""

import collections
import enum
import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from algoperf.run.progress import duration
from algoperf.run.summary import Summary
from campaign.engine import Running
from campaign.job_plan import Job
from campaign.process import last_evaluation
from campaign.state import State
from campaign.store import Outcome, Store
from scoring.text import table

OVERHEAD_FACTOR = 1.3
"""Wall time of a trial over its budget, before there are measurements: evaluation, compilation, start."""
PLAIN_PERIOD_SEC = 30.0
SETBACKS = {
    Outcome.CRASHED: "crashed, is run once more",
    Outcome.LOST: "its node died, goes on from its last checkpoint",
}
"""What is said of attempts that do not end a trial."""


@dataclass(frozen=True)
class Expected:
    """What a job may take."""

    seconds: float
    """Wall time."""
    is_measured: bool
    """From a finished trial; else an upper bound."""
    disk_bytes: int | None = None
    memory_bytes: int | None = None


class Expectations:
    """What trials that have not run will need: estimated from finished ones of the same workload.

    Those of the same submission are preferred, where there are any.

    Args:
      store: of the campaign.
      jobs: all of them.
      states: where they stand.
    """

    def __init__(self, store: Store, jobs: Iterable[Job], states: Mapping[str, State]):
        self._seen: dict[tuple[str, ...], list[Expected]] = collections.defaultdict(list)
        for job in jobs:
            if states[job.key] is State.DONE:
                found = _measured(job, store.summary(job))
                if found is not None:
                    self._seen[job.submission, job.workload].append(found)
                    self._seen[(job.workload,)].append(found)

    def of(self, job: Job) -> Expected:
        """The mean of what was measured, else the budget and something for evaluations."""
        for key in ((job.submission, job.workload), (job.workload,)):
            seen = self._seen.get(key)
            if seen:
                # Times add up over trials, so their mean is asked for; memory and disk must suffice for the largest.
                return Expected(
                    sum(one.seconds for one in seen) / len(seen),
                    True,
                    max(one.disk_bytes or 0 for one in seen),
                    max(one.memory_bytes or 0 for one in seen),
                )
        return Expected(OVERHEAD_FACTOR * job.budget_sec, False)


def _measured(job: Job, summary: Summary | None) -> Expected | None:
    if summary is None or summary.ledger is None or summary.peak_memory is None:
        return None  # Of an older version.
    return Expected(
        summary.ledger["wall"],
        True,
        sum(path.stat().st_size for path in job.folder.iterdir() if path.is_file()),
        summary.peak_memory["host_bytes"],
    )


def plan_text(
    jobs: Sequence[Job], states: Mapping[str, State], expectations: Expectations, num_workers: int
) -> str:
    """Every trial with its point, seeds, state and needs, then the sums of what is to be done."""
    rows = []
    for job in jobs:
        one = expectations.of(job)
        point = (
            "self-tuning"
            if job.point is None
            else " ".join(f"{name}={_short(value)}" for name, value in job.point.items())
        )
        seeds = " ".join(f"{name}={value}" for name, value in job.seeds.items())
        time_text = ("" if one.is_measured else "<= ") + duration(one.seconds)
        rows.append([job.key, str(states[job.key]), time_text, _size(one.memory_bytes), seeds, point])
    left = [expectations.of(job) for job in jobs if not states[job.key].is_final]
    seconds = sum(one.seconds for one in left)
    bound = "" if all(one.is_measured for one in left) else "at most "
    disk = [one.disk_bytes for one in left if one.disk_bytes is not None]
    disk_text = f", {_size(sum(disk))} of disk" + (
        f" for the {len(disk)} of them whose size is known" if len(disk) < len(left) else ""
    )
    summary = (
        f"{len(jobs)} trials: {counts_text(states)}. To be done: {bound}{seconds / 3600:.2f} machine-hours, {bound}"
        f"{duration(seconds / num_workers)} with {num_workers} worker(s){disk_text if disk else ''}."
    )
    header = ["trial", "state", "expected", "memory", "seeds", "point"]
    return f"{table(header, rows, num_left=6)}\n\n{summary}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)


def _size(num_bytes: int | None) -> str:
    if num_bytes is None:
        return "unknown"
    return f"{num_bytes / 2**30:.2f} GiB" if num_bytes >= 2**30 else f"{num_bytes / 2**20:.1f} MiB"


def counts_text(states: Mapping[str, State]) -> str:
    """For example '25 waiting, 1 running, 12 done'; states nobody is in are left out.

    >>> counts_text({"a": State.DONE, "b": State.WAITING, "c": State.DONE})
    '1 waiting, 2 done'
    """
    counts = collections.Counter(states.values())
    return ", ".join(f"{counts[state]} {state}" for state in State if counts[state]) or "none"


def status_text(jobs: Sequence[Job], states: Mapping[str, State], store: Store, left_sec: float) -> str:
    """Counts, what runs where, what failed and why."""
    lines = [f"{len(jobs)} trials: {counts_text(states)}; about {duration(left_sec)} of machine time left."]
    for job in jobs:
        if states[job.key] is State.RUNNING:
            seconds, step = last_evaluation(job.folder)
            lines.append(
                f"  running {_where(job, store)}: {job.key}, step {step:,.0f} after {duration(seconds)} at its last "
                "evaluation"
            )
    lines += failures(jobs, states, store)
    return "\n".join(lines)


def _where(job: Job, store: Store) -> str:
    """Where a job runs, which may be outside all campaigns."""
    attempts = store.attempts(job)
    if not attempts or attempts[-1].outcome is not None:
        return "by hand"
    return f"on {attempts[-1].content.get('host', '?')}"


def failures(jobs: Iterable[Job], states: Mapping[str, State], store: Store) -> list[str]:
    """A line for every trial that failed, with the last line of its error and its log; then what to do."""
    lines = []
    for job in jobs:
        if states[job.key] is State.FAILED:
            last = store.attempts(job)[-1]
            error = str(last.content.get("error") or "no message").strip().splitlines()[-1]
            lines.append(f"  failed: {job.key}: {error} (log: {last.log})")
    if lines:
        lines.append("  to run them again, once the cause is mended: the same command with --retry_failed")
    return lines


def savings(jobs: Iterable[Job], states: Mapping[str, State], store: Store) -> list[str]:
    """What was stopped early, why, and how much budget that left unspent at most."""
    lines, saved = [], 0.0
    for job in jobs:
        if states[job.key] is State.STOPPED:
            summary = store.summary(job)
            spent = (summary and summary.submission_time_sec) or 0.0
            saved += job.budget_sec - spent
            lines.append(f"  stopped: {job.key} after {duration(spent)}: {summary and summary.stop_reason}")
    if lines:
        lines.append(f"  saved: at most {duration(saved)} of submission time in {len(lines)} trials")
    return lines


class Shown(enum.Enum):
    """How much of the progress a person sees."""

    NOTHING = enum.auto()
    LINE = enum.auto()
    """The line that moves."""
    ALL = enum.auto()
    """And a line for every trial that ends."""


class Live:
    """Progress while trials run: one line that is rewritten on a terminal, or a plain line now and then elsewhere.

    Args:
      jobs: all of them.
      store: of the campaign.
      num_workers: by which the time left is divided.
      shown: how much is printed.
      file: where to.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        store: Store,
        num_workers: int,
        shown: Shown = Shown.ALL,
        file: TextIO | None = None,
    ):
        self._jobs, self._store, self._num_workers = jobs, store, num_workers
        self._file = file or sys.stderr
        self._shown = shown
        self._moves = self._file.isatty()
        self._last_print = -PLAIN_PERIOD_SEC
        self._known: dict[str, State] = {}
        self._setbacks: dict[str, int] = {}
        self._left = 0.0

    def __call__(self, states: Mapping[str, State], runs: Mapping[str, Running]) -> None:
        if self._shown is Shown.NOTHING:
            return
        changed = [key for key, state in states.items() if self._known.get(key) is not state]
        for job in self._jobs:
            if State.RUNNING in (states[job.key], self._known.get(job.key)) and not states[job.key].is_final:
                self._print_setbacks(job)
        if changed:
            ended = [key for key in changed if states[key].is_final and key in self._known]
            for key in ended if self._shown is Shown.ALL else ():
                self._print(f"{key}: {states[key]}", stays=True)
            self._known = dict(states)
            expectations = Expectations(self._store, self._jobs, states)
            waiting = [expectations.of(job).seconds for job in self._jobs if not states[job.key].is_final]
            self._left = sum(waiting) / self._num_workers
        now = time.monotonic()
        if self._moves or now - self._last_print >= PLAIN_PERIOD_SEC:
            self._last_print = now
            self._print(self._line(states, runs))

    def _print_setbacks(self, job: Job) -> None:
        """A line for every attempt that has come to nothing since the last look."""
        outcomes = [(attempt.outcome, attempt.log) for attempt in self._store.attempts(job)]
        ended = [(SETBACKS[outcome], log) for outcome, log in outcomes if outcome in SETBACKS]
        for what, log in ended[self._setbacks.get(job.key, len(ended)) :]:
            self._print(f"{job.key}: {what} (log: {log})", stays=True)
        self._setbacks[job.key] = len(ended)

    def _line(self, states: Mapping[str, State], runs: Mapping[str, Running]) -> str:
        total = len(states)
        final = sum(state.is_final for state in states.values())
        filled = round(20 * final / max(total, 1))
        now = ", ".join(f"{key} {duration(time.monotonic() - run.started)}" for key, run in runs.items())
        left = f", about {duration(self._left)} left" if final < total else ""
        return f"[{'#' * filled}{'.' * (20 - filled)}] {final}/{total}: {counts_text(states)}{left}  {now}"

    def _print(self, text: str, stays: bool = False) -> None:
        if self._moves:
            self._file.write(f"\r\033[K{text}" + ("\n" if stays else ""))
        else:
            self._file.write(text + "\n")
        self._file.flush()

    def close(self) -> None:
        """Ends the rewritten line, so that what follows starts on a new one."""
        if self._shown is not Shown.NOTHING and self._moves:
            self._file.write("\n")
