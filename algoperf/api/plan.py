"""From the arguments of a call to a campaign, its jobs and its folder."""

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from algoperf import data_seed, files, suites, tuning
from algoperf.api.entrants import Entrant
from algoperf.api.trial import Run
from algoperf.settings import RunSettings, given
from algoperf.spec import UsageError, no_such
from campaign.job_plan import Campaign, Job, make_jobs
from campaign.store import Store

RESULTS = "algoperf_results"
"""Folder of results that nobody has named, in the working directory; `$ALGOPERF_RESULTS` is another."""
VARIABLE = "ALGOPERF_RESULTS"
OWN = (
    *(
        "workload",
        "submission",
        "submission_path",
        "tuning_search_space",
        "num_tuning_trials",
        "study",
        "trial",
    ),
    *("hparam_start_index", "hparam_end_index", "experiment_dir", "experiment_name", "append_timestamp"),
    *(
        "overwrite",
        "reproduce",
        "resume_last_run",
        "quiet",
        "rng_seed",
        "tuning_ruleset",
        "suite",
        "framework",
    ),
)
"""Settings of a run that the calls decide, or have arguments of their own for."""
Results = Path | str | None


def num_trials(entrants: Sequence[Entrant], suite: str, ruleset: str) -> int | None:
    """Trials a study where nobody says: as many as there are points; None where the suite has no more than these."""
    if ruleset == "self":
        return None
    most = max(tuning.num_distinct(one.points()) for one in entrants)
    return None if most >= suites.load(suite).ruleset(ruleset).num_trials else int(most)


def settings_of(
    values: Mapping[str, Any],
    *,
    framework: str | None,
    ruleset: str,
    seed: int,
    suite: str | None,
    workload: str | None = None,
) -> RunSettings:
    """The settings that all trials have in common.

    Raises:
      UsageError: for one that is not taken here, or does not exist.
    """
    for name in values:
        if name in OWN or name == "data_seed":
            raise UsageError(
                f"{name!r} is not taken here: the call's own arguments say it"
                + (", and data of a secret seed are for run_benchmark.py." if name == "data_seed" else ".")
            )
    if os.environ.get(data_seed.VARIABLE):
        raise UsageError(
            f"${data_seed.VARIABLE} is set, and data of a secret seed are for run_benchmark.py: unset it."
        )
    chosen = suite or suites.default_name([workload] if workload else [])
    own = {"framework": framework, "tuning_ruleset": ruleset, "rng_seed": seed, "suite": chosen}
    return given({**values, **own})


def of_each(named: Mapping[str, object], asked: Any) -> dict[str, Any]:
    """Name of an entry -> what is asked for it: the same for all, or by name."""
    if isinstance(asked, Mapping) and asked and set(asked) & set(named):
        for name in asked:
            if name not in named:
                raise no_such("entry", name, named)
        return {name: asked.get(name) for name in named}
    return dict.fromkeys(named, asked)


def lists_and_settings(values: Mapping[str, Any]) -> tuple[dict[str, list[Any]], dict[str, Any]]:
    """(hyperparameter -> its values, settings of runs)."""
    known = {field.name for field in dataclasses.fields(RunSettings)} | {"max_steps"}
    lists, settings = {}, {}
    for name, value in values.items():
        if hasattr(value, "tolist"):
            value = value.tolist()
        if isinstance(value, (list, tuple, range)):
            lists[name] = list(value)
        elif name in known:
            settings[name] = value
        else:
            raise UsageError(
                f"{name}={value!r} is one value: give a list to sweep, or hyperparameters={{{name!r}: {value!r}}} for "
                "a fixed one."
            )
    return lists, settings


Shape = Mapping[str, Any] | Callable[[Sequence[Entrant]], Mapping[str, Any]]


def planned(
    results: Results,
    label: str,
    entered: Callable[[Path], list[Entrant]],
    settings: RunSettings,
    shape: Shape,
) -> tuple[Campaign, list[Job]]:
    """The campaign and its jobs, in a folder that the user names, or in one that is named after all that decides them.

    Args:
      results: the folder; None for the latter.
      label: how the name of that one begins.
      entered: writes what is to run below a folder.
      settings: of all trials.
      shape: fields of `Campaign`, or what gives them.
    """
    if results is not None:
        root = files.expanded(results).absolute()
        files.make_folder(root, "results")
        return _campaign(root, entered(root), settings, shape)
    above = files.expanded(os.environ.get(VARIABLE) or RESULTS).absolute()
    files.make_folder(above, f"${VARIABLE}")
    with _temporary(above) as new:
        entrants = entered(new)
        _, jobs = _campaign(new, entrants, settings, shape)
        decides = json.dumps(
            [[job.key, job.identity, job.max_steps] for job in jobs], sort_keys=True, default=str
        )
        folder = above / f"{label}_{hashlib.sha256(decides.encode()).hexdigest()[:8]}"
        with contextlib.suppress(OSError):  # It is there: of the same call before.
            new.rename(folder)
    return _campaign(folder, [one.moved(new, folder) for one in entrants], settings, shape)


@contextlib.contextmanager
def _temporary(above: Path) -> Iterator[Path]:
    new = Path(tempfile.mkdtemp(prefix=".new_", dir=above))
    new.chmod(0o755)
    try:
        yield new
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _campaign(
    root: Path, entrants: Sequence[Entrant], settings: RunSettings, shape: Shape
) -> tuple[Campaign, list[Job]]:
    is_self = settings.tuning_ruleset == "self"
    spaces = () if is_self else tuple(str(one.space or _beside(one)) for one in entrants)
    campaign = Campaign(
        experiment_dir=root,
        settings=settings,
        submissions=tuple(str(one.path) for one in entrants),
        names=tuple(one.name for one in entrants),
        search_spaces=spaces,
        **(shape(entrants) if callable(shape) else shape),
    ).anchored()
    return campaign, make_jobs(campaign)


def _beside(entrant: Entrant) -> Path:
    folder = entrant.path if entrant.path.is_dir() else entrant.path.parent
    return folder / "tuning_search_space.json"


def runs_of(campaign: Campaign, jobs: Sequence[Job]) -> tuple[Run, ...]:
    """The trials of jobs, in their order."""
    store = Store(campaign.experiment_dir, accept_changes=True)
    found = []
    for job in jobs:
        attempts = store.attempts(job)
        found.append(
            Run(
                name=job.submission,
                workload=job.workload,
                framework=job.framework,
                study=job.study,
                trial=job.trial,
                folder=job.folder,
                log=attempts[-1].log if attempts else None,
            )
        )
    return tuple(found)
