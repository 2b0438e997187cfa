"""`run_benchmark.py --report`: report.html follows a campaign, without taking much from the trials beside it."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from algoperf.files import StorageError
from algoperf.spec import UsageError
from campaign.job_plan import Job
from campaign.state import State
from scoring import output, score_field
from scoring.results import Trial

EVERY_SEC = 30
LARGEST_SHARE = 0.02
"""Of the campaign's time that scoring may take: trials on the same cores are being timed."""


def path_in(experiment_dir: Path) -> Path:
    """Where the report of a campaign is."""
    return experiment_dir / output.REPORT


def so_far(
    config: score_field.Config, jobs: Sequence[Job], states: Mapping[str, State]
) -> tuple[score_field.Config, score_field.SoFar] | None:
    """How to score the trials that have ended; None before any has.

    Args:
      config: of the scores at the end.
      jobs: all of the campaign.
      states: of each of them.
    """
    final = [job for job in jobs if states[job.key].is_final]
    if not final:
        return None
    ended = {(job.submission, job.workload, job.study, job.trial) for job in final}

    def has_ended(trial: Trial) -> bool:
        return (trial.submission, trial.workload, trial.study, trial.trial) in ended

    config = dataclasses.replace(
        config,
        include=tuple(dict.fromkeys(job.submission for job in final)),
        bootstrap_samples=0,
        calibrate=False,  # The reference may not have run yet.
    )
    return config, score_field.SoFar(tuple(dict.fromkeys(job.submission for job in jobs)), has_ended)


class LiveReport:
    """Writes the report when trials have ended since it was written, at most every `EVERY_SEC`.

    Args:
      config: of the scores at the end.
      jobs: all of the campaign.
      path: of the page.
      clock: seconds, for tests.
    """

    def __init__(
        self,
        config: score_field.Config,
        jobs: Sequence[Job],
        path: Path,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._config = dataclasses.replace(config, report=path)
        self._jobs, self._clock = jobs, clock
        self._next = clock()
        self._written: frozenset[str] = frozenset()

    def __call__(self, states: Mapping[str, State]) -> None:
        """To be told the states from time to time."""
        start = self._clock()
        ended = frozenset(key for key, state in states.items() if state.is_final)
        if start < self._next or ended == self._written:
            return
        parts = so_far(self._config, self._jobs, states)
        if parts is not None:
            # No result yet; or the disk is full, which the trials find out, and end.
            with contextlib.suppress(UsageError, StorageError):
                score_field.run(*parts)
        self._written = ended
        spent = self._clock() - start
        self._next = start + max(EVERY_SEC, spent / LARGEST_SHARE)
