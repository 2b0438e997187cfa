"""MLflow. Where to and which experiment: MLFLOW_TRACKING_URI, else `mlruns/` in the root of results, and
MLFLOW_EXPERIMENT_NAME, else `algoperf`."""

import os
import re
import time
from collections.abc import Sequence
from typing import Any

from algoperf.log_to.destination import About, Point

PACKAGE = "mlflow"
EXPERIMENT = "algoperf"
MOST_METRICS = 1000
"""In one request: the limit of its servers."""
_NO_NAME = re.compile(r"[^\w\-./ :]")


class MLflow:
    """See `Destination`.

    Args:
      client: of MLflow.
      run: its id.
    """

    def __init__(self, client: Any, run: str):
        self._client, self.run = client, run
        self._num_done = 0  # Of points that come once more, because a later request failed.

    def send(self, points: Sequence[Point]) -> None:
        while self._num_done < len(points):
            batch = [points[self._num_done]]
            for point in points[self._num_done + 1 :]:
                if sum(len(one.values) for one in batch) + len(point.values) > MOST_METRICS:
                    break
                batch.append(point)
            self._send(batch)
            self._num_done += len(batch)
        self._num_done = 0

    def _send(self, points: Sequence[Point]) -> None:
        """One request."""
        from mlflow.entities import Metric

        now_ms = time.time_ns() // 1_000_000
        metrics = [
            Metric(_NO_NAME.sub("_", name), value, now_ms, point.step)
            for point in points
            for name, value in point.values.items()
        ]
        self._client.log_batch(self.run, metrics=metrics)

    def end(self, status: str | None) -> None:
        if status is not None:
            self._client.set_tag(self.run, "status", status)
        ended = {None: "KILLED", "failed": "FAILED"}.get(status, "FINISHED")
        self._client.set_terminated(self.run, status=ended)


def make(about: About, run: str | None) -> MLflow:
    """See `destination.Module`."""
    from mlflow import MlflowClient
    from mlflow.entities import Param

    place = os.environ.get("MLFLOW_TRACKING_URI")
    if not place:
        place = f"{about.root.absolute().as_uri()}/mlruns"
        # Since 3.13 or so MLflow wants to hear that folders of files are meant, which need no database.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    client = MlflowClient(place)
    if run is None:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        found = client.get_experiment_by_name(name)
        experiment = client.create_experiment(name) if found is None else found.experiment_id
        run = client.create_run(experiment, run_name=about.name, tags={"group": about.group}).info.run_id
        params = [Param(_NO_NAME.sub("_", name), str(value)) for name, value in about.facts.items()]
        client.log_batch(run, params=params)
    else:
        client.update_run(run, status="RUNNING")
    return MLflow(client, run)
