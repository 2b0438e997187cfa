"""From a suite and submissions to jobs: one per trial, in the order in which they run."""

import collections
import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from algoperf import random_utils, suites
from algoperf.run import runner
from algoperf.spec import UsageError, no_such
from scoring import published

ROOT = Path(__file__).resolve().parents[1]
DEVICES = ("auto", "cpu", "gpu")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """One trial of a campaign."""

    submission: str
    file: Path
    framework: str
    workload: str
    study: int
    """From 0."""
    trial: int
    """From 1."""
    point: dict[str, Any] | None
    """Hyperparameters; None in the self-tuning ruleset."""
    rng_seed: int
    workload_config: str
    """Hash of everything that the workload and the suite fix."""
    submission_source: str
    """Hash of the submission's files."""
    budget_sec: float
    """On the submission clock."""
    folder: Path
    arguments: tuple[str, ...]
    """Of submission_runner.py."""
    max_steps: int | None = None
    """Updates after which it ends; None leaves that to targets and budget."""
    run_past_targets: bool = False

    @property
    def key(self) -> str:
        """Its place below the experiment folder."""
        return f"{self.submission}/study_{self.study}/{self.workload}_{self.framework}/trial_{self.trial}"

    @property
    def seeds(self) -> dict[str, int]:
        return random_utils.seeds(self.rng_seed, self.study, self.trial)

    @property
    def siblings(self) -> tuple[str, str, int]:
        """Jobs with the same value are the trials of one study on one workload."""
        return self.submission, self.workload, self.study


@dataclasses.dataclass(frozen=True, kw_only=True)
class Campaign:
    """What run_benchmark.py was asked for; names as its flags. Sweeps are campaigns, too."""

    experiment_dir: Path
    suite: str
    ruleset: str
    submissions: tuple[str, ...]
    framework: str | None = None
    workloads: tuple[str, ...] = ()
    first_study: int = 0
    num_studies: int | None = None
    num_trials: int | None = None
    rng_seed: int = 0
    data_dir: str | None = None
    tuning_search_space: str | None = None
    max_steps: int | None = None
    run_past_targets: bool = False
    device: str = "auto"
    compare_to: str | None = None
    """Leaderboard among whose entries the scores place the submissions."""
    calibrate: bool = False
    """Runs the leaderboard's reference algorithm in turn with the others."""

    def __post_init__(self) -> None:
        if not self.submissions:
            raise UsageError("Say what to run: --submissions=<folder>,<folder>, ...")
        for name in ("num_studies", "num_trials", "max_steps"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"--{name} must be at least 1, got {value}.")
        if self.experiment_dir.exists() and not self.experiment_dir.is_dir():
            raise UsageError(f"--experiment_dir={self.experiment_dir} is a file: give a folder, new or not.")
        if self.ruleset == "self" and (self.num_trials or 1) > 1:
            raise UsageError(
                f"The self-tuning ruleset runs one trial a study, not --num_trials={self.num_trials}: leave it out, or "
                "run more studies with --num_studies."
            )
        if self.device not in DEVICES:
            raise no_such("device", self.device, DEVICES)
        if self.calibrate:
            published.check_has_reference(self.compare_to)

    def anchored(self) -> "Campaign":
        """With absolute paths, so that it means the same in every working directory.

        A name of a search space that is no file here stands for one beside each submission, and stays.
        """
        return dataclasses.replace(
            self,
            submissions=tuple(absolute(one) for one in self.submissions),
            suite=absolute(self.suite) if suites.is_file(self.suite) else self.suite,
            data_dir=self.data_dir and absolute(self.data_dir),
            tuning_search_space=absolute_if_there(self.tuning_search_space),
        )

    def runs(self) -> tuple[str, ...]:
        """The submissions, and the reference algorithm where it is to run beside them."""
        if not self.calibrate:
            return self.submissions
        reference = ROOT / "reference_algorithms" / published.REFERENCES[self.compare_to]
        given = {runner.submissions.find(one, self.framework)[0].parent for one in self.submissions}
        return self.submissions if reference in given else (*self.submissions, str(reference))

    def cut_suite(self) -> suites.Suite:
        """The suite, cut to the workloads, studies and trials that are asked for."""
        full = suites.load(self.suite)
        full.ruleset(self.ruleset)
        return suites.customize(
            full, workloads=self.workloads, num_studies=self.num_studies, num_trials=self.num_trials
        )


def make_jobs(campaign: Campaign) -> list[Job]:
    """All trials: study by study, so that whole studies are there early, and submissions take turns.

    Raises:
      UsageError: for anything that can be found out before a framework is imported.
    """
    suite = campaign.cut_suite()
    ruleset = suite.ruleset(campaign.ruleset)
    names: dict[str, str] = {}
    for submission in campaign.runs():
        file, _ = runner.submissions.find(submission, campaign.framework)
        name = runner.submission_name(file)
        if name in names:
            raise UsageError(
                f"{names[name]!r} and {submission!r} would both write to folder {name!r}: rename one of them, or run "
                "them with different values of --experiment_dir."
            )
        names[name] = submission
    jobs = []
    for study in range(campaign.first_study, campaign.first_study + ruleset.num_studies):
        for workload in suite.scored_names():
            trials = [
                list(_trials(campaign, submission, workload, study, ruleset.num_trials))
                for submission in campaign.runs()
            ]
            # First trials of all submissions, then second ones: what one has reached may stop another early.
            jobs += in_turns(trials)
    return jobs


def absolute(path: str) -> str:
    """The path of a file or folder from the root."""
    return str(Path(path).expanduser().resolve())


def absolute_if_there(given: str | None) -> str | None:
    """The same for what may also be a name, and is one where there is no such file or folder."""
    return absolute(given) if given and Path(given).expanduser().exists() else given


def in_turns(rows: Sequence[Sequence[Job]]) -> list[Job]:
    """The first job of each row, then the second ones, and so on; rows may differ in length."""
    return [job for column in itertools.zip_longest(*rows) for job in column if job is not None]


def _trials(campaign: Campaign, submission: str, workload: str, study: int, num_trials: int) -> Iterator[Job]:
    given = {
        "submission": submission,
        "workload": workload,
        "framework": campaign.framework,
        "tuning_ruleset": campaign.ruleset,
        "tuning_search_space": campaign.tuning_search_space,
        "suite": campaign.suite,
        "experiment_dir": str(campaign.experiment_dir),
        "study": study,
        "rng_seed": campaign.rng_seed,
    }
    flags: dict[str, Any] = collections.defaultdict(lambda: None, given)  # All others are not given.
    if campaign.ruleset == "external":
        flags["num_tuning_trials"] = campaign.num_trials  # May be more than the suite's.
    config = runner.RunConfig.from_flags(flags)
    spec = config.workload
    common = {
        **given,
        "submission": str(config.submission_file),
        "framework": config.framework,
        "suite": config.suite,
        "data_dir": campaign.data_dir,
        "max_global_steps": campaign.max_steps,
        "run_past_targets": campaign.run_past_targets or None,
        "device": campaign.device,
    }
    workload_config = spec.config_hash()
    source = runner.submissions.source_hash(config.submission_file)
    for trial, point in enumerate(config.points[:num_trials], start=1):
        yield Job(
            submission=runner.submission_name(config.submission_file),
            file=config.submission_file,
            framework=config.framework,
            workload=workload,
            study=study,
            trial=trial,
            point=point,
            rng_seed=campaign.rng_seed,
            workload_config=workload_config,
            submission_source=source,
            budget_sec=spec.max_allowed_runtime_sec * config.budget_factor,
            folder=config.folder(trial),
            arguments=tuple(runner.as_arguments({**common, "trial": trial})),
            max_steps=campaign.max_steps,
            run_past_targets=campaign.run_past_targets,
        )
