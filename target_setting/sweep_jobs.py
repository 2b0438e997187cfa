"""The runs of target setting as jobs of a campaign: N points of each algorithm, then K reruns of the best one.

    <sweep_dir>/run.json                                  what was asked for, for --status
    <sweep_dir>/suite.json                                step hints, budgets and today's targets: what all runs share
    <sweep_dir>/points/<algorithm>.json                   its points, drawn once; point t is trial t on every workload
    <sweep_dir>/reruns/points/<workload>_<framework>.json the best point
    <sweep_dir>/weak/points/<workload>_<framework>.json   the same at a tenth of its learning rate

and the trials in the layout of `sweep.py`. Everything that fixes a run is written before it starts, and once written
it is not changed, so the same command goes on, also with more trials, reruns, algorithms or workloads.
"""

import contextlib
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from algoperf import records, registry, submission, suites, tuning, typed_json
from algoperf.files import expanded, read_json, read_users_json
from algoperf.run.study import submission_name
from algoperf.settings import RunSettings
from algoperf.spec import UsageError, no_such
from campaign.job_plan import Campaign, Job, absolute_if_there, in_turns, make_jobs
from campaign.store import Store
from target_setting.sweep import RERUNS, WEAK, WEAK_FACTOR, Point, SweepTrial, part_folder
from target_setting.sweep_tables import point_key
from target_setting.target_rules import check_runtime_budget

ROOT = Path(__file__).resolve().parents[1]
DEFAULT_ROOT = Path("target_setting_results")
ALGORITHMS = ("adamw", "nadamw", "nesterov", "heavy_ball")
"""Those of the paper."""
SHARE = 0.75
"""Of a submission's updates that target setting gets: https://arxiv.org/abs/2306.07179, section 4.1."""
TIME_LIMIT_FACTOR = 20
"""Limit of a run's time, in budgets of the workload.

A run is to end after its number of updates, on a slow or busy machine as well; time only ends one that hangs.
"""
BROAD_SPACE = "tuning_search_space_broad.json"
"""Beside a submission: what a sweep draws from, where it is there and no other is named."""
POINTS, SUITE, SAVED = "points", "suite.json", "run.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """What `set_targets.py run` was asked for; names as its flags."""

    sweep_dir: Path
    workloads: tuple[str, ...]
    algorithms: tuple[str, ...] = ALGORITHMS
    framework: str
    trials: int = 20
    reruns: int = 5
    weak_runs: int = 0
    set_by: tuple[str, ...] = ()
    """Algorithms whose best point is run again and sets the targets; empty means all."""
    rerun_point: str | None = None
    """JSON file with one point that is run again in place of the best one."""
    max_steps: int | None = None
    tuning_search_space: str | None = None
    rng_seed: int = 0
    data_dir: str | None = None
    device: str = "auto"
    accept_changes: bool = False
    min_reruns: int = 5
    runtime_budget: str = "workload"

    def __post_init__(self) -> None:
        for name in ("trials", "reruns", "max_steps", "min_reruns"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"--{name} must be at least 1, got {value}.")
        for name in ("rng_seed", "weak_runs"):
            if getattr(self, name) < 0:
                raise UsageError(f"--{name} must not be negative, got {getattr(self, name)}.")
        most = {"trials": suites.MAX_TRIALS, "reruns": suites.MAX_STUDIES, "weak_runs": suites.MAX_STUDIES}
        for name, limit in most.items():
            if getattr(self, name) > limit:
                raise UsageError(f"--{name} must be at most {limit}, got {getattr(self, name)}.")
        if self.reruns < self.min_reruns:
            raise UsageError(
                f"--reruns={self.reruns} is below the {self.min_reruns} that targets are set from: run more, or lower "
                "--min_reruns."
            )
        check_runtime_budget(self.runtime_budget)
        if self.sweep_dir.is_file():
            raise UsageError(f"--sweep_dir={self.sweep_dir} is a file: give a folder.")
        for name in self.workloads:
            registry.get(name)
        for name in self.set_by:
            if name not in self.algorithms:
                raise no_such("algorithm for --set_by among --algorithms", name, self.algorithms)
        if self.rerun_point and len(self.set_by) != 1:
            raise UsageError(
                f"--rerun_point={self.rerun_point} is a point of one algorithm: say of which with --set_by=<name>."
            )
        for name in ("workloads", "algorithms"):
            given = getattr(self, name)
            if len(set(given)) < len(given):
                raise UsageError(f"--{name}={','.join(given)} names one twice.")

    def submission(self, algorithm: str) -> tuple[Path, str]:
        """File and name of an algorithm, given as a folder or by the name of one of ours."""
        ours = ROOT / "reference_algorithms" / algorithm
        is_ours = "/" not in algorithm and not Path(algorithm).exists() and ours.is_dir()
        file, _ = submission.find(ours if is_ours else algorithm, self.framework)
        return file, submission_name(file)

    def lasting(self) -> dict[str, Any]:
        """The fields as plain types that mean the same in every working directory."""
        fields = dataclasses.asdict(self)
        for name in ("algorithms", "set_by"):
            fields[name] = [absolute_if_there(one) for one in fields[name]]
        for name in ("rerun_point", "tuning_search_space"):
            fields[name] = absolute_if_there(fields[name])
        return {**fields, "sweep_dir": str(self.sweep_dir)}


def default_sweep_dir(workloads: Sequence[str], framework: str) -> Path:
    """For one workload; several are asked to be given a place.

    >>> str(default_sweep_dir(["digits"], "jax"))
    'target_setting_results/digits_jax'
    """
    if len(workloads) != 1:
        raise UsageError("Say where the sweep over several workloads is to lie: --sweep_dir=<folder>.")
    return DEFAULT_ROOT / f"{workloads[0]}_{framework}"


# ---- what is fixed before anything runs ---------------------------------------------------------------------------


def sweep_suite(config: SweepConfig) -> dict[str, Any]:
    """Content of suite.json: entries that are there stay, new workloads are added.

    The step hint of a run is its number of updates, so that schedules end with it.

    Raises:
      UsageError: if a workload was swept with another number of updates.
    """
    stored = _stored(config.sweep_dir / SUITE)
    targets = dict(stored["targets"]) if stored else {}
    for name in config.workloads:
        known = suites.load(suites.default_name([name])).known_targets.get(name)
        known = known or suites.targets_from_registry(name)
        if known.step_hint is None and config.max_steps is None:
            raise UsageError(f"{name} has no step hint, of which {SHARE:.0%} are run: give --max_steps.")
        steps = config.max_steps or int(SHARE * (known.step_hint or 0))
        # A run of more updates than the hint may take longer in proportion.
        longer = max(1.0, steps / (known.step_hint or steps))
        entry = dataclasses.asdict(known)
        entry.update(
            step_hint=steps, runtime_budget_sec=TIME_LIMIT_FACTOR * longer * known.runtime_budget_sec
        )
        if name in targets and config.max_steps and targets[name]["step_hint"] != steps:
            raise UsageError(
                f"{config.sweep_dir} holds runs of {name} with {targets[name]['step_hint']} updates, now --max_steps="
                f"{steps}: use that number, or another --sweep_dir."
            )
        # The stored entry stays: runs that are there were made with it, and their identity includes it.
        targets.setdefault(name, entry)
    # Never fewer than before, so that trials which are there keep their place in the suite.
    trials = max([config.trials, stored["rulesets"]["external"]["num_trials"] if stored else 0])
    return {
        "description": "What all runs of this sweep share; written by set_targets.py run.",
        "rulesets": {"external": {"num_studies": 1, "num_trials": trials}},
        "targets": targets,
    }


def search_space(config: SweepConfig, file: Path) -> tuple[tuning.SearchSpace, Path]:
    """What an algorithm's points are drawn from: the space that is named, else the broad one, else the usual one."""
    broad = file.parent / BROAD_SPACE
    given = config.tuning_search_space or (broad if broad.is_file() else None)
    return submission.search_space(file, given)


def _points_of(space: tuning.SearchSpace, number: int, seed: int) -> list[dict[str, Any]]:
    """The first points of a space. Of a list its first entries: with more trials they stay as they are."""
    if isinstance(space, list):
        return [dict(point) for point in space[:number]]
    return tuning.draw_points(space, number, seed)


def _way_on(config: SweepConfig, file: Path, stored: Sequence[Point]) -> str:
    """What to do about stored points of another search space: the flag, with its value where that is known."""
    usual = file.parent / submission.SEARCH_SPACE
    if config.tuning_search_space is None and usual.is_file():
        with contextlib.suppress(UsageError):
            points = _points_of(tuning.load_search_space(usual), len(stored), config.rng_seed)
            if list(map(point_key, points)) == list(map(point_key, stored)):
                return f"go on with --tuning_search_space={usual.name}, from which they were drawn"
    return "give the --tuning_search_space and --rng_seed of that time"


def draw_points(config: SweepConfig) -> dict[str, list[dict[str, Any]]]:
    """Algorithm -> content of its points file: those asked for, or more if more are there.

    Raises:
      UsageError: if the sweep folder holds points of another search space or seed.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for given in config.algorithms:
        file, name = config.submission(given)
        if name in found:
            raise UsageError(f"{given!r} is the second algorithm called {name!r}: rename its folder.")
        space, source = search_space(config, file)
        drawn = _points_of(space, config.trials, config.rng_seed)
        path = config.sweep_dir / POINTS / f"{name}.json"
        stored = _stored(path) or []
        for number, (old, new) in enumerate(zip(stored, drawn), start=1):
            if point_key(old) != point_key(new):
                raise UsageError(
                    f"Point {number} in {path} is {json.dumps(old)}, and {source} with --rng_seed={config.rng_seed} "
                    f"gives {json.dumps(new)}: {_way_on(config, file, stored)}, or use another --sweep_dir."
                )
        found[name] = drawn if len(drawn) > len(stored) else stored
    return found


def _stored(path: Path) -> Any:
    """Content of a JSON file of ours, None where there is none."""
    try:
        return read_json(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"Cannot read {path} ({error.strerror}): use another --sweep_dir.") from None
    except ValueError as error:
        raise UsageError(
            f"{path} is not readable as JSON ({error}): restore it, or use another --sweep_dir."
        ) from None


def prepare(config: SweepConfig, folder: Path) -> None:
    """Writes down what fixes the runs of the sweep: into the sweep folder, or elsewhere for a plan.

    Raises:
      UsageError: if the folder holds a sweep with other settings, --rerun_point no point of the search space.
    """
    points, suite = draw_points(config), sweep_suite(config)
    if config.rerun_point:
        _, name = config.submission(config.set_by[0])
        _check_keys(config.rerun_point, name, points[name][0])
    try:
        (folder / POINTS).mkdir(parents=True, exist_ok=True)
        for name, content in points.items():
            records.write_json(folder / POINTS / f"{name}.json", content)
        records.write_json(folder / SUITE, suite)
        records.write_json(folder / SAVED, config.lasting())
    except OSError as error:
        raise UsageError(f"Cannot write to {folder} ({error.strerror}): give another --sweep_dir.") from None


def saved_config(sweep_dir: Path) -> SweepConfig:
    """What was asked for in a folder.

    Raises:
      UsageError: if no sweep was started there.
    """
    content = _stored(sweep_dir / SAVED)
    if content is None:
        raise UsageError(
            f"No sweep was started in {sweep_dir}: give its --sweep_dir, or start it with --workload=<name>."
        )
    try:
        fields = typed_json.value_of(dict[str, Any], content)
        return typed_json.typed(SweepConfig, {**fields, "sweep_dir": sweep_dir})
    except typed_json.MalformedError as error:
        raise UsageError(
            f"{sweep_dir / SAVED} is damaged: {error}. The sweep's own command writes it again."
        ) from None


# ---- jobs ---------------------------------------------------------------------------------------------------------


def sweep_jobs(config: SweepConfig, folder: Path | None = None) -> list[Job]:
    """Every point of every algorithm on every workload, algorithms taking turns.

    Args:
      config: what was asked for.
      folder: where `prepare` has written; the sweep folder by default.
    """
    folder = folder or config.sweep_dir
    jobs: list[Job] = []
    for workload in config.workloads:
        rows = []
        for given in config.algorithms:
            file, name = config.submission(given)
            own = {
                "experiment_dir": config.sweep_dir,
                "suite": folder / SUITE,
                "tuning_search_space": folder / POINTS / f"{name}.json",
                "num_trials": config.trials,
            }
            rows.append(_jobs(config, file, workload, own))
        jobs += in_turns(rows)
    return jobs


def best_point_jobs(
    config: SweepConfig, part: str, best: Mapping[str, SweepTrial], points: Path | None = None
) -> list[Job]:
    """Runs of the best point of each workload with new seeds, or of its weak version, as studies 1, 2, …

    Args:
      config: what was asked for.
      part: `RERUNS` or `WEAK`.
      best: workload -> trial of the sweep.
      points: folder for the files with the points; in the sweep folder by default, as runs need.

    Raises:
      UsageError: if there are runs of another point, which was the best when the sweep was smaller; if the point
        has no learning rate to weaken.
    """
    files = dict(config.submission(given)[::-1] for given in config.algorithms)  # Name -> file.
    folder = config.sweep_dir / part
    jobs: list[Job] = []
    for workload, trial in best.items():
        if trial.algorithm not in files:
            raise UsageError(
                f"The best point on {workload} is of {trial.algorithm}, which --algorithms leaves out: name it too, to "
                "rerun it."
            )
        point = trial.point if part == RERUNS else weak_point(trial)
        _check_runs_of(config, part, trial, point)
        path = (points or folder / POINTS) / f"{workload}_{config.framework}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        records.write_json(path, [point])
        own = {
            "experiment_dir": folder,
            "suite": config.sweep_dir / SUITE,
            "tuning_search_space": path,
            "first_study": 1,  # Seeds depend on the study: study 0 would repeat the run of the sweep.
            "num_studies": config.reruns if part == RERUNS else config.weak_runs,
            "num_trials": 1,
        }
        jobs += _jobs(config, files[trial.algorithm], workload, own)
    return jobs


def given_point(path: str) -> dict[str, Any]:
    """The point in a JSON file, as an object or as the only entry of a list.

    Raises:
      UsageError: if it holds anything else.
    """
    called = f"--rerun_point={path}"
    content = read_users_json(
        expanded(path), called, f"There is no file {called}: write one point to it, as JSON."
    )
    point = content[0] if isinstance(content, list) and len(content) == 1 else content
    if not isinstance(point, dict) or not point:
        raise UsageError(f'{called} does not hold one point, as in {{"learning_rate": 0.001}}.')
    return point


def _check_keys(path: str, algorithm: str, of_the_sweep: Point) -> None:
    """Raises UsageError if the point in a file has other hyperparameters than those of the sweep."""
    point = given_point(path)
    missing, extra = sorted(of_the_sweep.keys() - point), sorted(point.keys() - of_the_sweep)
    if missing or extra:
        differences = [f"lacks {', '.join(missing)}"] * bool(missing)
        differences += [f"has {', '.join(extra)}, which the space has not"] * bool(extra)
        raise UsageError(
            f"--rerun_point={path} is no point of the search space of {algorithm}: it {' and '.join(differences)}. "
            "Write it in the names of the space, or say with --tuning_search_space which space it is of."
        )


def weak_point(trial: SweepTrial) -> dict[str, Any]:
    """The point of a trial at a tenth of its learning rate: a choice that a good workload punishes.

    Raises:
      UsageError: if the point has none.
    """
    rate = trial.point.get("learning_rate")
    if not isinstance(rate, (int, float)):
        raise UsageError(
            f"--weak_runs take a tenth of the best point's learning_rate, and that of {trial.place()} has none: leave "
            "them out."
        )
    return {**trial.point, "learning_rate": WEAK_FACTOR * rate}


def _check_runs_of(config: SweepConfig, part: str, best: SweepTrial, point: Point) -> None:
    folder = f"{best.workload}_{config.framework}"
    root = config.sweep_dir / part
    wanted = f"{best.place()}, the best of the sweep as it is now"
    if config.rerun_point:
        wanted = f"that of --rerun_point={config.rerun_point}"
    if part == WEAK:
        wanted = f"the weak version of {wanted}"
    for path in sorted(root.glob(f"*/study_*/{folder}/trial_*/{records.HPARAMS}")):
        algorithm = path.relative_to(root).parts[0]
        if (algorithm, point_key(_stored(path))) != (best.algorithm, point_key(point)):
            raise UsageError(
                f"{path.parent} is a run of another point than {wanted}: move the folders */study_*/{folder} out of "
                f"{root} to run this one instead."
            )


def _jobs(config: SweepConfig, file: Path, workload: str, own: Mapping[str, Any]) -> list[Job]:
    """Those of one algorithm on one workload."""
    suite = str(own["suite"])
    settings = RunSettings(
        suite=suite,
        framework=config.framework,
        rng_seed=config.rng_seed,
        data_dir=config.data_dir,
        tuning_search_space=str(own["tuning_search_space"]),
        max_global_steps=suites.load(suite).targets(workload).step_hint,
        run_past_targets=True,  # Today's targets must not cut off the metrics that new ones are made from.
        device=config.device,
        accept_changes=config.accept_changes,
    )
    shape = {name: value for name, value in own.items() if name not in ("suite", "tuning_search_space")}
    campaign = Campaign(settings=settings, submissions=(str(file),), workloads=(workload,), **shape)
    # For the plan: its share of the workload's budget in place of the limit for runs that hang.
    return [
        dataclasses.replace(job, budget_sec=job.budget_sec * SHARE / TIME_LIMIT_FACTOR)
        for job in make_jobs(campaign.anchored())
    ]


def store_of(config: SweepConfig, part: str) -> Store:
    """Where claims and attempts of the jobs of a part of the sweep are."""
    return Store(part_folder(config.sweep_dir, part), config.accept_changes)
