"""The summary of a trial: the content of summary.json, its writer and reader, and its text for people."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from algoperf import files, records, typed_json
from algoperf.run import clock
from algoperf.spec import UsageError

# Increase it when a key changes its meaning; a new key needs no new version, because missing keys are None.
VERSION = 1
"""Version of summary.json. Files without one are older and may lack keys."""
SEAL = "seal"
"""The key of the hash that includes all others: it is not in its own."""


class Reached(TypedDict):
    """The first evaluation that met a target."""

    submission_time_sec: float
    global_step: float


class PeakMemory(TypedDict):
    """Peak memory of a process in bytes."""

    host_bytes: int
    device_bytes: dict[str, int]
    """Device -> bytes, if the framework reports it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """How a trial ended and what it reached; None means not known, as in JSON.

    A summary is written with all keys: by the trial itself (finished, failed, stopped), by process 0 when another
    process fails, and by a campaign that gives a trial up.
    """

    version: int = VERSION
    status: str
    """One of `records.STATUSES`."""
    submission: str | None = None
    workload: str | None = None
    framework: str | None = None
    ruleset: str | None = None
    suite: str | None = None
    study: int | None = None
    """Number of the study, from 0."""
    trial: int | None = None
    """Number of the trial, from 1."""
    hyperparameters: dict[str, Any] | None = None
    """The point of the trial; None in the self-tuning ruleset."""
    unread_hyperparameters: list[str] | None = None
    """Names of hyperparameters that the submission has not read."""
    global_batch_size: int | None = None
    global_step: int | None = None
    submission_time_sec: float | None = None
    budget_sec: float | None = None
    """Budget in seconds on the submission clock."""
    target_metric: str | None = None
    validation_target: float | None = None
    test_target: float | None = None
    """None, too, where the workload has no test split."""
    validation_target_reached: Reached | None = None
    """None if it was not reached."""
    test_target_reached: Reached | None = None
    best: dict[str, Any] | None = None
    """'global_step' and the metrics of the evaluation with the best target metric on the validation split."""
    last: dict[str, Any] | None = None
    """'global_step' and the metrics of the last evaluation; a value that is not finite is stored as None."""
    num_evaluations: int | None = None
    eval_every_steps: int | None = None
    preemption_count: int | None = None
    """How often the trial was interrupted and continued."""
    crashes: int | None = None
    """How many processes of the trial ended neither with it nor with a checkpoint."""
    lost_sec: float | None = None
    """Of `submission_time_sec`, what such processes had used after their last checkpoint (R6.25)."""
    peak_memory: PeakMemory | None = None
    device: str | None = None
    identity: dict[str, Any] | None = None
    """Everything that must be equal for another run to continue this one."""
    ledger: dict[str, Any] | None = None
    """See `clock.Ledger.summary`."""
    compilations: dict[str, dict[str, int]] | None = None
    """Bucket of the submission's clock -> what was compiled there -> how often; see `clock.Ledger.compilations`."""
    error: str | None = None
    """The error of the submission or the input; None if nothing failed."""
    warnings: list[str] | None = None
    stop_reason: str | None = None
    """Why another process stopped the trial, not to be continued."""
    state_taken: dict[str, float] | None = None
    """How often the state for a checkpoint was taken in the last part of the run, and the seconds that this was allowed
    off the clock, lasted, and was charged for (R6.24)."""
    refereed: bool | None = None
    """Whether processes of their own kept its time and its records and evaluated it; None means no."""
    findings: list[dict[str, Any]] | None = None
    """What the referee has noticed: 'rule', 'grade', 'step', 'text' of each; None without a referee."""
    referee: dict[str, Any] | None = None
    """How it was refereed: what was allowed off the clock, used and charged, and how the submission was stopped."""
    seal: str | None = None
    """Last hash of the chain over the records of a refereed trial; see `algoperf.run.chain`."""
    exit_code: int | None = None
    """Exit code of the process, if a campaign gave the trial up."""
    already_finished: bool = False
    """Whether the trial had finished before this command; not stored."""

    def to_json(self) -> dict[str, Any]:
        """The content of summary.json."""
        return {name: getattr(self, name) for name in _STORED}

    def goes_on(self, max_steps: int | None) -> bool:
        """Whether the trial ended at its last allowed update and is now allowed more.

        Args:
          max_steps: the new number of updates; None for no limit.
        """
        return self.status == "max_steps" and (
            max_steps is None or self.global_step is None or max_steps > self.global_step
        )


_STORED = tuple(field.name for field in dataclasses.fields(Summary) if field.name != "already_finished")


def write(folder: Path, summary: Summary) -> None:
    """Writes summary.json into the folder of a trial; makes the folder if necessary."""
    folder.mkdir(parents=True, exist_ok=True)
    records.write_json(folder / records.SUMMARY, summary.to_json())


def read(folder: Path | str) -> Summary | None:
    """The summary in the folder of a trial, of this version or an older one.

    Returns:
      None if there is no file, it is incomplete, or it does not say how the trial ended.

    Raises:
      UsageError: if a later version of the program wrote it, or it holds something else than a summary.
    """
    path = f"{folder}/{records.SUMMARY}"
    content = files.read_json_or_none(path)
    if not isinstance(content, dict) or not content.get("status"):
        return None
    # A later version is refused, because a key may have changed its meaning.
    version = content.get("version", 0)
    if not isinstance(version, int) or version > VERSION:
        raise UsageError(
            f"{path} has version {version!r}, and this program reads up to {VERSION}: use the version that wrote it."
        )
    try:
        return _migrated(content)
    except typed_json.MalformedError as error:
        raise UsageError(
            f"{path} is damaged: {error}. Restore it, or run the trial again with --overwrite."
        ) from None


def _migrated(content: Mapping[str, object]) -> Summary:
    """Summaries without a version have the same keys, where they have them: their own are not always all there."""
    if content["status"] not in records.STATUSES:
        raise typed_json.MalformedError(
            f"'status' must be one of {', '.join(records.STATUSES)}, got {typed_json.shown(content['status'])}"
        )
    known: dict[str, Any] = {name: content[name] for name in _STORED if name in content}
    return typed_json.typed(Summary, {**known, "version": VERSION}, allows_others=True)


# ---- for people --------------------------------------------------------------------------------------------------


def describe(summary: Summary, folder: Path) -> str:
    """The text that is printed at the end of a trial."""
    again = " (finished earlier; --overwrite runs it again)" if summary.already_finished else ""
    lines = [
        f"{summary.submission} on {summary.workload} ({summary.framework}), study {summary.study}, "
        f"trial {summary.trial}: {summary.status}{again}",
        *_describe_splits(summary),
        *_describe_costs(summary),
        *(f"  warning: {text}" for text in summary.warnings or ()),
    ]
    if summary.error:
        lines.append("  " + summary.error.strip().replace("\n", "\n  "))
    if summary.refereed:
        lines += [f"  {one['grade']} ({one['rule']}): {one['text']}" for one in summary.findings or ()]
        lines.append(f"  refereed, {len(summary.findings or ())} findings; seal {summary.seal}")
    lines.append(f"  records: {folder}")
    return "\n".join(lines)


def _describe_splits(summary: Summary) -> list[str]:
    targets = {"validation": (summary.validation_target, summary.validation_target_reached)}
    # Both are unknown of a trial that nobody knows much of; where only one is, the workload has no test split.
    if summary.test_target is not None or summary.validation_target is None:
        targets["test"] = (summary.test_target, summary.test_target_reached)
    return [_describe_split(summary, split, *found) for split, found in targets.items()]


def _describe_split(summary: Summary, split: str, target: float | None, hit: Reached | None) -> str:
    when = "not reached"
    if hit:
        when = f"reached at {hit['submission_time_sec']:.2f} s, step {hit['global_step']:,}"
    last, best = ((row or {}).get(f"{split}/{summary.target_metric}") for row in (summary.last, summary.best))
    values = "" if last is None or best is None else f"; last {last:.4g}, at best validation {best:.4g}"
    wanted = "unknown" if target is None else f"{target:g}"
    return f"  {split} {summary.target_metric} target {wanted}: {when}{values}"


def _describe_costs(summary: Summary) -> list[str]:
    """Lines about time and memory, as far as they are known."""
    lines = []
    if summary.submission_time_sec is not None:
        lines.append(
            f"  submission time {summary.submission_time_sec:.2f} s of {summary.budget_sec:g} s, "
            f"{summary.global_step:,} steps, batch size {summary.global_batch_size}"
        )
    if summary.ledger is not None:
        ledger = summary.ledger
        # Smaller entries would print as 0.00.
        shares = ", ".join(f"{name} {ledger[name]:.2f}" for name in clock.BUCKETS if ledger[name] >= 0.005)
        lines.append(f"  time ledger (s): {shares}; total {ledger['total']:.2f}, wall {ledger['wall']:.2f}")
    if summary.peak_memory is not None:
        memory = summary.peak_memory
        device = "".join(f", {name} {size / 2**30:.2f} GiB" for name, size in memory["device_bytes"].items())
        lines.append(f"  peak memory: host {memory['host_bytes'] / 2**30:.2f} GiB{device}")
    return lines
