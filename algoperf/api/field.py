"""Field: several submissions over a suite, scored."""

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algoperf import files, plots
from algoperf.api.table import Table
from algoperf.api.trial import Run
from algoperf.spec import UsageError, no_such
from campaign import benchmark
from campaign.job_plan import Campaign, Job
from scoring import score_field, verdicts
from scoring.leaderboard import Leaderboard
from scoring.results import AXES, SUBMISSION_TIME
from scoring.verdicts import Verdict


@dataclass(frozen=True, eq=False, repr=False)
class Field:
    """A scored comparison. Its records are the files of a campaign, in `folder`."""

    campaign: Campaign
    jobs: tuple[Job, ...]
    runs: tuple[Run, ...]
    """All trials, in the order in which they ran."""

    @property
    def folder(self) -> Path:
        return self.campaign.experiment_dir

    @functools.cached_property
    def _scored(self) -> dict[str, score_field.Scored]:
        if not any(run.evaluations for run in self.runs):
            errors = {run.name: (run.error or "no message").strip().splitlines()[-1] for run in self.runs}
            said = "; ".join(f"{name}: {error}" for name, error in errors.items())
            raise UsageError(f"There are no scores: no trial came to an evaluation ({said}).")
        return {
            axis: score_field.run(benchmark.scoring_config(self.campaign, self.jobs, axis)) for axis in AXES
        }

    def board(self, axis: str = SUBMISSION_TIME) -> Leaderboard:
        """All that scoring knows, by seconds ('submission_time') or by updates ('steps').

        Raises:
          UsageError: for another axis, or where no trial came to an evaluation.
        """
        if axis not in AXES:
            raise no_such("axis", axis, AXES)
        return self._scored[axis].board

    def table(self, axis: str = SUBMISSION_TIME) -> Table:
        """A row per submission, the best first: rank, score with its interval, and the time on each workload."""
        board = self.board(axis)
        spread, ranks, values = board.uncertainty, board.ranks(), board.table.values()
        rows = Table()
        for row in board.order():
            interval = (
                {"low": float(spread.score.low[row]), "high": float(spread.score.high[row])}
                if spread is not None
                else {}
            )
            times = {
                name: float(value) if value < float("inf") else None
                for name, value in zip(board.table.columns, values[row])
            }
            rows.append(
                {
                    "rank": int(ranks[row]) if board.has_ranks else None,
                    "submission": board.submissions[row],
                    "score": float(board.scores[row]),
                    **interval,
                    **times,
                }
            )
        return rows

    def trials(self) -> Table:
        """A row per trial: how it ended and what it reached."""
        return Table(
            {**run.facts(), "study": run.study, "trial": run.trial, "hyperparameters": _said(run)}
            for run in self.runs
        )

    def verdict(self, first: str, second: str, axis: str = SUBMISSION_TIME) -> Verdict:
        """Whether the first is better or worse than the second, or the studies cannot tell, and how many more would.

        Raises:
          UsageError: for a name that is not in the field, or where there are no scores.
        """
        return verdicts.of(self.board(axis), first, second)

    def text(self, axis: str = SUBMISSION_TIME) -> str:
        """The report of `score_submissions.py`."""
        self.board(axis)
        return self._scored[axis].text()

    def report(self, path: Path | str = "report.html") -> Path:
        """Writes report.html, one page that needs no network; returns its path.

        Raises:
          UsageError: where there are no scores.
        """
        self.board()
        place = files.expanded(path).absolute()
        files.make_folder(place.parent, "report")
        config = benchmark.scoring_config(self.campaign, self.jobs, SUBMISSION_TIME)
        score_field.run(dataclasses.replace(config, report=place))
        return place

    def plot(self, output: Path | str | None = None, workloads: Sequence[str] = ()) -> Any:
        """The learning curves of all trials as a matplotlib figure, one colour for each submission; see `Run.plot`."""
        found = [run.curves() for run in self.runs if run.evaluations]
        chosen = [one for one in found if not workloads or one.workload in workloads]
        return plots.draw(chosen, None if output is None else Path(output))

    def __repr__(self) -> str:
        return repr(self.table()) if any(run.evaluations for run in self.runs) else repr(self.trials())

    def _repr_html_(self) -> str:
        table = self.table() if any(run.evaluations for run in self.runs) else self.trials()
        return table._repr_html_()


def _said(run: Run) -> str:
    return ", ".join(f"{name}={value}" for name, value in (run.hyperparameters or {}).items())
