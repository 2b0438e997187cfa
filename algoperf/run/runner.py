"""From flags to trials: which trials a command means, their points, and one process for each."""

import dataclasses
import datetime
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from algoperf import backends, records, registry, suites, tuning
from algoperf import submission as submissions
from algoperf.run import clock, processes, summaries, trial
from algoperf.run.config import TrialConfig
from algoperf.spec import UsageError, no_such
from algoperf.workload import WorkloadSpec, check_target

RULESETS = ("external", "self")
EXIT_FAILED, EXIT_USAGE = processes.EXIT_FAILED, processes.EXIT_USAGE
EXIT_SIGNAL_BASE = 128  # Interrupted by signal n: 128 + n, as shells do.


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """The flags of submission_runner.py, checked."""

    flags: Mapping[str, Any]
    workload: WorkloadSpec
    suite: str
    ruleset: str
    budget_factor: float
    trials: tuple[int, ...]
    points: tuple[dict[str, Any] | None, ...]
    """One per trial of the whole study."""
    experiment_name: str
    submission_file: Path
    framework: str
    hosts: processes.Hosts | None

    @classmethod
    def from_flags(cls, flags: Mapping[str, Any]) -> "RunConfig":
        """Checks every flag that can be checked without a framework.

        Raises:
          UsageError: names the flag, the choices and the next step.
        """
        given = flags["submission"] or flags["submission_path"]
        if not given:
            raise UsageError("Say which submission to run: --submission=<folder or .py file>.")
        if not flags["workload"]:
            raise UsageError(
                f"Say which workload to run: --workload=<name>, one of {', '.join(registry.names())}."
            )
        workload = registry.get(flags["workload"])
        ruleset = flags["tuning_ruleset"]
        if ruleset not in RULESETS:
            raise no_such("tuning ruleset", ruleset, RULESETS)
        for name in ("eval_every_steps", "max_global_steps", "num_tuning_trials", "trial"):
            if flags[name] is not None and flags[name] < 1:
                raise UsageError(f"--{name} must be at least 1, got {flags[name]}.")
        for name in ("rng_seed", "study"):
            if flags[name] < 0:
                raise UsageError(f"--{name} must not be negative, got {flags[name]}.")
        suite = suites.load(flags["suite"] or suites.default_name([workload.name]))
        if suites.is_file(suite.name) and workload.name not in suite.scored_names():
            raise no_such(f"workload in {suite.name}", workload.name, suite.scored_names())
        workload = with_suite(workload, suite)
        file, framework = submissions.find(given, flags["framework"])
        backends.check_installed(framework)
        names = ("coordinator", "num_hosts", "host_id", "hosts_timeout_sec")
        hosts = processes.Hosts.from_flags(*(flags[name] for name in names))
        points = cls._points(flags, suite, ruleset, file)
        name = flags["experiment_name"] or f"{submission_name(file)}/study_{flags['study']}"
        if flags["append_timestamp"]:
            name += datetime.datetime.now().strftime("_%Y-%m-%d-%H-%M-%S")
        return cls(
            flags={**flags, "suite": flags["suite"] and suite.name},  # Of a file: its absolute path.
            workload=workload,
            suite=suite.name,
            ruleset=ruleset,
            budget_factor=suite.ruleset(ruleset).budget_factor,
            trials=cls._trials(flags, len(points)),
            points=tuple(points),
            experiment_name=name,
            submission_file=file,
            framework=framework,
            hosts=hosts,
        )

    @staticmethod
    def _points(
        flags: Mapping[str, Any], suite: suites.Suite, ruleset: str, file: Path
    ) -> list[dict[str, Any] | None]:
        if ruleset == "self":
            if flags["tuning_search_space"]:
                raise UsageError(
                    "The self-tuning ruleset has no search space: leave out --tuning_search_space, or use "
                    "--tuning_ruleset=external."
                )
            if (flags["num_tuning_trials"] or 1) > 1:
                raise UsageError(
                    f"The self-tuning ruleset runs one trial a study, not {flags['num_tuning_trials']}: leave out "
                    "--num_tuning_trials, or run more studies with --study=1, 2, …"
                )
            return [None]
        space, _ = submissions.search_space(file, flags["tuning_search_space"])
        # All points of a study are drawn, whichever of its trials run: trial t is the same point in every command.
        per_study = suite.ruleset(ruleset).num_trials
        wanted = max(flags[name] or 1 for name in ("num_tuning_trials", "trial", "hparam_end_index"))
        # A space with fewer points than a study has trials is fine as long as nobody asks for more.
        count = max(wanted, min(per_study, tuning.num_distinct(space)))
        return list(tuning.draw_points(space, count, flags["rng_seed"], flags["study"], per_study))

    @staticmethod
    def _trials(flags: Mapping[str, Any], num_points: int) -> tuple[int, ...]:
        if flags["trial"] is not None:
            if flags["trial"] > num_points:
                raise UsageError(
                    f"--trial={flags['trial']} is beyond the {num_points} points of the search space."
                )
            return (flags["trial"],)
        start = flags["hparam_start_index"] or 0
        end = flags["hparam_end_index"] or (flags["num_tuning_trials"] or 1)
        if not 0 <= start < end:
            raise UsageError(f"--hparam_start_index={start} must be below --hparam_end_index={end}.")
        if start >= num_points:
            raise UsageError(
                f"--hparam_start_index={start} is beyond the {num_points} points of the search space."
            )
        return tuple(range(start + 1, min(end, num_points) + 1))

    def folder(self, number: int) -> Path:
        """Folder of one trial."""
        root = Path(self.flags["experiment_dir"]).expanduser()
        return records.trial_folder(root, self.experiment_name, self.workload.name, self.framework, number)


def submission_name(file: Path) -> str:
    """The name under which results are stored: of the folder, or of a file that has a name of its own."""
    generic = ("submission", "submission_jax", "submission_torch", "submission_pytorch")
    return file.parent.name if file.stem in generic else file.stem


def with_suite(workload: WorkloadSpec, suite: suites.Suite) -> WorkloadSpec:
    """The workload with the targets and budget that the suite's version of the rules gives it."""
    known = suite.known_targets.get(workload.name)
    if known is None:
        return workload
    changes: dict[str, Any] = {
        "validation_target_value": known.validation_target,
        "max_allowed_runtime_sec": known.runtime_budget_sec,
        "eval_period_time_sec": known.eval_period_sec,
    }
    if known.test_target is not None:
        changes["test_target_value"] = known.test_target
    if known.step_hint is not None:
        changes["step_hint"] = known.step_hint
    check_target(workload.name, "validation_target_value", known.metric_name, known.validation_target)
    return dataclasses.replace(workload, **changes)


def run(flags: Mapping[str, Any], ledger: clock.Ledger) -> int:
    """Runs what the flags say; returns the exit code.

    One trial runs in this process; several run one after the other, each in a fresh process, so that they share
    neither memory nor compiled functions nor global state.
    """
    stored = flags["reproduce"]
    if stored:
        flags = reproduced_flags(flags)
    config = RunConfig.from_flags(flags)
    if stored:
        _check_reproduces(config, Path(stored).expanduser())
    if len(config.trials) > 1:
        return _run_each(config)
    number = config.trials[0]
    backends.give_host_devices_threads()  # Before the submission is imported, which may ask for devices.
    if config.hosts is not None:
        backends.join_hosts(config.framework, config.hosts)
    summary = run_trial(config, number, ledger)
    backend = backends.get_backend(config.framework)
    if backend.process_index == 0:
        print(summaries.describe(summary, config.folder(number)))
    if summary["status"] != "failed":
        return 0
    if backend.num_processes > 1:
        processes.leave(backend, EXIT_FAILED)
    return EXIT_FAILED


def run_trial(config: RunConfig, number: int, ledger: clock.Ledger) -> dict[str, Any]:
    """Runs one trial in this process, which may be one of several."""
    flags = config.flags
    submission = _load_submission(config)
    if not flags["quiet"]:
        backend = backends.get_backend(config.framework)
        if backend.process_index == 0:
            point = config.points[number - 1]
            print(
                f"{submission.name} on {config.workload.name} with {config.framework} on "
                f"{backend.describe_device()}, {config.ruleset} ruleset, study {flags['study']}, trial {number}"
                + (f", {point}" if point else ""),
                file=sys.stderr,
            )
    return trial.run(
        TrialConfig(
            workload=config.workload,
            framework=config.framework,
            submission=submission,
            ruleset=config.ruleset,
            suite=config.suite,
            study=flags["study"],
            trial=number,
            point=config.points[number - 1],
            budget_factor=config.budget_factor,
            rng_seed=flags["rng_seed"],
            folder=config.folder(number),
            data_dir=flags["data_dir"],
            eval_every_steps=flags["eval_every_steps"],
            max_steps=flags["max_global_steps"],
            run_past_targets=bool(flags["run_past_targets"]),
            skip_evals=flags["skip_evals"],
            save_checkpoints=flags["save_checkpoints"],
            keep_all_checkpoints=flags["save_intermediate_checkpoints"],
            overwrite=flags["overwrite"],
            torch_compile=_torch_compile(flags["torch_compile"], config.framework),
            device=flags["device"],
            quiet=flags["quiet"],
            flags={**flags, "submission_file": str(config.submission_file), "trial": number},
        ),
        ledger,
    )


def _load_submission(config: RunConfig) -> submissions.Submission:
    """Imports the submission; where that fails on one of several processes, the others hear of it.

    Before the backend is made, as always, because a submission may set options of its framework when it is imported.
    """
    try:
        return submissions.load(config.submission_file, config.framework)
    except Exception:
        if config.hosts is None and "LOCAL_RANK" not in os.environ:  # Started alone.
            raise
        with processes.ending_together(backends.get_backend(config.framework)):
            raise


def _torch_compile(flag: bool | None, framework: str) -> bool:
    """On by default where it pays: on a GPU; on a CPU it costs more than mini workloads have."""
    if framework != "pytorch":
        return False
    return backends.get_backend(framework).platform() == "gpu" if flag is None else flag


def _run_each(config: RunConfig) -> int:
    """Each trial in a process of its own; a crash of one does not stop the others."""
    worst = 0
    shared = {**config.flags, "experiment_name": config.experiment_name, "append_timestamp": False}
    for number in config.trials:
        command = [sys.executable, sys.argv[0], *as_arguments({**shared, "trial": number})]
        code = _run_process(command, {"ALGOPERF_PROCESS_GROUP": f"trial_{number}"})
        if code < 0 or code > EXIT_SIGNAL_BASE:
            return code if code > 0 else EXIT_SIGNAL_BASE - code
        worst = max(worst, code)
        if code == EXIT_USAGE:
            return code
    return worst


def _run_process(command: list[str], environment: Mapping[str, str]) -> int:
    """Exit code of a trial in a process of its own, which is given the time to write its checkpoint on signals."""
    with subprocess.Popen(command, env={**os.environ, **environment}) as process:

        def pass_on(number: int, frame: Any) -> None:
            del frame
            if number == signal.SIGTERM:  # Ctrl-C reaches the whole process group by itself.
                process.send_signal(number)

        before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            return process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def as_arguments(flags: Mapping[str, Any]) -> list[str]:
    """Flags as a command line; None is left out."""
    skipped = ("reproduce", "hparam_start_index", "hparam_end_index")
    return [f"--{name}={value}" for name, value in flags.items() if value is not None and name not in skipped]


def reproduced_flags(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The flags of a stored trial, with this command's own experiment_dir.

    Raises:
      UsageError: if the folder is no trial folder or the submission has changed since.
    """
    folder = Path(flags["reproduce"]).expanduser()
    try:
        newest = records.newest(folder, records.flags_file) or folder / records.flags_file(0)
        stored = records.read_json(newest)  # The last command's: it may have gone on beyond an earlier limit.
        identity = records.read_json(folder / records.meta_data_file(0))["identity"]
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(
            f"--reproduce={folder} is not the folder of a trial that this version wrote: {error}. Pass a folder such "
            "as <experiment_dir>/<submission>/study_0/<workload>_<framework>/trial_1."
        ) from None
    own = ("experiment_dir", "experiment_name", "reproduce", "data_dir", "quiet", "overwrite", "device")
    own += ("coordinator", "num_hosts", "host_id", "hosts_timeout_sec")
    merged = {**flags, **{key: stored[key] for key in flags if key in stored and key not in own}}
    merged["submission"] = stored["submission_file"]
    if (
        Path(flags["experiment_dir"]).expanduser().resolve()
        == Path(stored["experiment_dir"]).expanduser().resolve()
    ):
        merged["experiment_dir"] = str(Path(flags["experiment_dir"]) / "reproduced")
    file, framework = submissions.find(merged["submission"], stored["framework"])
    found = submissions.load(file, framework).source_hash
    if found != identity["submission_source"]:
        raise UsageError(
            f"The submission at {file} has changed since {folder} was written (source hash {found}, then "
            f"{identity['submission_source']}): check out the version of that time to reproduce it."
        )
    return merged


def _check_reproduces(config: RunConfig, folder: Path) -> None:
    """Raises UsageError where today's files describe another trial than the stored one."""
    identity = records.read_json(folder / records.meta_data_file(0))["identity"]
    point = config.points[config.trials[0] - 1]
    now = {"workload_config": config.workload.config_hash(), "hyperparameters": point}
    for key, value in now.items():
        if identity[key] != value:
            raise UsageError(
                f"{folder} cannot be reproduced: its {key} was {identity[key]!r} and is {value!r} now. Check out the "
                "workloads, suite and search space of that time."
            )
