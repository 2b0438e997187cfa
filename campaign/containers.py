"""Trials as containers run them: the paths that they have there, and what all of their command lines share."""

import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from algoperf.spec import UsageError
from campaign.job_plan import ROOT, Job
from campaign.options import Options

IMAGE, IMAGE_ROOT, CLAIM = "algoperf", "/opt/algoperf", "algoperf"
OF_FILES = ("submission", "suite", "tuning_search_space", "data_dir", "experiment_dir", "workload_path")
"""Settings that are paths, and must be there in the container, too."""


@dataclasses.dataclass(frozen=True)
class Trials:
    """Trials in a container, as the files list them."""

    shared: list[str]
    """Arguments that all have."""
    own: list[list[str]]
    """Arguments of each."""
    image: str
    root: str
    """Of this project, in the image."""
    claim: str
    """Name of the shared volume."""
    mount: str
    """Where it is, in the container."""
    options: Options

    @property
    def program(self) -> list[str]:
        """What runs a trial in the image."""
        return ["python", f"{self.root}/submission_runner.py"]

    def lines(self) -> str:
        """The own arguments of each, one trial a line, for a shell."""
        return "".join(shlex.join(one) + "\n" for one in self.own)


def in_container(options: Options, experiment_dir: Path, jobs: Sequence[Job]) -> Trials:
    """The trials with the paths that they have in a container.

    Raises:
      UsageError: if a path is neither in this project nor on the shared volume.
    """
    root = options.image_root or IMAGE_ROOT
    claim, _, path = (options.volume or CLAIM).partition(":")
    mount = str(PurePosixPath(path or str(experiment_dir)))
    rows = []
    for job in jobs:
        moved: dict[str, Any] = {
            name: _moved(name, value, root, mount)
            for name in OF_FILES
            if isinstance(value := getattr(job.settings, name, None), str)
        }
        rows.append(dataclasses.replace(job.settings, **moved).as_arguments())
    shared = [one for one in rows[0] if all(one in row for row in rows)]
    own = [[one for one in row if one not in shared] for row in rows]
    if len(rows) == 1:
        shared, own = _split_by_trial(rows[0])
    return Trials(shared, own, options.image or IMAGE, root, claim or CLAIM, mount, options)


def _split_by_trial(row: list[str]) -> tuple[list[str], list[list[str]]]:
    """Of one trial alone: its place is its own, the rest could be shared."""
    places = ("--workload=", "--submission=", "--framework=", "--study=", "--trial=")
    return [one for one in row if not one.startswith(places)], [
        [one for one in row if one.startswith(places)]
    ]


def _moved(name: str, value: str, root: str, mount: str) -> str:
    """The path in a container; a name that is no path stays."""
    path = PurePosixPath(value)
    if not path.is_absolute():
        return value
    if path.is_relative_to(str(ROOT)) and name != "experiment_dir":
        return str(PurePosixPath(root) / path.relative_to(str(ROOT)))
    if path.is_relative_to(mount):
        return value
    raise UsageError(
        f"--{name}={value} would not be in the containers: put it below this project, which is in the image, or on the "
        f"shared volume, and say with --volume=<claim>:<path> where that is (now {mount})."
    )
