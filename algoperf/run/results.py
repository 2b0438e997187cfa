"""What the trials of a command came to, for other programs: their folders and summaries."""

import dataclasses
from typing import Any

from algoperf.run import summary
from algoperf.run.study import StudyPlan


def of_plan(plan: StudyPlan) -> list[dict[str, Any]]:
    """One entry per trial of a plan: number, folder, hyperparameters, and its summary (None if it has none yet)."""
    return [
        {
            "trial": number,
            "folder": str(plan.folder(number).absolute()),
            "hyperparameters": plan.points[number - 1],
            "summary": None
            if (found := summary.read(plan.folder(number))) is None
            else dataclasses.asdict(found),
        }
        for number in plan.trials
    ]
