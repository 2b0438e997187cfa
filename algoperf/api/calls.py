"""`run`, `compare` and `sweep`: arguments become a campaign, which is run and read."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from algoperf.api import engine
from algoperf.api.entrants import Entrant, Space, each_point, enter, name_of, plain
from algoperf.api.field import Field
from algoperf.api.plan import Results, lists_and_settings, num_trials, of_each, planned, runs_of, settings_of
from algoperf.api.sweep import Sweep, point_name
from algoperf.api.trial import Run
from algoperf.spec import UsageError
from campaign.job_plan import check_name

MAX_POINTS = 1000
"""Of a sweep: far above what anybody runs, so that a typing error is refused."""


def run(
    what: object,
    *,
    workload: str,
    hyperparameters: Mapping[str, Any] | None = None,
    framework: str | None = None,
    name: str | None = None,
    ruleset: str = "external",
    suite: str | None = None,
    seed: int = 0,
    study: int = 0,
    results: Results = None,
    gpu: str | None = None,
    progress: bool = True,
    **settings: Any,
) -> Run:
    """Trains one workload once, to its target or the end of its budget.

    Args:
      what: an optimizer class or a function that makes one (also of a notebook), its dotted path such as
        'torch.optim.AdamW', './file.py:Name', or the folder or file of a submission.
      workload: such as 'digits' or 'ogbg_mini'.
      hyperparameters: of the optimizer by the names of its own signature, and shared ones such as `schedule`; of a
        submission all that its search space has. Without any: the optimizer's defaults, or the first point of the
        submission's search space.
      framework: 'jax' or 'pytorch', where it does not follow from `what`.
      name: of the results; by default that of `what`.
      ruleset: 'external' or 'self', which has a longer budget.
      suite: whose targets and budgets hold; by default the one that the workload belongs to.
      seed: fixes the data order, initialisation and all else that is drawn.
      study: number of the repetition, from 0; each has other seeds.
      results: folder for the records; by default one of its own below `$ALGOPERF_RESULTS`, else `algoperf_results`.
        The same call again finds what is there, and goes on where it was stopped.
      gpu: the one to use, as CUDA_VISIBLE_DEVICES counts them.
      progress: whether to show a bar.
      **settings: any other setting of a run by its name, such as `max_global_steps=500`, `device="cpu"`,
        `eval_every_steps=100`: `python submission_runner.py --help` lists them.

    Raises:
      UsageError: for whatever a person can put right, before anything is trained.
      TrialFailedError: if the optimizer fails.
      KeyboardInterrupt: after an interrupt; the same call goes on from the checkpoint that was written.
    """
    own = settings_of(
        settings, framework=framework, ruleset=ruleset, seed=seed, suite=suite, workload=workload
    )
    check_name(name or name_of(what))
    shape = {"workloads": (workload,), "first_study": study, "num_studies": 1, "num_trials": 1}

    def entered(root: Path) -> list[Entrant]:
        return [enter(what, name=name, root=root, framework=framework, hyperparameters=hyperparameters)]

    campaign, jobs = planned(results, f"{name or name_of(what)}_{workload}", entered, own, shape)
    engine.run_all(campaign, jobs, workers=None, gpus=[gpu] if gpu else [], frugal=False, progress=progress)
    (found,) = runs_of(campaign, jobs)
    if found.status == "failed":
        raise engine.TrialFailedError(found)
    return found


def compare(
    entries: Mapping[str, object] | Sequence[object],
    *,
    suite: str = "mini_quick",
    search_space: Space | Mapping[str, Space] | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
    workloads: Sequence[str] = (),
    studies: int | None = None,
    trials: int | None = None,
    framework: str | None = None,
    ruleset: str = "external",
    seed: int = 0,
    results: Results = None,
    workers: int | None = None,
    gpus: Sequence[str] = (),
    frugal: bool | None = None,
    compare_to: str | None = None,
    progress: bool = True,
    **settings: Any,
) -> Field:
    """Runs several optimizers or submissions over a suite, and scores them.

    Args:
      entries: name -> what, as for `run`; or a sequence of them, which have their own names.
      suite: its workloads, targets and numbers of studies and trials.
      search_space: content or file of a search space, for all entries or by their names; without one an optimizer has
        one point, its `hyperparameters`, and a submission the search space beside it.
      hyperparameters: fixed values, for all entries or by their names.
      workloads: these instead of the suite's.
      studies: how many, instead of the suite's number.
      trials: how many a study, instead of the suite's number; at most as many as there are points.
      framework: see `run`; of all entries.
      ruleset: see `run`.
      seed: see `run`.
      results: see `run`.
      workers: trials at a time, each on its share of the cores; 1.
      gpus: one for each worker.
      frugal: whether trials are stopped that can no longer change a score; by default as the suite says.
      compare_to: leaderboard among whose entries the scores place these: 'mini'.
      progress: see `run`.
      **settings: see `run`.

    Raises:
      UsageError: see `run`.
      KeyboardInterrupt: see `run`.
    """
    named = dict(entries) if isinstance(entries, Mapping) else {name_of(one): one for one in entries}
    if not named or len(named) < len(entries):
        raise UsageError(
            f"Give entries with names of their own, as in {{'mine': ..., 'adamw': ...}}; got {len(entries)}."
        )
    for name in named:
        check_name(name)
    spaces = of_each(named, search_space)
    fixed = of_each(named, hyperparameters)
    own = settings_of(settings, framework=framework, ruleset=ruleset, seed=seed, suite=suite)

    def entered(root: Path) -> list[Entrant]:
        return [
            enter(
                what,
                name=name,
                root=root,
                framework=framework,
                hyperparameters=fixed[name],
                space=spaces[name],
            )
            for name, what in named.items()
        ]

    def shape(entrants: Sequence[Entrant]) -> dict[str, Any]:
        number = num_trials(entrants, suite, ruleset) if trials is None else trials
        counts = {"num_studies": studies, "num_trials": number}
        return {"workloads": tuple(workloads), "compare_to": compare_to, **counts}

    campaign, jobs = planned(results, "_".join([*named][:4]), entered, own, shape)
    is_frugal = campaign.cut_suite().frugal if frugal is None else frugal
    engine.run_all(campaign, jobs, workers=workers, gpus=gpus, frugal=is_frugal, progress=progress)
    return Field(campaign, tuple(jobs), runs_of(campaign, jobs))


def sweep(
    what: object,
    *,
    workload: str,
    points: Sequence[Mapping[str, Any]] | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
    framework: str | None = None,
    name: str | None = None,
    ruleset: str = "external",
    suite: str | None = None,
    seed: int = 0,
    studies: int = 1,
    results: Results = None,
    workers: int | None = None,
    gpus: Sequence[str] = (),
    progress: bool = True,
    **values: Any,
) -> Sweep:
    """Trains one workload at each of several points, all with the same seeds; no score comes of it.

    Args:
      what: see `run`.
      workload: see `run`.
      points: dictionaries of hyperparameters, in place of lists by name.
      hyperparameters: fixed values of the others.
      framework: see `run`.
      name: see `run`.
      ruleset: see `run`.
      suite: see `run`.
      seed: see `run`.
      studies: repetitions of each point; study s has the same seeds at every point.
      results: see `run`.
      workers: see `compare`.
      gpus: see `compare`.
      progress: see `run`.
      **values: hyperparameter -> list of values (`lr=[1e-3, 1e-2]`; several make a grid); and, as of `run`, settings.

    Raises:
      UsageError: see `run`.
      KeyboardInterrupt: see `run`.
    """
    lists, settings = lists_and_settings(values)
    if (points is None) == (not lists):
        raise UsageError(
            "Give lists of values, as in lr=[1e-3, 1e-2], or points=[{...}, {...}]: one of the two."
        )
    grid = [dict(zip(lists, one)) for one in itertools.product(*lists.values())]
    swept = [plain(dict(one)) for one in (grid if points is None else points)]
    if not 1 <= len(swept) <= MAX_POINTS:
        raise UsageError(f"A sweep takes from 1 to {MAX_POINTS} points, got {len(swept)}.")
    names = [point_name(one, number) for number, one in enumerate(swept, 1)]
    if len(set(names)) < len(names):
        raise UsageError("Two points of the sweep are the same: give each once.")
    own = settings_of(
        settings, framework=framework, ruleset=ruleset, seed=seed, suite=suite, workload=workload
    )
    if ruleset == "self":
        raise UsageError("The self-tuning ruleset has no hyperparameters: sweep with ruleset='external'.")
    check_name(name or name_of(what))
    shape = {"workloads": (workload,), "num_studies": studies, "num_trials": 1}

    def entered(root: Path) -> list[Entrant]:
        all_points = enter(
            what, name=name, root=root, framework=framework, hyperparameters=hyperparameters, space=swept
        )
        return each_point(all_points, names, root)

    campaign, jobs = planned(results, f"{name or name_of(what)}_{workload}_sweep", entered, own, shape)
    engine.run_all(campaign, jobs, workers=workers, gpus=gpus, frugal=False, progress=progress)
    higher = campaign.cut_suite().targets(workload).higher_is_better
    return Sweep(dict(zip(names, swept)), runs_of(campaign, jobs), higher)
