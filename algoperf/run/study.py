"""From settings to trials: which trials of a study a command asks for, and their points. Imports no framework."""

import dataclasses
import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from algoperf import data_seed, direction, files, frameworks, log_to, records, registry, suites, tuning
from algoperf import submission as submissions
from algoperf.data import sealed
from algoperf.hosts import Hosts
from algoperf.settings import RunSettings, listed
from algoperf.spec import UsageError, no_such
from algoperf.workload import WorkloadSpec

Point = dict[str, Any]
"""Hyperparameter -> value."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """The trials of one study on one workload that a command asks for, checked without importing a framework."""

    settings: RunSettings
    """The settings of the command; the path of a suite file is made absolute."""
    workload: WorkloadSpec
    """The workload, with the targets and the budget of the suite."""
    suite: str
    budget_factor: float
    """The ruleset's factor on the workload's budget."""
    trials: tuple[int, ...]
    """Numbers of the trials to run, from 1."""
    points: tuple[Point | None, ...]
    """One point per trial of the whole study; None in the self-tuning ruleset."""
    experiment_name: str
    submission_file: Path
    framework: str
    hosts: Hosts | None
    eval_steps: tuple[int, ...] | None = None
    """See `TrialConfig.eval_steps`."""

    @property
    def families(self) -> tuple[str, ...]:
        """Folders below `workloads/` of the workload and of its data set."""
        return tuple(dict.fromkeys((self.workload.family, self.workload.dataset)))

    @classmethod
    def of(cls, settings: RunSettings, points: Sequence[Point | None] | None = None) -> "StudyPlan":
        """The plan that follows from the settings of a command.

        Args:
          settings: of the command.
          points: of the trials of the study, where they are known; else they are drawn from the search space.

        Raises:
          UsageError: for wrong settings; names the flag, the choices and the next step.
        """
        settings.check_together()
        registry.add_place(settings.workload_path)
        files.check_can_be_folder("--experiment_dir", Path(settings.experiment_dir).expanduser())
        if not settings.given_submission:
            raise UsageError(
                "Say which submission to run: --submission=<folder, .py file, or optimizer such as torch.optim.AdamW>."
            )
        workload = sealed.with_data(workload_of(settings), settings.data_seed)
        suite = suites.load(settings.suite or suites.default_name([workload.name]))
        if suites.is_file(suite.name) and workload.name not in suite.scored_names():
            raise no_such(f"workload in {suite.name}", workload.name, suite.scored_names())
        file, framework = submissions.find(settings.given_submission, settings.framework)
        frameworks.get(framework).check_installed()
        log_to.check_installed(listed(settings.log_to))
        hosts = Hosts.from_flags(
            settings.coordinator, settings.num_hosts, settings.host_id, settings.hosts_timeout_sec
        )
        # Points are drawn here, before any process starts, so that a wrong search space fails at once.
        points = _points(settings, suite, file) if points is None else points
        plan = cls(
            settings=dataclasses.replace(
                settings,
                suite=settings.suite and suite.name,
                data_seed=data_seed.sealed_form(settings.data_seed),
            ),
            workload=with_suite(workload, suite),
            suite=suite.name,
            budget_factor=suite.ruleset(settings.tuning_ruleset).budget_factor,
            trials=_trials(settings, len(points)),
            points=tuple(points),
            experiment_name=_experiment_name(settings, file),
            submission_file=file,
            framework=framework,
            hosts=hosts,
        )
        for number in plan.trials:
            files.check_can_be_folder("--experiment_dir", plan.folder(number))
        return plan

    def folder(self, number: int) -> Path:
        """The results folder of a trial, by its number."""
        root = files.expanded(self.settings.experiment_dir)
        return records.trial_folder(root, self.experiment_name, self.workload.name, self.framework, number)

    def settings_of(self, number: int) -> RunSettings:
        """The settings of one trial, to run it in a process of its own."""
        return dataclasses.replace(
            self.settings,
            trial=number,
            num_tuning_trials=None,  # What it is one of has been decided here.
            hparam_start_index=None,
            hparam_end_index=None,
            experiment_name=self.experiment_name,
            append_timestamp=False,
        )


def workload_of(settings: RunSettings) -> WorkloadSpec:
    """The workload that is asked for.

    Raises:
      UsageError: if none is, or one that is not there.
    """
    if not settings.workload:
        raise UsageError(
            "Say which workload to run: --workload=<name>, for example digits, wmt_mini or wmt; "
            f"{registry.HOW_TO_LIST}."
        )
    registry.add_place(settings.workload_path)
    return registry.get(settings.workload)


def _points(settings: RunSettings, suite: suites.Suite, file: Path) -> list[Point | None]:
    """The points of all trials of a study, so that trial t has the same point in every command (R5.5)."""
    if settings.tuning_ruleset == "self":
        if settings.tuning_search_space:
            raise UsageError(
                "The self-tuning ruleset has no search space: leave out --tuning_search_space, or use "
                "--tuning_ruleset=external."
            )
        if (settings.num_tuning_trials or 1) > 1:
            raise UsageError(
                f"The self-tuning ruleset runs one trial a study, not {settings.num_tuning_trials}: leave out "
                "--num_tuning_trials, or run more studies with --study=1, 2, …"
            )
        return [None]
    space, _ = submissions.search_space(file, settings.tuning_search_space)
    per_study = suite.ruleset(settings.tuning_ruleset).num_trials
    wanted = max(settings.num_tuning_trials or 1, settings.trial or 1, settings.hparam_end_index or 1)
    # A space with fewer points than a study has trials is an error only if more trials are asked for.
    count = int(max(wanted, min(per_study, tuning.num_distinct(space))))  # Finite, as one of them is.
    return list(tuning.draw_points(space, count, settings.rng_seed, settings.study, per_study))


def _trials(settings: RunSettings, num_points: int) -> tuple[int, ...]:
    """Numbers of the requested trials, from 1."""
    if settings.trial is not None:
        if settings.trial > num_points:
            raise UsageError(
                f"--trial={settings.trial} is beyond the {num_points} points of the search space."
            )
        return (settings.trial,)
    start = settings.hparam_start_index or 0
    end = settings.hparam_end_index or (settings.num_tuning_trials or 1)
    if not 0 <= start < end:
        raise UsageError(f"--hparam_start_index={start} must be below --hparam_end_index={end}.")
    if start >= num_points:
        raise UsageError(
            f"--hparam_start_index={start} is beyond the {num_points} points of the search space."
        )
    return tuple(range(start + 1, min(end, num_points) + 1))


def _experiment_name(settings: RunSettings, file: Path) -> str:
    name = settings.experiment_name or f"{submission_name(file)}/study_{settings.study}"
    # Local time, as in AlgoPerf's folder names.
    if settings.append_timestamp:
        name += datetime.datetime.now().strftime("_%Y-%m-%d-%H-%M-%S")
    return name


def submission_name(file: Path) -> str:
    """The name under which results are stored: of the folder, or of a file that has a name of its own.

    Raises:
      UsageError: if results of that name could not be told from what lies in them.
    """
    name = file.parent.name if submissions.has_own_folder(file) else file.stem
    if name.startswith(".") or not name.isprintable() or records.STUDY.fullmatch(name):
        raise UsageError(
            f"A submission cannot be called {name!r}: its results would be taken for a hidden folder, a study, or two "
            "lines. Rename its folder."
        )
    return name


def with_suite(workload: WorkloadSpec, suite: suites.Suite) -> WorkloadSpec:
    """The workload with the suite's targets, budget, evaluation period and step hint, where the suite has them."""
    known = suite.known_targets.get(workload.name)
    if known is None:
        return workload
    # Frozen numbers of the suite win over the workload's own, which may change in later versions.
    changes: dict[str, Any] = {
        name: getattr(known, own)
        for own, name in suites.NAME_IN_WORKLOAD.items()
        if own not in ("metric_name", "higher_is_better") and getattr(known, own) is not None
    }
    direction.check_target(
        workload.name, "validation_target_value", known.metric_name, known.validation_target
    )
    return dataclasses.replace(workload, **changes)
