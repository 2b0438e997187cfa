"""What a procedure works on: a stored sweep, and the part of it that the user asks for."""

from dataclasses import dataclass

import numpy as np

from algoperf.spec import UsageError, no_such
from scoring.score_report import count
from target_setting.sweep import Sweep, SweepTrial
from target_setting.sweep_tables import Metric, Table, make_table, names, on


@dataclass(frozen=True, eq=False)
class Results:
    """Those of one algorithm on one workload."""

    algorithm: str
    workload: str
    metric: Metric
    costs: np.ndarray
    """(n,) lower is better; infinite where a trial has no result."""

    @property
    def title(self) -> str:
        return f"{self.algorithm}, {self.workload}"

    def cells(self) -> list[str]:
        """The first three of a row in a table."""
        return [self.algorithm, self.workload, self.metric.name]

    def content(self) -> dict[str, str | int]:
        """What says in a JSON file whose results these are."""
        return {
            "algorithm": self.algorithm,
            "workload": self.workload,
            "metric_name": self.metric.name,
            "num_results": len(self.costs),
        }


@dataclass(frozen=True)
class Selection:
    """A sweep, and what of it is asked for."""

    sweep: Sweep
    place: str
    """Of the sweep, as the user gave it."""
    workloads: tuple[str, ...] = ()
    """In the user's order; empty means all."""

    def swept(self) -> tuple[tuple[SweepTrial, ...], tuple[str, ...], tuple[str, ...]]:
        """Trials of the sweep itself, its algorithms, and its workloads in the order of the user (else sorted).

        Raises:
          UsageError: if there are no trials, or none on a workload that is named.
        """
        if not self.sweep.trials:
            raise UsageError(f"{self.place!r} holds reruns only; this procedure needs the sweep's trials.")
        algorithms, workloads = names(self.sweep.trials)
        for name in self.workloads:
            if name not in workloads:
                raise no_such("workload with finished trials in the sweep", name, workloads)
        return self.sweep.trials, algorithms, self.workloads or workloads

    def tables(self, *, complete: bool = True) -> tuple[list[Table], tuple[str, ...]]:
        """Points x workloads of every algorithm, and notes on points that were left out.

        An algorithm's workloads are those that it ran, unless the user names them.
        """
        trials, algorithms, workloads = self.swept()
        made = []
        for name in algorithms:
            ran = {trial.workload for trial in trials if trial.algorithm == name}
            own = [workload for workload in workloads if workload in ran or self.workloads]
            made.append(make_table(trials, name, own, complete=complete))
        notes = [
            f"{one.algorithm}: {count(one.num_left_out, 'point')} left out, not finished on every workload."
            for one in made
            if one.num_left_out
        ]
        return made, tuple(notes)

    def results(self) -> list[Results]:
        """Those of every algorithm on every workload that it ran, each for itself."""
        trials, algorithms, workloads = self.swept()
        found = []
        for workload in workloads:
            for algorithm in algorithms:
                if any(trial.algorithm == algorithm for trial in on(workload, trials)):
                    table = make_table(trials, algorithm, (workload,))
                    found.append(Results(algorithm, workload, table.metrics[0], table.costs[0]))
        return found
