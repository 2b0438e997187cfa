"""Runs the trials of a campaign with the local engine, and shows one progress bar."""

import contextlib
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from algoperf import files
from algoperf.api.trial import Run
from algoperf.run.summary import Summary
from algoperf.spec import Interrupted, UsageError
from campaign import benchmark
from campaign.execution import Options, retry_failed, run_jobs
from campaign.frugal import Limits
from campaign.job_plan import Campaign, Job
from campaign.process import last_evaluation
from campaign.state import State
from campaign.store import Store


class TrialFailedError(RuntimeError):
    """A trial ended with an error of its submission.

    Args:
      run: the trial, with what it recorded before.
    """

    def __init__(self, run: Run):
        super().__init__(f"{run.name} on {run.workload} failed:\n{run.error}")
        self.run = run


def run_all(
    campaign: Campaign,
    jobs: list[Job],
    *,
    workers: int | None,
    gpus: Sequence[str],
    frugal: bool,
    progress: bool,
) -> dict[str, State]:
    """Runs what is left of the jobs; returns the state of each.

    Args:
      campaign: to which they belong.
      jobs: all of them.
      workers: trials at a time.
      gpus: one for each worker.
      frugal: whether trials are stopped that can no longer change a score.
      progress: whether to show a bar.

    Raises:
      UsageError: if the folder holds other trials, or for what trials are refused for.
      KeyboardInterrupt: after an interrupt, when all trials have written their checkpoints.
    """
    if threading.current_thread() is not threading.main_thread():
        raise UsageError(
            "Trials are started from the main thread, which receives the interrupts: call it there."
        )
    store = Store(campaign.experiment_dir, campaign.settings.accept_changes)
    files.make_folder(store.root, "results")
    options = Options(workers=workers, gpus=tuple(gpus), retry_failed=True, quiet=True)
    with contextlib.redirect_stdout(sys.stderr):  # What it says is for people; a script's output is its own.
        retry_failed(options, store, jobs)
    store.states(jobs)  # Refuses a folder with other trials, before anything is written.
    benchmark.check_scores(campaign, jobs)
    benchmark.save(campaign, store)
    suite = campaign.cut_suite()
    limits = Limits(jobs, suite, suite.ruleset(campaign.ruleset).num_studies) if frugal else None
    bar = Bar(jobs, enabled=progress)
    try:
        states = run_jobs(options, campaign.settings.device, store, jobs, limits, bar)
        bar(states)
    except Interrupted as stop:
        if stop.signal_number == signal.SIGINT:
            raise KeyboardInterrupt("stopped; the same call goes on where it was") from None
        raise SystemExit(128 + stop.signal_number) from None
    finally:
        bar.close()
    return states


def summaries_of(campaign: Campaign, jobs: Sequence[Job]) -> dict[str, Summary | None]:
    """Key of each job -> how it ended; None where it has not."""
    store = Store(campaign.experiment_dir, accept_changes=True)
    return {job.key: store.summary(job) for job in jobs}


# ---- the bar ---------------------------------------------------------------------------------------------------------


class Bar:
    """One bar over all trials; a running one counts by the share of its budget, or of its updates, that is spent.

    Args:
      jobs: all of them.
      enabled: False shows nothing.
    """

    def __init__(self, jobs: Sequence[Job], enabled: bool = True):
        self._jobs = jobs
        self._bar: Any = None
        if enabled:
            names = list(dict.fromkeys(job.submission for job in jobs))
            first = names[0] if len(names) == 1 else f"{len(names)} submissions"
            workloads = list(dict.fromkeys(job.workload for job in jobs))
            self._bar = _bar_class()(
                total=len(jobs),
                desc=f"{first} on {', '.join(workloads[:3])}{' ...' if workloads[3:] else ''}",
                bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}{postfix}",
                disable=None,  # A log file gets no bars.
            )

    def __call__(self, states: Mapping[str, State]) -> None:
        """To be told the states from time to time."""
        if self._bar is None:
            return
        running = [job for job in self._jobs if states[job.key] is State.RUNNING]
        ended = sum(states[job.key].is_final for job in self._jobs)
        self._bar.n = min(float(len(self._jobs)), ended + sum(map(share_done, running)))
        self._bar.set_postfix_str(" " + self._said(ended, running))

    def _said(self, ended: int, running: Sequence[Job]) -> str:
        trials = f"{ended}/{len(self._jobs)} trials" if len(self._jobs) > 1 else ""
        if not running:
            return trials
        job = running[0]
        seconds, step = last_evaluation(job.folder)
        where = f"step {step:,.0f}, {seconds:.1f} s" if step else "starts"
        return ", ".join(filter(None, [trials, f"{job.submission}: {where}" if trials else where]))

    def close(self) -> None:
        """Leaves the bar as it is."""
        if self._bar is not None:
            self._bar.close()


def share_done(job: Job) -> float:
    """How much of a running trial is over, from 0 to 1: by what it has evaluated last."""
    seconds, step = last_evaluation(job.folder)
    by_step = step / job.max_steps if job.max_steps else 0.0
    return min(1.0, max(seconds / job.budget_sec, by_step))


def _bar_class() -> Any:
    """That of notebooks where the cell can show one, else that of terminals."""
    if "ipykernel" in sys.modules:
        with contextlib.suppress(ImportError):
            import ipywidgets  # noqa: F401
            from tqdm.notebook import tqdm as of_notebook

            return of_notebook
    from tqdm import tqdm as of_terminal

    return of_terminal
