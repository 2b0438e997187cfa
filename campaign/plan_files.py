"""`--engine=files`: what is left of a campaign as files for other schedulers; nothing is started.

    <engine_dir>/commands.txt      the command of every trial, one a line, for any scheduler
    <engine_dir>/kubernetes.yaml   a Job with an index per trial, and the list of trials that it reads
    <engine_dir>/skypilot.yaml     a task whose nodes share the trials

The commands are those of single trials, so results, claims and checkpoints are as with any engine: when all have ended,
run_benchmark.py scores them, and runs what is left.
"""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from algoperf import files
from algoperf.commands import trial_command
from algoperf.spec import UsageError
from campaign import kubernetes, skypilot
from campaign.containers import in_container
from campaign.job_plan import Job
from campaign.options import Options
from campaign.state import State

COMMANDS, KUBERNETES, SKYPILOT = "commands.txt", "kubernetes.yaml", "skypilot.yaml"


def write(options: Options, experiment_dir: Path, jobs: Sequence[Job], states: Mapping[str, State]) -> str:
    """Writes the files for trials that have not ended; returns what is to be said.

    Raises:
      UsageError: if there is nothing to run, or a path that a container would not have.
    """
    assert options.engine_dir is not None  # `Options` has refused that.
    left = [job for job in jobs if not states[job.key].is_final]
    if not left:
        raise UsageError("All trials have ended: run the same command without --engine=files for the scores.")
    folder = files.expanded(options.engine_dir).resolve()
    files.make_folder(folder, "--engine_dir")
    trials = in_container(options, experiment_dir, left)
    _, *program = trial_command()  # Whatever Python the scheduler has.
    commands = [shlex.join(["python", *program, *job.arguments]) for job in left]
    files.write_text(folder / COMMANDS, "\n".join(commands) + "\n")
    head = f"# Written by run_benchmark.py --engine=files: {len(left)} trials.\n"
    documents = kubernetes.documents(trials)
    files.write_text(folder / KUBERNETES, head + yaml.safe_dump_all(documents, sort_keys=False, width=10_000))
    files.write_text(
        folder / SKYPILOT, head + yaml.safe_dump(skypilot.task(trials), sort_keys=False, width=10_000)
    )
    return (
        f"{len(left)} trials in {folder}: {COMMANDS} (one command a line), {KUBERNETES} (kubectl apply -f) and "
        f"{SKYPILOT} (sky launch). When they have ended, the same command without --engine=files scores them."
    )
