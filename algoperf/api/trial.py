"""Run: one trial that was run, read from its folder."""

import dataclasses
import html
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algoperf import plots, records
from algoperf.api.table import Table, shown
from algoperf.run import summary as summaries
from algoperf.run.summary import Summary

FIRST = (records.GLOBAL_STEP, records.SCORE)
"""Columns of evaluations that are shown before all others."""


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """One trial. Its records are files in `folder`; what is asked for is read from there."""

    name: str
    """What the optimizer or submission is called in the results."""
    workload: str
    framework: str
    study: int
    """From 0."""
    trial: int
    """From 1."""
    folder: Path
    log: Path | None = None
    """What its process printed last."""

    @property
    def summary(self) -> Summary | None:
        """The content of `summary.json`; None before the trial has ended."""
        return summaries.read(self.folder)

    @property
    def evaluations(self) -> Table:
        """A row per evaluation: `global_step`, `score` (seconds on the submission clock), then the metrics."""
        columns = self._columns(records.EVAL_MEASUREMENTS)
        if records.SCORE not in columns and records.SUBMISSION_TIME in columns:  # Of AlgoPerf itself.
            columns[records.SCORE] = columns[records.SUBMISSION_TIME]
        metrics = sorted((name for name in columns if "/" in name), key=_split_first)
        counts = [name for name in metrics if name.endswith("/num_examples")]
        return self._table(columns, [*FIRST, *(name for name in metrics if name not in counts)])

    @property
    def measurements(self) -> Table:
        """A row per update that logged something, evaluations among them: all columns of `measurements.csv`."""
        columns = self._columns(records.MEASUREMENTS)
        return self._table(columns, [*FIRST, *(name for name in columns if name not in FIRST)])

    def _columns(self, file: str) -> dict[str, list[float]]:
        try:
            return records.read_csv(self.folder / file)
        except FileNotFoundError:
            return {}

    @staticmethod
    def _table(columns: dict[str, list[float]], order: list[str]) -> Table:
        names = [name for name in order if name in columns]
        whole = {records.GLOBAL_STEP, records.PREEMPTION_COUNT}
        rows = zip(*(columns[name] for name in names))
        return Table(
            {
                name: int(value) if name in whole and value == value else value
                for name, value in zip(names, row)
            }
            for row in rows
        )

    @property
    def hyperparameters(self) -> dict[str, Any] | None:
        """The point of the trial; None in the self-tuning ruleset."""
        return self.summary.hyperparameters if self.summary else None

    @property
    def status(self) -> str:
        """One of `algoperf.records.STATUSES`, or 'not run'."""
        return self.summary.status if self.summary else "not run"

    @property
    def error(self) -> str | None:
        """Why it failed; None where it did not."""
        return self.summary.error if self.summary else None

    @property
    def reached_sec(self) -> float | None:
        """Seconds on the submission clock until the validation target was met; None if it was not."""
        reached = self.summary and self.summary.validation_target_reached
        return reached["submission_time_sec"] if reached else None

    def facts(self) -> dict[str, Any]:
        """What a table of runs says of this one: how it ended, what it took, and how good it became."""
        ended = self.summary
        if ended is None:
            return {"name": self.name, "workload": self.workload, "status": "not run"}
        metric = f"validation/{ended.target_metric}"
        best = (ended.best or {}).get(metric)
        reached = ended.validation_target_reached
        return {
            "name": self.name,
            "workload": self.workload,
            "status": ended.status,
            **({f"best {metric}": best} if ended.target_metric else {}),
            "target": ended.validation_target,
            "reached after, s": reached["submission_time_sec"] if reached else None,
            "reached at step": int(reached["global_step"]) if reached else None,
            "steps": ended.global_step,
            "submission time, s": ended.submission_time_sec,
        }

    def plot(self, output: Path | str | None = None) -> Any:
        """Its learning curves as a matplotlib figure; `output` also writes them to a .png, .svg or .pdf file."""
        return plots.draw([self.curves()], None if output is None else Path(output))

    def curves(self, label: str | None = None) -> plots.Curves:
        """What is drawn of it."""
        found = plots.read(self.folder, label or self.name)
        return dataclasses.replace(found, workload=self.workload)

    def __repr__(self) -> str:
        return "\n".join(f"{name + ':':25} {value}" for name, value in self._lines())

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
            f"<td style='text-align:left'>{html.escape(value)}</td></tr>"
            for name, value in self._lines()
        )
        return f"<table>{rows}</table>"

    def _lines(self) -> list[tuple[str, str]]:
        (facts,) = Table([self.facts()])
        facts["hyperparameters"] = ", ".join(f"{k}={v}" for k, v in (self.hyperparameters or {}).items())
        facts["error"] = (self.error or "").strip().splitlines()[-1:] or None
        facts["results"] = self.folder
        named = {name: value[0] if isinstance(value, list) else value for name, value in facts.items()}
        return [(name, shown(value)) for name, value in named.items() if value not in (None, "")]


def _split_first(name: str) -> tuple[int, str]:
    """The splits in the order in which people look at them."""
    order = ("validation", "test", "train")
    split = name.partition("/")[0]
    return order.index(split) if split in order else len(order), name
