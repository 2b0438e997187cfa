"""Trials in the queue of Slurm: submitted as an array through submitit, looked up by squeue, cancelled by scancel.

    <experiment_dir>/.campaign/slurm/<job>_*.out, .err, .pkl        what submitit keeps: logs, what a job is to do
    <experiment_dir>/.campaign/slurm/submissions/<first job>.json   which Slurm job is which trial

squeue, not sacct: it needs no accounting. What is no longer in the queue has ended; how, the claims on disk say.
"""

import contextlib
import functools
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from algoperf import files, records, typed_json
from algoperf.spec import UsageError
from campaign.job_plan import ROOT, Job
from campaign.options import Options, extra, minutes_of
from campaign.slurm_trial import Trial
from campaign.store import Store

FOLDER = "slurm"
SUBMISSIONS = "submissions"
MAX_ARRAY = 1000
"""Entries of one array: one less than MaxArraySize is where nobody has changed it."""
LOOK_SEC = 5.0
"""Between calls of squeue: administrators ask for few."""
ANSWER_SEC = 30.0
WARNING_SEC = 120
"""Before its time limit a trial is told, to write a checkpoint. Slurm may be up to 60 s earlier."""
MAX_TIMEOUTS = 1000
"""How often a trial may run into its time limit and go on; each time from a later checkpoint."""
OVERHEAD_FACTOR = 1.5
"""Time limit over budget, where none is given: evaluations and compilation are off the clock."""
START_MIN = 30
LOG_TAIL_CHARS = 1500


class Queue:
    """What a campaign has in a scheduler's queue.

    Args:
      store: of the campaign.
      options: what each trial asks for.
      share: what of a node a trial takes, as `Trial` has it.
      command: the program that runs a trial.

    Raises:
      UsageError: if submitit or Slurm is not installed here.
    """

    def __init__(self, store: Store, options: Options, share: Mapping[str, Any], command: Sequence[str]):
        self.cluster = options.slurm_cluster or "slurm"
        self.folder = folder_of(store)
        self.look_sec = LOOK_SEC if self.cluster == "slurm" else 0.2
        self._store, self._options, self._share, self._command = store, options, share, command
        self._local: dict[str, Any] = {}
        """Job -> its object, of the cluster that is this machine."""
        self._submitit = _imported()
        if self.cluster == "slurm":
            check_is_there()

    def submit(self, jobs: Sequence[Job]) -> dict[str, str]:
        """Submits trials; returns the Slurm job of each by its key.

        Raises:
          UsageError: if Slurm refuses.
        """
        found: dict[str, str] = {}
        for first in range(0, len(jobs), MAX_ARRAY):
            found |= self._submit_array(jobs[first : first + MAX_ARRAY])
        return found

    def _submit_array(self, jobs: Sequence[Job]) -> dict[str, str]:
        trials = [Trial(self._store, job, command=tuple(self._command), **self._share) for job in jobs]
        files.make_folder(self.folder / SUBMISSIONS, "--experiment_dir")
        try:
            with _own_path():
                executor = self._submitit.AutoExecutor(
                    str(self.folder), cluster=self.cluster, slurm_max_num_timeout=MAX_TIMEOUTS
                )
                executor.update_parameters(**self._parameters(jobs))
                submitted = executor.submit_array(trials)
        except (
            OSError,
            RuntimeError,
            subprocess.SubprocessError,
            self._submitit.core.utils.FailedJobError,
        ) as error:
            raise UsageError(f"Slurm did not take the trials: {_last_line(error)}") from None
        names = [str(one.job_id) for one in submitted]
        if self.cluster != "slurm":
            self._local |= dict(zip(names, submitted, strict=True))
        by_key = {job.key: name for job, name in zip(jobs, names, strict=True)}
        content = {"cluster": self.cluster, "jobs": {name: key for key, name in by_key.items()}}
        records.write_json(self.folder / SUBMISSIONS / f"{names[0]}.json", content)
        return by_key

    def _parameters(self, jobs: Sequence[Job]) -> dict[str, Any]:
        """As submitit takes them."""
        options = self._options
        longest = max(job.budget_sec for job in jobs) * OVERHEAD_FACTOR / 60 + START_MIN
        minutes = round(longest) if options.slurm_time is None else minutes_of(options.slurm_time)
        given = extra(options.slurm_extra)
        known = self._submitit.SlurmExecutor._valid_parameters()
        others = {name: value for name, value in given.items() if name not in known}
        own: dict[str, Any] = {name: _number(value) for name, value in given.items() if name in known}
        own.setdefault("job_name", "algoperf")
        own.setdefault("signal_delay_s", WARNING_SEC)
        found = {
            **own,
            "partition": options.slurm_partition,
            "account": options.slurm_account,
            "time": minutes,
            "mem": options.mem_bytes and f"{-(-options.mem_bytes // 2**20)}M",
            "cpus_per_task": options.cpus_per_trial,
            "gpus_per_node": options.gpus_per_trial or None,
            "array_parallelism": options.workers or len(jobs),
            "additional_parameters": {"requeue": True, **others},
            # srun does not take over what sbatch was asked for.
            "srun_args": [f"--cpus-per-task={options.cpus_per_trial}"] if options.cpus_per_trial else None,
        }
        return {
            "timeout_min": minutes,
            **{f"slurm_{name}": value for name, value in found.items() if value is not None},
        }

    def living(self) -> set[str] | None:
        """Jobs of this user that are queued or run; None if the scheduler does not answer."""
        if self.cluster != "slurm":
            return {name for name, job in self._local.items() if not job.done()}
        states = states_of_user()
        return None if states is None else set(states)

    def cancel(self, names: Sequence[str]) -> None:
        """Takes jobs that have not begun out of the queue."""
        if self.cluster == "slurm" and names:
            subprocess.run(["scancel", "--state=PENDING", *names], timeout=ANSWER_SEC, check=False)

    def log_tail(self, name: str) -> str:
        """The end of what Slurm kept of a job's output; '' where there is none."""
        path = self.folder / f"{name}_0_log.err"
        return path.read_text(errors="replace")[-LOG_TAIL_CHARS:].strip() if path.exists() else ""


def folder_of(store: Store) -> Path:
    """Where a campaign keeps what belongs to Slurm."""
    return store.root / FOLDER


def submitted(store: Store) -> dict[str, str]:
    """Slurm job -> key of the trial, of all that a campaign has submitted to Slurm; old ones first."""
    paths = sorted(
        (folder_of(store) / SUBMISSIONS).glob("*.json"), key=lambda path: (path.stat().st_mtime, path.name)
    )
    found: dict[str, str] = {}
    for path in paths:
        try:
            content = typed_json.value_of(dict[str, Any], files.read_json(path))
            if content.get("cluster") == "slurm":
                found |= typed_json.value_of(dict[str, str], content.get("jobs"), "jobs")
        except (ValueError, FileNotFoundError):
            continue  # Only of use for what may still be queued; the trials are on disk.
    return found


def status_lines(store: Store) -> list[str]:
    """What of a campaign is in Slurm's queue; nothing where none of it was ever submitted."""
    known = submitted(store)
    if not known:
        return []
    states = states_of_user()
    if states is None:
        return ["  Slurm: squeue does not answer on this machine"]
    counts: dict[str, int] = {}
    for name in known:
        if name in states:
            counts[states[name].lower()] = counts.get(states[name].lower(), 0) + 1
    text = (
        ", ".join(f"{number} {state}" for state, number in sorted(counts.items())) or "nothing in the queue"
    )
    return [f"  Slurm: {text}; logs in {folder_of(store)}"]


def states_of_user() -> dict[str, str] | None:
    """Job, as in 12_3 -> its state, of all jobs of this user; None if Slurm does not answer."""
    command = ["squeue", "--noheader", "--array", "--user", str(os.getuid()), "--format=%i|%T"]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=ANSWER_SEC, check=True, env=_plain_environment()
        )
    except (OSError, subprocess.SubprocessError):
        return None
    rows = (line.split("|", 1) for line in answer.stdout.split() if "|" in line)
    return {name: state for name, state in rows}


def _plain_environment() -> dict[str, str]:
    """Without what the user has set for squeue, which changes what it prints."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SQUEUE_")}


@functools.cache
def check_is_there() -> None:
    """Raises UsageError if no Slurm answers on this machine."""
    try:
        subprocess.run(
            ["sinfo", "--noheader"], capture_output=True, text=True, timeout=ANSWER_SEC, check=True
        )
    except FileNotFoundError:
        raise UsageError(
            "--engine=slurm needs the commands of Slurm (sbatch, squeue, sinfo), which are not here: run it on a login "
            "node of the cluster."
        ) from None
    except (OSError, subprocess.SubprocessError) as error:
        text = (getattr(error, "stderr", None) or str(error)).strip()
        raise UsageError(f"Slurm does not answer on this machine: {_last_line(text)}") from None


def _imported() -> Any:
    try:
        import submitit
    except ModuleNotFoundError:
        raise UsageError(
            "--engine=slurm needs submitit, which is not installed: pip install 'algoperf[slurm]', or "
            "pip install -e '.[slurm]' in the repository."
        ) from None
    return submitit


@contextlib.contextmanager
def _own_path() -> Iterator[None]:
    """Within this, jobs that are submitted find the packages of this project: they get the environment of sbatch."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *([before] if before else [])])
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def _number(value: str | bool) -> str | bool | int:
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _last_line(error: object) -> str:
    lines = str(error).strip().splitlines() or ["no reason given"]
    return lines[-1].strip().rstrip(".") + "."
