"""What people call from Python and notebooks: `run`, `compare`, `sweep`, and what these give back. See docs/python.md.

    calls.py      the three calls
    plan.py       arguments -> a campaign, its jobs and its folder
    entrants.py   optimizers and submissions -> folders of submissions, with their search spaces
    source.py     the source of what was defined in a notebook
    engine.py     runs the trials of a campaign, with a progress bar
    trial.py      Run: one trial
    field.py      Field: a scored comparison
    sweep.py      Sweep: points against results
    table.py      rows that show themselves in terminals and notebooks

Same engine and same records as `run_benchmark.py`: trials are processes of their own, results are files in one folder,
and the same call again goes on where it was. Imports no framework.
"""

from algoperf.api.calls import compare, run, sweep
from algoperf.api.engine import TrialFailedError
from algoperf.api.field import Field, Verdict
from algoperf.api.sweep import Sweep
from algoperf.api.table import Table
from algoperf.api.trial import Run

__all__ = ["Field", "Run", "Sweep", "Table", "TrialFailedError", "Verdict", "compare", "run", "sweep"]
