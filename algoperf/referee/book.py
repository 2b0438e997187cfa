"""What the referee keeps of a trial: its state and its time, records, checkpoints and the summary.

What the trainee says is taken as a claim: its steps and what the submission logged go into the records, and nothing of
it decides.
"""

import dataclasses
import functools
import os
import sys
from collections.abc import Sequence
from typing import Any

from algoperf import random_utils, records
from algoperf.referee import allowance, claims, confined, parcel
from algoperf.referee.allowance import Account
from algoperf.referee.channel import Closed, Message
from algoperf.referee.findings import FOR_REVIEW, FORBIDDEN, Findings
from algoperf.referee.kept_source import KeptSource
from algoperf.run import chain, chain_logger, checkpoint, clock, ending, here, recording, resume, summary
from algoperf.run.config import TrialFacts
from algoperf.run.shown import metrics_of
from algoperf.run.state import NO_TREES, TrialState, state_of
from algoperf.run.summary import Summary
from algoperf.spec import UsageError

CPU = "cpu"
"""What a process without an accelerator says that its device is."""
ACCOUNTS = ("set_up", "transfer", "lost")


class Book:
    """See `ending.Ran`, too: what it says is for the summary.

    Args:
      facts: of the trial; its environment is not known yet.
      ledger: the open time ledger.
    """

    def __init__(self, facts: TrialFacts, ledger: clock.Ledger):
        self.config, self.ledger = facts, ledger
        self.seeds = random_utils.seeds(facts.settings.rng_seed, facts.settings.study, facts.trial)
        self.state = TrialState(**NO_TREES)
        self.findings = Findings()
        self.preemption_count = 0
        self.accounts = {name: Account() for name in ACCOUNTS}
        self.progress = recording.progress_of(facts)
        self.initial_metrics: dict[str, float] = {}
        """Of the parameters that nobody has trained."""
        self.of_processes: dict[str, Any] = {}
        """What the children say of themselves, for the records; see `recording.facts_of_process`."""
        self.last_checkpoint: int | None = None
        """The step of the newest checkpoint."""
        self.params_digest = ""
        """Of the parameters in the newest checkpoint; empty where nobody has looked."""
        self.accepted: list[str] = []
        """See `resume.SavedRun.accepted`."""
        self.confinement: dict[str, Any] = confined.NOTHING
        """See `confined.Confined.record`."""
        self.hardware: dict[str, float | str] = {}
        """How long a step takes at least, and what follows from; see `plausible_steps`."""
        self.stopped_by = ""
        """How the trainee is stopped."""
        self._chain, self._head = chain.Chain(facts.folder), ""
        self._source = KeptSource(facts.submission.path)
        self._sec_at_checkpoint = 0.0
        self._claims: dict[str, Any] = {}
        self._claimed_sec = 0.0
        self._logger: records.MetricsLogger | None = None
        self._warnings: list[str] = []

    # ---- records -----------------------------------------------------------------------------------------------

    @property
    def has_accelerator(self) -> bool:
        """Whether another device than processors computes: says the trainee, or the evaluator, which is honest."""
        evaluators = str(self.of_processes.get("evaluator", {}).get("device", CPU))
        return self.config.device != CPU or not evaluators.startswith(CPU)

    @property
    def is_open(self) -> bool:
        """Whether the trial has begun."""
        return self._logger is not None

    def open(self) -> None:
        """Writes the records that are known at the start."""
        self._logger = recording.open_records(
            self.config,
            {**recording.meta_data(self.config, self.seeds, self.of_processes), "refereed": True},
            float,
            self.preemption_count,
            self.state.global_step if self.preemption_count else -1,
            functools.partial(chain_logger.Logger, self._chain),
        )
        self._logger.put_back(self.state.eval_rows)
        self._begin_chain()
        self._source.write(self.config.folder.parents[1])
        self._sec_at_checkpoint = self._submission_sec()

    def _begin_chain(self) -> None:
        """Begins the chain over the records, or goes on with it from the checkpoint."""
        count, step = self.preemption_count, self.state.global_step
        if count:
            for is_change, text in self._chain.resume(count, step, self._head):
                grade = FORBIDDEN if is_change else FOR_REVIEW
                self.findings.add("R12.10", grade, step, f"When the trial was continued, {text}.")
        else:
            self._chain.start()
        starts = (records.flags_file(count), records.meta_data_file(count))
        self._chain.add_written(records.HPARAMS, *starts, records.LOST)

    def tell_followers(self, status: str | None) -> None:
        """See `records.Follower.end`."""
        if self._logger is not None and self._logger.follower is not None:
            self._logger.follower.end(status)

    def close(self) -> None:
        """Writes what is pending."""
        if self._logger is not None:
            workload = self.config.workload
            self._logger.finish(
                records.evaluation_columns(workload.target_metric_name, workload.has_test_split)
            )

    def tell(self, warnings: Sequence[str], is_said: bool = False) -> None:
        """Adds warnings, which are shown at once, unless somebody else has said them."""
        for text in warnings:
            if text in self._warnings:
                continue
            self._warnings.append(text)
            if not is_said and not self.config.settings.quiet:
                print(f"warning: {text}", file=sys.stderr)

    def record_evaluation(self, metrics: dict[str, float]) -> None:
        """Logs and shows an evaluation."""
        recording.record_evaluation(
            self.state,
            metrics,
            config=self.config,
            ledger=self.ledger,
            logger=self._logger,
            shown=self.progress,
            preemption_count=self.preemption_count,
            peak_memory=self.peak_memory,
        )

    def summarize(self, status: str, error: str | None) -> Summary:
        """Writes the summary of a trial that has ended, and the records before it."""
        goes_on = self.last_checkpoint is None and checkpoint.list_checkpoints(self.config.folder)
        if not self.is_open and self.of_processes and not goes_on:
            self.open()  # Set-up failed, and what is known by then is recorded all the same.
        self.ledger.enter(clock.LOGGING)
        if self._logger is not None:
            final = {records.SCORE: self._submission_sec()}
            self._logger.append_scalar_metrics(final, self.state.global_step, self.preemption_count)
        self.close()
        ended = dataclasses.replace(
            ending.summarize(
                self.config,
                self,
                status,
                error=error,
                stop_reason=here.stop_reason(self.config) if status == "stopped" else None,
            ),
            refereed=True,
            crashes=len(self._lost()),
            lost_sec=self.accounts["lost"].charged_sec,
            findings=self.findings.to_json(),
            referee={
                "stopped_by": self.stopped_by,
                "confinement": self.confinement,
                "claimed_sec": round(self._claimed_sec, 6),
                "initial_metrics": self.initial_metrics,
                "evaluator_device": self.of_processes.get("evaluator", {}).get("device"),
                "hardware": self.hardware,
                "off_the_clock": {name: account.to_json() for name, account in self.accounts.items()},
            },
        )
        self._chain.add_document(records.SUMMARY, records.as_read(ended.to_json()))
        ended = dataclasses.replace(ended, seal=self._chain.head)
        summary.write(self.config.folder, ended)
        self.tell_followers(ended.status)
        return ended

    # ---- what the trainee says -----------------------------------------------------------------------------------

    def take_claims(self, message: Message, ns: int = 0) -> None:
        """Enters what a trainee says of itself at a pause.

        Args:
          message: of it.
          ns: time on the submission clock since the last pause, which is dealt out to the timed functions as it says.
        """
        spent = {}
        for name in clock.SUBMISSION_BUCKETS:
            spent[name] = claims.seconds(message.table("seconds").get(name))
        total = sum(spent.values())
        self._claimed_sec += total
        for name in (clock.DATA_SELECTION, clock.PREPARE_FOR_EVAL):
            if total > 0:
                self.ledger.move(clock.UPDATE, name, int(ns * spent[name] / total))
        self._take_compilations(message.table("compilations"))
        self.take_rows(message)
        self._claims = {name: value for name, value in message.fields.items() if name != "rows"}

    def _take_compilations(self, claimed: dict[str, Any]) -> None:
        for bucket, counts in self.ledger.compilations.items():
            found = claimed.get(bucket)
            for name, count in found.items() if isinstance(found, dict) else ():
                counts[str(name)] = max(claims.whole(count), counts.get(str(name), 0))

    def take_rows(self, message: Message) -> None:
        """Writes rows that the submission has logged."""
        for row in message.items("rows") if self._logger is not None else ():
            if not isinstance(row, dict):
                raise Closed("a row that is none")
            step = row.pop(records.GLOBAL_STEP, None)
            row.pop(records.PREEMPTION_COUNT, None)
            kept = {name: value for name, value in row.items() if _is_loggable(name, value)}
            if kept and claims.whole(step) == step:
                assert self._logger is not None
                self._logger.append_scalar_metrics(kept, step)
        if self._logger is not None:
            self._logger.flush()

    # ---- checkpoints ---------------------------------------------------------------------------------------------

    def keep(self, content: int | None) -> None:
        """Writes a checkpoint of the referee's, with the trainee's part unread.

        Args:
          content: descriptor of a file with that part, which is closed; None for nothing.
        """
        if content is None:
            return
        parcel.content((content,))  # Once more, as it may have changed before its process was stopped.
        state = self.state
        self.ledger.enter(clock.CHECKPOINT)
        self._chain.sync()
        fields = (field.name for field in dataclasses.fields(TrialState) if field.name not in NO_TREES)
        about = {
            "identity": self.config.identity(),
            "preemption_count": self.preemption_count,
            "num_evaluations": len(state.eval_results),
            "refereed": True,
            "progress": {name: getattr(state, name) for name in fields},
            "ledger": self.ledger.state(),
            "accounts": {name: dataclasses.asdict(one) for name, one in self.accounts.items()},
            "findings": self.findings.to_json(),
            "initial_metrics": self.initial_metrics,
            "claimed_sec": self._claimed_sec,
            "accepted": self.accepted,
            "confinement": self.confinement,
            "chain": self._chain.head,
            "params_digest": self.params_digest,
        }
        with open(content, "rb") as source:
            source.seek(0)

            def write(target: Any) -> None:
                while block := source.read(1 << 20):
                    target.write(block)

            keep_older = self.config.settings.save_intermediate_checkpoints
            checkpoint.save_with(self.config.folder, state.global_step, write, keep_older, about)
        self.last_checkpoint = state.global_step
        self._sec_at_checkpoint = self._submission_sec()
        self.ledger.enter(clock.OTHER)

    def continue_from(self, found: checkpoint.Found, changes: Sequence[str]) -> dict[str, Any]:
        """Takes over what a checkpoint says; returns what the trainee may know of it.

        Args:
          found: the checkpoint.
          changes: of code and versions since then, over which the run goes on.

        Raises:
          UsageError: if no referee has written it.
        """
        about = found.about
        if not about.get("refereed"):
            raise UsageError(
                f"{found.path} was not written by a referee: start over with --overwrite, or without --referee."
            )
        self.state = state_of(about["progress"])
        self.preemption_count = about["preemption_count"] + 1
        self.findings = Findings(about["findings"])
        self.initial_metrics, self._claimed_sec = about["initial_metrics"], about["claimed_sec"]
        self.params_digest = about.get("params_digest", "")
        self.confinement = confined.together(about.get("confinement"), self.confinement)
        self.last_checkpoint, self._head = self.state.global_step, about.get("chain", "")
        self.ledger.add_earlier(about["ledger"])
        self.accounts = {name: allowance.Account(**stored) for name, stored in about["accounts"].items()}
        lost = sum(one["lost_sec"] for one in self._lost() if one["step"] == self.state.global_step)
        if lost:
            self.ledger.add_submission_ns(round(lost * 1e9))
            self.accounts["lost"].add(allowance.NONE, allowance.Effort(lost), lost)
        if found.damaged:
            newer = ", ".join(found.damaged)
            self.tell([f"Continued from the older {found.path.name}, as newer ones are damaged: {newer}."])
        self.accepted = [*about.get("accepted", ()), *resume.accepted(self.state.global_step, changes)]
        self.tell(self.accepted)
        shown = [(step, dict(metrics_of(metrics))) for step, metrics in self.state.eval_results]
        return {**about["progress"], "eval_results": shown, "eval_rows": []}

    def charge_lost(self) -> None:
        """Notes what a trainee has used up since the last checkpoint and before it died: it counts when it goes on."""
        if self.last_checkpoint is not None:
            lost_sec = max(0.0, self._submission_sec() - self._sec_at_checkpoint)
            entry = {"step": self.last_checkpoint, "lost_sec": lost_sec}
            records.write_json(self.config.folder / records.LOST, [*self._lost(), entry])
            self._chain.add_written(records.LOST)

    def _lost(self) -> list[dict[str, Any]]:
        path = self.config.folder / records.LOST
        return records.read_json(path) if os.path.exists(path) else []

    def _submission_sec(self) -> float:
        return self.ledger.submission_ns * 1e-9

    # ---- for the summary: `ending.Ran` ---------------------------------------------------------------------------

    @property
    def batch_size(self) -> int:
        return int(self.of_processes.get("global_batch_size") or 0)

    def unread_hyperparameters(self) -> list[str]:
        read = claims.names(self._claims.get("hyperparameters_read"))
        return [name for name in self.config.point or () if name not in read]

    def all_warnings(self) -> list[str]:
        return self._warnings

    def peak_memory(self) -> summary.PeakMemory:
        found = self._claims.get("peak_memory")
        found = found if isinstance(found, dict) else {}
        host_bytes = claims.whole(found.get("host_bytes"))
        return {"host_bytes": host_bytes, "device_bytes": claims.sizes(found.get("device_bytes"))}

    def describe_device(self) -> str:
        return str(self.of_processes.get("device"))


def _is_loggable(name: object, value: object) -> bool:
    try:
        records.check_name(name)
    except UsageError:
        return False
    return claims.is_value(value)
