"""Weights & Biases. Project, team, key and mode are those of its own environment variables, such as WANDB_MODE=offline.

Nothing is sent but points and `About.facts`: no output of the terminal, no source, no description of the machine.
"""

import os
import uuid
from collections.abc import Sequence
from typing import Any

from algoperf.log_to.destination import About, Point

PACKAGE = "wandb"
PROJECT = "algoperf"
"""Where WANDB_PROJECT names no other."""
INIT_SEC = 30
"""How long it may take to reach the server: less than `follower.LIMIT_SEC`, so that it is tried again."""


class Wandb:
    """See `Destination`.

    Args:
      started: the run of wandb.
    """

    def __init__(self, started: Any):
        self._started = started
        self.run: str = started.id

    def send(self, points: Sequence[Point]) -> None:
        for point in points:
            self._started.log(dict(point.values), step=point.step)

    def end(self, status: str | None) -> None:
        if status is None:
            self._started.mark_preempting()
        else:
            self._started.summary["status"] = status
        self._started.finish(exit_code=1 if status in (None, "failed") else 0)


def make(about: About, run: str | None) -> Wandb:
    """See `destination.Module`."""
    import wandb

    settings = wandb.Settings(
        console="off",
        disable_code=True,
        disable_git=True,
        save_code=False,
        silent=True,
        x_disable_machine_info=True,
        x_disable_meta=True,
        x_disable_stats=True,  # It would measure while the clock runs.
        x_save_requirements=False,
        init_timeout=INIT_SEC,
    )
    started = wandb.init(
        project=os.environ.get("WANDB_PROJECT") or PROJECT,
        name=about.name,
        group=about.group,
        id=run or uuid.uuid4().hex[:8],
        resume="allow",
        dir=about.folder,
        config=dict(about.facts),
        settings=settings,
    )
    return Wandb(started)
