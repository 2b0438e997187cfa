"""The settings of a run, one field each; everything that lists settings is derived from these fields.

From the fields of `RunSettings` follow the flags of `submission_runner.py` and their checks, the command lines of
child processes, the identity of a trial, the settings that all processes must share, and those that `--reproduce`
takes over. So a new setting is one field here and the code that uses it. Imports no framework.
"""

import dataclasses
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

from algoperf import frameworks
from algoperf.spec import UsageError, no_such

RULESETS = ("external", "self")
CONFINE = ("auto", "require", "off")
DEVICES = ("auto", "cpu", "gpu")
DESTINATIONS = ("tensorboard", "wandb", "mlflow")
"""Of `--log_to`; also names of extras, and of modules of `algoperf.log_to`."""
EVALUATOR_DEVICES = ("same", "cpu")
"""Of `--evaluator_device`, beside the number of a GPU."""
MAX_NUMBER = 10_000
"""Of trials and studies: far above what anybody runs, so that a typing error is refused."""
MAX_STEPS = 10**12
MAX_SEED = 2**63 - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mark:
    """Facts about a setting, besides its type and default."""

    help: str
    unit: str | None = None
    """Unit of a number, such as 'seconds' or 'updates'."""
    at_least: int | None = None
    """Smallest allowed value of a number."""
    at_most: int | None = None
    """Largest allowed value of a number."""
    choices: tuple[str, ...] | None = None
    members: tuple[str, ...] | None = None
    """What a list with commas may hold."""
    excludes: tuple[str, ...] = ()
    """Settings that mean nothing beside it, and are refused there rather than passed over; see `check_together`."""
    is_relative: bool = False
    """Whether it is a path that must stay below another setting's folder."""
    aliases: tuple[str, ...] = ()
    """Other names of the flag."""
    is_identity: bool = False
    """Whether a run with another value is a different run, which cannot continue this one."""
    is_shared: bool = False
    """Whether all processes of a run must have the same value; otherwise they would wait for each other for ever."""
    is_reproduced: bool = True
    """Whether `--reproduce` takes it from the stored trial; False for settings of the machine or the command."""
    is_of_campaign: bool = False
    """Whether it is also a flag of `run_benchmark.py`, which passes it to every trial."""
    is_passed_on: bool = True
    """Whether child processes get it; False for settings that choose among trials, which the parent does."""


def setting(default: object, **mark: Any) -> Any:
    """A field of `RunSettings`; `mark` holds the fields of `Mark`."""
    return dataclasses.field(default=default, metadata={"mark": Mark(**mark)})


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSettings:
    """The settings of a run, named as on the command line. Impossible values are refused with a UsageError."""

    workload: str | None = setting(
        None, help="Name of the workload, for example digits, wmt_mini or wmt.", is_identity=True
    )
    workload_path: str | None = setting(
        None,
        help="Folder of a workload of your own, or of several such folders; also $ALGOPERF_WORKLOADS.",
        is_reproduced=False,
        is_of_campaign=True,
    )
    submission: str | None = setting(None, help="Folder or Python file of the submission.")
    submission_path: str | None = setting(None, help="Other name of --submission.")
    framework: str | None = setting(
        None,
        help=f"{frameworks.choices()}; inferred where the submission offers only one.",
        is_identity=True,
        is_of_campaign=True,
    )
    tuning_ruleset: str = setting(
        "external",
        help="external (hyperparameters from a search space) or self.",
        choices=RULESETS,
        aliases=("ruleset",),
        is_shared=True,
        is_of_campaign=True,
    )
    tuning_search_space: str | None = setting(
        None,
        help="JSON file, or the name of one beside the submission; tuning_search_space.json there by default.",
        is_of_campaign=True,
    )
    num_tuning_trials: int | None = setting(
        None,
        help="How many trials of the study to run, each in its own process; 1.",
        at_least=1,
        at_most=MAX_NUMBER,
    )
    study: int = setting(
        0,
        help="Number of the study, from 0: an independent repetition with its own points.",
        at_least=0,
        at_most=MAX_NUMBER,
        is_identity=True,
    )
    trial: int | None = setting(
        None,
        help="Run only this trial of the study, from 1.",
        at_least=1,
        at_most=MAX_NUMBER,
        excludes=("num_tuning_trials", "hparam_start_index", "hparam_end_index"),
        is_identity=True,
    )
    hparam_start_index: int | None = setting(
        None,
        help="First trial to run, from 0 (as in AlgoPerf).",
        at_least=0,
        at_most=MAX_NUMBER,
        is_passed_on=False,
    )
    hparam_end_index: int | None = setting(
        None,
        help="End of the range of trials to run, exclusive (as in AlgoPerf).",
        at_least=1,
        at_most=MAX_NUMBER,
        is_passed_on=False,
    )
    suite: str | None = setting(
        None,
        help="Rules and targets: mini, mini_quick, algoperf_a100, algoperf_v06, algoperf_v05, qualification, or a "
        ".json file, such as targets.json of set_targets.py.",
        is_of_campaign=True,
    )
    data_dir: str | None = setting(
        None,
        help="Root of prepared data; $ALGOPERF_DATA_DIR, else ~/data/algoperf.",
        is_reproduced=False,
        is_of_campaign=True,
    )
    data_seed: str | None = setting(
        None,
        help="Seed from which a mini workload's data are made anew: a number or text, or @<file> with it in; also "
        "$ALGOPERF_DATA_SEED. Records and children have a hash of it alone; 0 is the public data.",
        is_identity=True,
        is_of_campaign=True,
    )
    experiment_dir: str = setting("experiments", help="Root of the results.", is_reproduced=False)
    experiment_name: str | None = setting(
        None,
        help="Folder below it; by default <submission>/study_<s>.",
        is_relative=True,
        is_reproduced=False,
    )
    append_timestamp: bool = setting(False, help="Append the time to the experiment name.")
    overwrite: bool = setting(
        False, help="Delete earlier results of the trial and start over.", is_reproduced=False
    )
    accept_changes: bool = setting(
        False,
        help="Go on although the code of the harness or the workload, or versions of packages, have changed since; "
        "the records say so.",
        is_reproduced=False,
        is_of_campaign=True,
    )
    resume_last_run: bool = setting(
        True, help="Accepted for compatibility: runs always continue where they stopped."
    )
    save_checkpoints: bool = setting(
        True, help="Write a checkpoint after each evaluation and on signals.", is_shared=True
    )
    save_intermediate_checkpoints: bool = setting(False, help="Keep all checkpoints, not only the newest.")
    rng_seed: int = setting(
        0,
        help="Fixes the data order, initialisation, submission and search-space points.",
        at_least=0,
        at_most=MAX_SEED,
        is_identity=True,
        is_of_campaign=True,
    )
    max_global_steps: int | None = setting(
        None,
        help="Stop after this many updates; not for scoring.",
        unit="updates",
        at_least=1,
        at_most=MAX_STEPS,
        aliases=("max_steps",),
        is_shared=True,
        is_of_campaign=True,
    )
    run_past_targets: bool = setting(
        False, help="Reaching the targets is recorded and does not end the run.", is_identity=True
    )
    eval_every_steps: int | None = setting(
        None,
        help="Evaluate by step count instead of time; not for scoring.",
        unit="updates",
        at_least=1,
        at_most=MAX_STEPS,
        is_identity=True,
    )
    skip_evals: bool = setting(
        False,
        help="Train without evaluating (for measurements).",
        excludes=("eval_every_steps",),
        is_shared=True,
    )
    referee: bool = setting(
        False,
        help="Evaluate, time and record in processes of their own, which the submission cannot reach.",
        is_identity=True,
        is_shared=True,
        is_of_campaign=True,
    )
    confine: str = setting(
        "auto",
        help="What keeps the submission of a refereed run from files, network and other processes: auto takes all that "
        "this machine has and records it, require refuses to run where something is missing, off takes nothing.",
        choices=CONFINE,
        is_shared=True,
        is_reproduced=False,
        is_of_campaign=True,
    )
    confine_memory_gib: int | None = setting(
        None,
        help="Memory of all processes of a confined submission together; by default all that the machine has.",
        unit="GiB",
    )
    num_processes: int | None = setting(
        None,
        help="PyTorch with --referee: how many processes of this host train together, one per GPU; under torchrun as "
        "many as it starts.",
        at_least=1,
        at_most=MAX_NUMBER,
        is_reproduced=False,
        is_of_campaign=True,
    )
    evaluator_device: str = setting(
        "same",
        help="With --referee, what evaluates: same (the first device of the training), cpu, or the number of a GPU, "
        "which then nothing else uses.",
        is_reproduced=False,
        is_of_campaign=True,
    )
    torch_compile: bool | None = setting(None, help="Compile PyTorch models; by default on a GPU only.")
    device: str = setting(
        "auto",
        help="auto, cpu or gpu; a missing GPU is an error, not a silent fallback.",
        choices=DEVICES,
        is_reproduced=False,
        is_of_campaign=True,
    )
    coordinator: str | None = setting(
        None,
        help="JAX on several hosts: host:port of host 0, or auto (Slurm, Open MPI, TPU pods).",
        is_reproduced=False,
    )
    num_hosts: int | None = setting(
        None, help="With --coordinator=host:port: how many hosts take part.", at_least=1, is_reproduced=False
    )
    host_id: int | None = setting(
        None,
        help="With --coordinator=host:port: number of this host, from 0.",
        is_reproduced=False,
    )
    hosts_timeout_sec: int = setting(
        300,
        help="How long to wait for the other hosts at the start.",
        unit="seconds",
        is_reproduced=False,
    )
    reproduce: str | None = setting(
        None,
        help="Folder of a stored trial, or <archive.tar.xz>:<trial>: run it again from its own record, and say whether "
        "the evaluations are equal.",
        is_reproduced=False,
        is_passed_on=False,
    )
    log_to: str | None = setting(
        None,
        help=f"Also send losses, evaluations, clock and memory to {', '.join(DESTINATIONS)} (several with commas), "
        "while the clock stands still; an extra of the same name installs what each needs.",
        members=DESTINATIONS,
        is_reproduced=False,
        is_of_campaign=True,
    )
    quiet: bool = setting(False, help="Print only the result.", is_reproduced=False)

    def __post_init__(self) -> None:
        for name, mark in marks().items():
            value = getattr(self, name)
            if isinstance(value, str):
                _check_text(name, value, mark)
            if mark.choices is not None and value not in mark.choices:
                raise no_such(name.replace("_", " "), value, mark.choices)
            if mark.members is not None:
                for one in listed(value):
                    if one not in mark.members or listed(value).count(one) > 1:
                        raise no_such(f"destination of --{name}", one, mark.members)
            if value is None or isinstance(value, str):
                continue
            if mark.at_least is not None and value < mark.at_least:
                least = f"be at least {mark.at_least}" if mark.at_least else "not be negative"
                raise UsageError(f"--{name} must {least}, got {value}.")
            if mark.at_most is not None and value > mark.at_most:
                raise UsageError(f"--{name} must be at most {mark.at_most}, got {value}.")

    def check_together(self) -> None:
        """Raises UsageError for settings of a person that mean nothing, or are passed over because of another."""
        if self.submission and self.submission_path and self.submission != self.submission_path:
            raise UsageError(
                f"--submission={self.submission} and --submission_path={self.submission_path} are two names of one "
                "setting with different values: give one of them."
            )
        if self.confine == "require" and not self.referee:
            raise UsageError(
                "--confine=require needs --referee, whose submission is a process of its own: add --referee, or leave "
                "--confine out."
            )
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        for name, mark in marks().items():
            for other in mark.excludes if getattr(self, name) != defaults[name] else ():
                if getattr(self, other) != defaults[other]:
                    raise UsageError(
                        f"--{other}={getattr(self, other)} means nothing beside --{name}={getattr(self, name)}: leave "
                        "one of them out."
                    )
        if not self.referee and self.num_processes is not None:
            raise UsageError(
                f"--num_processes={self.num_processes} goes with --referee, which starts them. Without it torchrun "
                f"does: `torchrun --nproc_per_node={self.num_processes} submission_runner.py …`."
            )
        device = self.evaluator_device
        if device not in EVALUATOR_DEVICES and not (device.isascii() and device.isdecimal()):
            raise UsageError(
                f"--evaluator_device={device} is none: say {', '.join(EVALUATOR_DEVICES)}, or the number of a GPU, "
                "such as 1."
            )
        if not self.referee and device != defaults["evaluator_device"]:
            raise UsageError(
                f"--evaluator_device={device} goes with --referee, where a process of its own "
                "evaluates: add --referee, or leave it out."
            )

    @property
    def given_submission(self) -> str | None:
        """The submission from --submission or --submission_path."""
        return self.submission or self.submission_path

    def values(self, names: Iterable[str]) -> dict[str, Any]:
        """Name -> value of some settings."""
        return {name: getattr(self, name) for name in names}

    def as_arguments(self) -> list[str]:
        """The command line that gives a child process these settings; None is left out."""
        passed_on = self.values(name for name, mark in marks().items() if mark.is_passed_on)
        return [f"--{name}={value}" for name, value in passed_on.items() if value is not None]

    def reproduced_from(self, stored: Mapping[str, object]) -> "RunSettings":
        """These settings, with those of a stored trial in place of all that `Mark.is_reproduced` marks.

        Args:
          stored: the content of the trial's flags file, written by this version or an older one.
        """
        # Older versions stored what was not given as an empty text, too.
        taken: dict[str, Any] = {
            name: stored[name]
            for name, mark in marks().items()
            if mark.is_reproduced and name in stored and stored[name] != ""
        }
        if taken.get("trial") is not None:  # Then the trial is chosen, whatever it was one of.
            taken.update(num_tuning_trials=None, hparam_start_index=None, hparam_end_index=None)
        return dataclasses.replace(self, **taken)


def listed(value: str | None) -> list[str]:
    """The members of a list with commas, as in `--log_to=tensorboard,wandb`.

    >>> listed("tensorboard, wandb"), listed(None)
    (['tensorboard', 'wandb'], [])
    """
    return [] if value is None else [one.strip() for one in value.split(",")]


def _check_text(name: str, value: str, mark: Mark) -> None:
    """Raises UsageError for a text that is empty, would break a line of records, or leaves its folder."""
    if not value.strip():
        raise UsageError(f"--{name} is empty: leave it out, or give a value. {mark.help}")
    odd = [character for character in value if unicodedata.category(character) in _LINE_BREAKERS]
    if odd:
        raise UsageError(
            f"--{name}={value!r} holds {odd[0]!r}: names without line breaks and other control characters, please."
        )
    if mark.is_relative and (PurePath(value).is_absolute() or ".." in PurePath(value).parts):
        raise UsageError(
            f"--{name}={value} leaves the folder that it is to be in: give a name such as mine/study_0, and the folder "
            "above it with --experiment_dir."
        )


_LINE_BREAKERS = ("Cc", "Cs", "Zl", "Zp")
"""Categories of Unicode: control characters, halves of characters that UTF-8 cannot write, separators of lines."""


def marks() -> dict[str, Mark]:
    """Name -> mark of every setting."""
    return {field.name: field.metadata["mark"] for field in dataclasses.fields(RunSettings)}


IDENTITY = tuple(name for name, mark in marks().items() if mark.is_identity)
SHARED = tuple(name for name, mark in marks().items() if mark.is_shared)
OF_CAMPAIGNS = tuple(name for name, mark in marks().items() if mark.is_of_campaign)


def given(values: Mapping[str, object]) -> RunSettings:
    """Settings from values by name or alias; all others have their defaults.

    >>> given({"max_steps": 5}).max_global_steps
    5
    """
    # Stored settings may use an alias: they come from a command line, or from an older version.
    names = {alias: name for name, mark in marks().items() for alias in mark.aliases}
    for name in values:
        if name not in marks() and name not in names:
            raise no_such("setting of a run", name, marks())
    named: dict[str, Any] = {names.get(name, name): value for name, value in values.items()}
    return RunSettings(**named)
