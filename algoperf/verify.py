"""Evaluates the checkpoint of a trial in a clean process, without its submission, and compares with what is recorded.

    python -m algoperf.verify <folder of a trial, or of results> [--data_dir=…] [--tolerance=0.01]

A checkpoint is written after each evaluation and holds the parameters that were evaluated, running statistics included.
Only these are read from it: nothing of the submission is imported or brought to life. Exit codes: 0 nothing differs,
1 a trial's metrics are not those of its parameters, 2 wrong input, or nothing that could be verified.
"""

import dataclasses
import enum
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from algoperf import backends, commands, files, frameworks, records, registry
from algoperf.backends.base import Backend
from algoperf.bound_workload import Workload
from algoperf.run import checkpoint, inert, stored, summary, verdict
from algoperf.spec import UsageError

TOLERANCE = 0.01
"""Share of a metric by which another machine or version may change it: an example in a hundred, a close call."""
TRIAL = "trial_*"


class Outcome(enum.StrEnum):
    """What came of a trial."""

    EQUAL = "equal"
    CLOSE = "close"
    DIFFERS = "DIFFERS"
    NOT_VERIFIED = "not verified"


@dataclasses.dataclass(frozen=True)
class Verified:
    """What came of a trial, and a sentence about it."""

    outcome: Outcome
    text: str


class NothingToVerifyError(Exception):
    """The folder of a trial lacks what is needed, for no fault of its own."""


def verify(folder: Path, data_dir: str | None = None, tolerance: float = TOLERANCE) -> Verified:
    """Evaluates the newest checkpoint of a trial.

    Args:
      folder: of the trial.
      data_dir: root folder of prepared data; None for the one that the trial had.
      tolerance: share of a metric that may differ.

    Raises:
      UsageError: if the records are damaged, or its framework or workload is not here.
    """
    try:
        step, recorded = _recorded(folder)
        meta_data = records.newest_meta_data(folder)
        now = _evaluated(folder, meta_data, _data_dir(folder, data_dir))
    except NothingToVerifyError as reason:
        return Verified(Outcome.NOT_VERIFIED, str(reason))
    except _OtherModelError as problem:
        return Verified(Outcome.DIFFERS, str(problem))
    found = verdict.compare({step: recorded}, {step: now})
    if found.largest is None:
        return Verified(Outcome.EQUAL, f"the metrics of step {step:,} are those of its parameters")
    if found.largest.size <= tolerance:
        text = f"the metrics of step {step:,} are those of its parameters up to {found.largest.size:.2g}"
        return Verified(Outcome.CLOSE, f"{text} ({found.largest})")
    one = found.largest
    return Verified(
        Outcome.DIFFERS,
        f"at step {step:,} {one.name} {one.stored:.6g} is recorded, and the parameters of its checkpoint give "
        f"{one.now:.6g}",
    )


class _OtherModelError(Exception):
    """The checkpoint does not hold the parameters of the workload's model."""


def _recorded(folder: Path) -> tuple[int, dict[str, float]]:
    """(step of the newest checkpoint, metrics that are recorded of it)."""
    if not checkpoint.list_checkpoints(folder):
        raise NothingToVerifyError("there is no checkpoint")
    about = checkpoint.header(folder)
    if about is None or "global_step" not in about:
        raise NothingToVerifyError("its checkpoint is damaged, or of an older version")
    step = int(about["global_step"])
    rows = stored.evaluations_of(folder)
    if not rows:
        raise NothingToVerifyError("there are no evaluations")
    if step not in rows:
        raise NothingToVerifyError(f"its checkpoint is of step {step:,}, between two evaluations")
    found = rows[step]
    ended = summary.read(folder)
    last = ended.last if ended is not None else None
    if last is not None and last.get("global_step") == step:
        for name, value in found.items():
            said = last.get(name)
            if isinstance(said, (int, float)) and said != value:
                raise _OtherModelError(
                    f"at step {step:,} {name} is {value:.6g} in its rows and {said:.6g} in its summary"
                )
    return step, found


def _data_dir(folder: Path, given: str | None) -> str | None:
    """Where the data are: as given, else as the trial had it, if that is here."""
    if given is not None:
        return str(files.expanded(given))
    path = records.newest(folder, records.flags_file)
    known = {} if path is None else files.read_json_or_none(str(path))
    found = known.get("data_dir") if isinstance(known, dict) else None
    return found if isinstance(found, str) and files.expanded(found).is_dir() else None


def _evaluated(folder: Path, meta_data: dict[str, Any], data_dir: str | None) -> dict[str, float]:
    """The metrics of the parameters in the newest checkpoint."""
    identity = meta_data.get("identity") or {}
    name, framework = identity.get("workload"), _framework_of(folder)
    if not isinstance(name, str):
        raise NothingToVerifyError("its records do not say which workload it is of")
    frameworks.get(framework).check_installed()
    backends.launch(framework).prepare()
    backend: Backend = backends.get_backend(framework)
    workload = Workload(registry.get(name), framework, data_dir, torch_compile=False)
    params, model_state = workload.init_model_fn(backend.root_key(0))
    wanted = workload.model.weights(params, model_state)
    found = checkpoint.find(folder, runs_nothing=True)
    assert found is not None
    saved = inert.read(*found.payload())["training"]
    arrays = backend.saved_weights(saved, per_device=bool(meta_data.get("per_device_layout")))
    for key, array in wanted.items():
        if key not in arrays or arrays[key].shape != array.shape or arrays[key].dtype != array.dtype:
            raise _OtherModelError(f"its checkpoint does not hold {key} as the model of {name} has it")
    params, model_state = workload.model.with_weights(params, model_state, arrays)
    return workload.evaluator.evaluate(params, model_state)


def _framework_of(folder: Path) -> str:
    """The framework that the name of a trial's folder says."""
    name = folder.resolve().parent.name
    for framework in frameworks.names():
        if name.endswith(f"_{framework}"):
            return framework
    raise UsageError(
        f"{folder} is not the folder of a trial: give one such as "
        "<experiment_dir>/<submission>/study_0/<workload>_<framework>/trial_1, or a folder above it."
    )


# ---- the command -----------------------------------------------------------------------------------------------------


def trials_in(folder: Path) -> list[Path]:
    """The folders of trials at or below a folder."""
    found = {path.parent for path in folder.rglob(records.EVAL_MEASUREMENTS)}
    return sorted(path for path in found if path.match(TRIAL))


def report(folder: Path, data_dir: str | None = None, tolerance: float = TOLERANCE) -> int:
    """Prints a line for each trial at or below a folder; returns the exit code.

    Raises:
      UsageError: if there is no trial, or one cannot be verified for a reason that the user can mend.
    """
    trials = trials_in(folder) if folder.is_dir() else []
    if not trials:
        raise UsageError(
            f"There is no trial with evaluations at or below {str(folder)!r}: give a folder of results."
        )
    if len(trials) == 1:
        found = verify(trials[0], data_dir, tolerance)
        print(f"{found.outcome}: {trials[0]}: {found.text}", flush=True)
        return {Outcome.DIFFERS: 1, Outcome.NOT_VERIFIED: commands.EXIT_USAGE}.get(found.outcome, 0)
    # Each in a process of its own: they may be of different frameworks, and share nothing.
    own = [f"--tolerance={tolerance}", *([] if data_dir is None else [f"--data_dir={data_dir}"])]
    command = [sys.executable, "-m", "algoperf.verify"]
    codes = [subprocess.run([*command, str(trial), *own], check=False).returncode for trial in trials]
    counts = f"{codes.count(0)} verified, {codes.count(1)} differ"
    print(f"{len(trials)} trials: {counts}, {len(codes) - codes.count(0) - codes.count(1)} not verified")
    return 1 if 1 in codes else 0 if 0 in codes else commands.EXIT_USAGE


def main(argv: Sequence[str]) -> int:
    """Reads the flags and the folder."""
    if len(argv) != 2:
        raise UsageError("Say what to verify: python -m algoperf.verify <folder of a trial, or of results>.")
    return report(files.expanded(argv[1]), flags.FLAGS.data_dir, flags.FLAGS.tolerance)


if __name__ == "__main__":
    flags.DEFINE_string("data_dir", None, "Root folder of prepared data; by default that of the trial.")
    flags.DEFINE_float("tolerance", TOLERANCE, "Share of a metric that may differ.", lower_bound=0)
    commands.run(main, max_arguments=1)
