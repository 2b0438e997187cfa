"""From a suite and submissions to jobs: one per trial, in the order in which they run."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from algoperf import files, random_utils, records, registry, shipped, source_digest, submission, suites
from algoperf.run import sources
from algoperf.run.identity import SOURCE, Identity, identity_of
from algoperf.run.sources import Sources
from algoperf.run.study import StudyPlan, submission_name
from algoperf.settings import RunSettings
from algoperf.spec import UsageError
from scoring import published

MAX_JOBS = 100_000
"""Far above what anybody runs, and little enough to plan in seconds."""
ROOT = Path(__file__).resolve().parents[1]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """One trial of a campaign."""

    settings: RunSettings
    """Under which submission_runner.py runs it."""
    submission: str
    """Name of its results."""
    framework: str
    workload: str
    study: int
    """From 0."""
    trial: int
    """From 1."""
    point: dict[str, Any] | None
    """Hyperparameters; None in the self-tuning ruleset."""
    identity: Identity
    """What the records of the trial say of it, if they are of this trial."""
    sources: Sources
    """The code that it would run now."""
    budget_sec: float
    """On the submission clock."""
    folder: Path

    @property
    def key(self) -> str:
        """Its place below the experiment folder."""
        return f"{self.submission}/study_{self.study}/{self.workload}_{self.framework}/trial_{self.trial}"

    @property
    def arguments(self) -> list[str]:
        """Of submission_runner.py."""
        return self.settings.as_arguments()

    @property
    def submission_source(self) -> str:
        """Digest of the submission's files and of what they import."""
        return self.identity[SOURCE]

    @property
    def max_steps(self) -> int | None:
        """Updates after which it ends; None leaves that to targets and budget."""
        return self.settings.max_global_steps

    @property
    def seeds(self) -> dict[str, int]:
        return random_utils.seeds(self.settings.rng_seed, self.study, self.trial)

    @property
    def siblings(self) -> tuple[str, str, int]:
        """Jobs with the same value are the trials of one study on one workload."""
        return self.submission, self.workload, self.study


@dataclasses.dataclass(frozen=True, kw_only=True)
class Campaign:
    """What run_benchmark.py was asked for; names as its flags. Sweeps are campaigns, too."""

    experiment_dir: Path
    settings: RunSettings
    """What all trials have in common; names a suite."""
    submissions: tuple[str, ...]
    names: tuple[str, ...] = ()
    """Under which the results of each submission are stored; empty: the names of their folders."""
    search_spaces: tuple[str, ...] = ()
    """JSON file of each submission, in place of the one in `settings`; empty: that one."""
    workloads: tuple[str, ...] = ()
    first_study: int = 0
    num_studies: int | None = None
    num_trials: int | None = None
    compare_to: str | None = None
    """Leaderboard among whose entries the scores place the submissions."""
    calibrate: bool = False
    """Runs the leaderboard's reference algorithm in turn with the others."""

    def __post_init__(self) -> None:
        if not self.submissions:
            raise UsageError("Say what to run: --submissions=<folder>,<folder>, ...")
        for name in ("submissions", "workloads"):
            if not all(one.strip() for one in getattr(self, name)):
                raise UsageError(
                    f"--{name}={','.join(getattr(self, name))} has an empty entry: leave out the comma too many."
                )
        for given, what in ((self.names, "names"), (self.search_spaces, "search spaces")):
            if given and len(given) != len(self.submissions):
                raise UsageError(
                    f"{len(self.submissions)} submissions have {len(given)} {what}: give each its own."
                )
        for name in self.names:
            check_name(name)
        suites.check_counts(flag="--", num_studies=self.num_studies, num_trials=self.num_trials)
        files.check_can_be_folder("--experiment_dir", self.experiment_dir)
        if self.ruleset == "self" and (self.num_trials or 1) > 1:
            raise UsageError(
                f"The self-tuning ruleset runs one trial a study, not --num_trials={self.num_trials}: leave it out, or "
                "run more studies with --num_studies."
            )
        if self.calibrate:
            published.check_has_reference(self.compare_to)

    @property
    def suite(self) -> str:
        assert self.settings.suite is not None
        return self.settings.suite

    @property
    def ruleset(self) -> str:
        return self.settings.tuning_ruleset

    def anchored(self) -> "Campaign":
        """With absolute paths, so that it means the same in every working directory.

        A name of a search space that is no file here stands for one beside each submission, and stays.
        """
        settings = dataclasses.replace(
            self.settings,
            suite=absolute(self.suite) if suites.is_file(self.suite) else self.suite,
            workload_path=self.settings.workload_path and absolute(self.settings.workload_path),
            data_dir=self.settings.data_dir and absolute(self.settings.data_dir),
            tuning_search_space=absolute_if_there(self.settings.tuning_search_space),
        )
        submissions = tuple(absolute(str(shipped.submission(one))) for one in self.submissions)
        spaces = tuple(map(absolute, self.search_spaces))
        return dataclasses.replace(self, settings=settings, submissions=submissions, search_spaces=spaces)

    def with_settings(self, settings: RunSettings) -> "Campaign":
        """The same with other settings of its trials."""
        return dataclasses.replace(self, settings=settings)

    def runs(self) -> tuple[str, ...]:
        """The submissions, and the reference algorithm where it is to run beside them."""
        if not self.calibrate:
            return self.submissions
        assert self.compare_to is not None  # Else `__post_init__` has refused --calibrate.
        reference = ROOT / "reference_algorithms" / published.REFERENCES[self.compare_to]
        given = {submission.find(one, self.settings.framework)[0].parent for one in self.submissions}
        return self.submissions if reference in given else (*self.submissions, str(reference))

    def entries(self) -> list["Entry"]:
        """What runs, in order: the submissions, and the reference algorithm where it is to run beside them."""
        runs = self.runs()
        names: list[str | None] = list(self.names or (None,) * len(self.submissions))
        common = self.settings.tuning_search_space
        spaces: list[str | None] = list(self.search_spaces or (common,) * len(self.submissions))
        others = len(runs) - len(self.submissions)
        spaces += [None if self.search_spaces else common] * others
        return [Entry(*one) for one in zip(runs, [*names, *[None] * others], spaces)]

    def cut_suite(self) -> suites.Suite:
        """The suite, cut to the workloads, studies and trials that are asked for."""
        registry.add_place(self.settings.workload_path)
        full = suites.load(self.suite)
        full.ruleset(self.ruleset)
        return suites.customize(
            full, workloads=self.workloads, num_studies=self.num_studies, num_trials=self.num_trials
        )


@dataclasses.dataclass(frozen=True)
class Entry:
    """One submission of a campaign."""

    given: str
    """Its folder or file."""
    name: str | None
    """Of its results; None: that of its folder."""
    search_space: str | None


def check_name(name: str) -> None:
    """Raises UsageError for a name that cannot be a folder of results."""
    is_odd = (
        name.startswith(".") or not name.isprintable() or not name.strip() or records.STUDY.fullmatch(name)
    )
    if is_odd or any(part in name for part in "/\\"):
        raise UsageError(
            f"{name!r} cannot name a submission's results, which are a folder: give a name without slashes that does "
            "not begin with a dot and is no study."
        )


def make_jobs(campaign: Campaign) -> list[Job]:
    """All trials: study by study, so that whole studies are there early, and submissions take turns.

    Raises:
      UsageError: for anything that can be found out before a framework is imported.
    """
    suite = campaign.cut_suite()
    ruleset = suite.ruleset(campaign.ruleset)
    names: dict[str, str] = {}
    entries = campaign.entries()
    for entry in entries:
        file, _ = submission.find(entry.given, campaign.settings.framework)
        name = entry.name or submission_name(file)
        if name in names:
            raise UsageError(
                f"{names[name]!r} and {entry.given!r} would both write to folder {name!r}: rename one of them, or run "
                "them with different values of --experiment_dir."
            )
        names[name] = entry.given
    count = len(names) * ruleset.num_studies * ruleset.num_trials * len(suite.scored_names())
    if count > MAX_JOBS:
        raise UsageError(
            f"--num_studies={ruleset.num_studies} with --num_trials={ruleset.num_trials} would be {count} trials; at "
            f"most {MAX_JOBS} make a campaign: give smaller numbers."
        )
    known = functools.cache(sources.of)  # Once for each submission on each workload.
    jobs = []
    for study in range(campaign.first_study, campaign.first_study + ruleset.num_studies):
        for workload in suite.scored_names():
            trials = [
                list(_trials(campaign, entry, workload, study, ruleset.num_trials, known))
                for entry in entries
            ]
            # First trials of all submissions, then second ones: a time reached by one may let another be stopped early.
            jobs += in_turns(trials)
    return jobs


def absolute(path: str) -> str:
    """The path of a file or folder from the root."""
    return str(files.expanded(path).resolve())


def absolute_if_there(given: str | None) -> str | None:
    """The same for what may also be a name, and is one where there is no such file or folder."""
    return absolute(given) if given and files.expanded(given).exists() else given


def in_turns(rows: Sequence[Sequence[Job]]) -> list[Job]:
    """The first job of each row, then the second ones, and so on; rows may differ in length."""
    return [job for column in itertools.zip_longest(*rows) for job in column if job is not None]


def _trials(
    campaign: Campaign,
    entry: Entry,
    workload: str,
    study: int,
    num_trials: int,
    known: Callable[[Path, str, tuple[str, ...]], Sources],
) -> Iterator[Job]:
    """The trials of one study of a submission; `known` is `sources.of`."""
    settings = dataclasses.replace(
        campaign.settings,
        submission=entry.given,
        tuning_search_space=entry.search_space,
        experiment_name=entry.name and f"{entry.name}/study_{study}",
        workload=workload,
        experiment_dir=str(campaign.experiment_dir),
        study=study,
        # May be more than the suite's. The self-tuning ruleset has one trial.
        num_tuning_trials=campaign.num_trials if campaign.ruleset == "external" else None,
    )
    plan = StudyPlan.of(settings)
    found = known(plan.submission_file, plan.framework, plan.families)
    source = source_digest.combined(found.files[SOURCE])
    budget_sec = plan.workload.max_allowed_runtime_sec * plan.budget_factor
    for trial, point in enumerate(plan.points[:num_trials], start=1):
        own = dataclasses.replace(
            plan.settings,
            submission=str(plan.submission_file),
            framework=plan.framework,
            suite=plan.suite,
            trial=trial,
            num_tuning_trials=None,
        )
        yield Job(
            settings=own,
            submission=entry.name or submission_name(plan.submission_file),
            framework=plan.framework,
            workload=workload,
            study=study,
            trial=trial,
            point=point,
            identity=identity_of(own, plan.workload, source, point, budget_sec=budget_sec, known=found),
            sources=found,
            budget_sec=budget_sec,
            folder=plan.folder(trial),
        )
