"""What the children of a referee may do: the rules of each, its private folder, and what was found to hold of them."""

import contextlib
import dataclasses
import hashlib
import itertools
import os
import shutil
import site
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from algoperf import files, registry, submission_files
from algoperf import submission as submissions
from algoperf.backends import compile_caches
from algoperf.confinement import means, places, probe, shared
from algoperf.confinement.means import Finding
from algoperf.confinement.rules import Rules
from algoperf.data import locate
from algoperf.referee.limits import Limits
from algoperf.run.config import TrialFacts
from algoperf.spec import UsageError
from algoperf.submission_import import API, PROJECT

PREFIX = "algoperf_trial_"
MAX_TASKS = max(4_096, 64 * (os.cpu_count() or 1))
"""Processes and threads of a submission: frameworks start some for each core, and compilers some for each process."""
OWN_FOLDERS = {
    **{"HOME": "home", "TMPDIR": "tmp", "TEMP": "tmp", "TMP": "tmp", "XDG_CACHE_HOME": "home/.cache"},
    **{"XDG_CONFIG_HOME": "home/.config", "XDG_DATA_HOME": "home/.local/share"},
}
"""Variable -> the folder below the private one that it names. Caches of compiled code lie below TMPDIR."""
TAKEN_AWAY = (
    *("MPLCONFIGDIR", "TORCH_HOME", "TRITON_HOME", "HF_HOME"),  # Below HOME, then.
    *("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "SSH_AUTH_SOCK"),
)
KEPT_CACHES = ("JAX_COMPILATION_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "NUMBA_CACHE_DIR")
"""Caches that are left alone where the user wants that; see `compile_caches.KEEP`."""
NOTHING: dict[str, Any] = {"mode": "off", "held": {}, "missing": {}}
"""The record of what nobody has looked at."""
REFUSED = ("Permission denied", "Operation not permitted", "Read-only file system")
NUM_TRIED = 8
"""Files of a kind that the probe tries to open."""


@dataclass(frozen=True, kw_only=True)
class Confined:
    """How the children of a referee are to be started; `close` it when they have ended."""

    record: dict[str, Any]
    """For the summary: 'mode', 'held' and 'missing', each of these with means -> words."""
    trainee: Rules | None = None
    """None where it is not confined."""
    evaluator: Rules | None = None
    environment: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    """Variables of the trainee; None takes one away."""
    folder: Path | None = None
    """Made for this trial."""
    resources: contextlib.ExitStack = dataclasses.field(default_factory=contextlib.ExitStack)
    """That folder, and what several processes share."""

    def close(self) -> None:
        """Deletes what the trainee has left."""
        self.resources.close()

    def limits(self) -> Limits | None:
        """Of processes and memory."""
        if self.trainee is None or self.trainee.max_tasks is None or self.trainee.memory_bytes is None:
            return None
        return Limits(self.trainee.max_tasks, self.trainee.memory_bytes)

    def warnings(self) -> list[str]:
        """What is told of it."""
        if self.trainee is None or not self.record["missing"]:
            return []
        missing = ", ".join(self.record["missing"])
        return [f"The submission is not confined as to {missing}: `python -m algoperf.confinement` says why."]


def prepare(facts: TrialFacts, num_processes: int = 1) -> Confined:
    """Makes the private folder and the rules of a trial, and tries them.

    Args:
      facts: of the trial; its data are ready.
      num_processes: that train together; several share namespaces, so that they can speak with each other alone.

    Raises:
      UsageError: if something is missing that the user requires, or a confined process cannot read what it needs.
    """
    mode = facts.settings.confine
    if mode == "off":
        return Confined(record=_record(mode, [Finding(name, False, "--confine=off") for name in means.STOPS]))
    _remove_left_behind()
    with contextlib.ExitStack() as stack:
        folder = Path(os.path.realpath(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}_")))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        found = _prepared(facts, mode, folder, num_processes, stack)
        return dataclasses.replace(found, resources=stack.pop_all())


def _prepared(
    facts: TrialFacts, mode: str, folder: Path, num_processes: int, stack: contextlib.ExitStack
) -> Confined:
    private = folder / "private"
    for name in sorted({*OWN_FOLDERS.values()}):
        (private / name).mkdir(parents=True, exist_ok=True)
    data = _Data(facts, folder / "data")
    kept = _kept_caches()
    rules = _rules(facts, data, (str(private), *kept))
    if num_processes > 1:
        rules = stack.enter_context(shared.made(rules))
    tries = probe.Tries(
        rules=rules,
        secrets=tuple(map(str, _results(facts, {folder, facts.submission.path.parent, *data.readable}))),
        needed=(*map(str, data.readable), str(facts.submission.path)),
    )
    findings = probe.run(tries, data.held_out, is_watched=True)
    if kept:
        text = f"{compile_caches.KEEP} is set, so that compiled code is kept"
        findings = [Finding(f.means, False, text) if f.means == means.TRACES else f for f in findings]
    record = _record(mode, findings)
    _check(mode, record)
    return Confined(
        record=record,
        trainee=rules,
        evaluator=Rules(confines_files=False),
        environment=_environment(facts, private, data, bool(kept)),
        folder=folder,
    )


def _record(mode: str, findings: Iterable[Finding]) -> dict[str, Any]:
    held = {one.means: one.words for one in findings if one.held}
    missing = {one.means: one.words for one in findings if not one.held}
    return {"mode": mode, "held": held, "missing": missing}


def _check(mode: str, record: Mapping[str, Any]) -> None:
    needed = [text for text in record["missing"].values() if probe.CANNOT_READ in text]
    if needed:
        raise UsageError(
            f"A confined submission cannot read what it needs ({needed[0]}): give the files to this user, or leave "
            "them to everybody, or say --confine=off."
        )
    if mode == "require" and record["missing"]:
        missing = "; ".join(f"{name} ({words})" for name, words in record["missing"].items())
        raise UsageError(
            f"--confine=require: this machine cannot confine the submission as to {missing}. "
            "`python -m algoperf.confinement` lists what is needed; --confine=auto takes what there is, and records it."
        )


def explained(error: str, record: Mapping[str, Any]) -> str:
    """The error of a submission, with a sentence where it may come from confinement.

    Args:
      error: in its own words.
      record: of the confinement.
    """
    if not record["held"] or not any(text in error for text in REFUSED):
        return error
    return f"{error.rstrip()} (The submission is confined: docs/referee.md says what it can open.)"


def together(earlier: Mapping[str, Any] | None, now: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a trial in two parts: what has held in both.

    Args:
      earlier: None where nothing is known.
      now: of the second part.
    """
    if earlier is None:
        earlier = _record("off", [Finding(name, False, "not recorded") for name in means.STOPS])
    missing = {**earlier["missing"], **now["missing"]}
    held = {name: words for name, words in now["held"].items() if name not in missing}
    return {**now, "held": held, "missing": missing}


# ---- the rules -------------------------------------------------------------------------------------------------------


class _Data:
    """The data of a trial: what the trainee may read of them.

    Args:
      facts: of the trial.
      parts: folder for parts of files.
    """

    def __init__(self, facts: TrialFacts, parts: Path):
        spec, data_dir = facts.workload, facts.settings.data_dir
        module = registry.data_module(spec)
        folder = Path(os.path.realpath(locate.ready_folder(spec, data_dir)))
        self.elsewhere = [Path(os.path.realpath(path)) for path in module.held_out_files(spec)]
        self.folder = folder if module.NEEDS_FILES else None
        self.part: Path | None = parts / locate.folder_name(spec)
        self.part.mkdir(parents=True)
        told: Sequence[Path] | None
        if module.write_training_part(spec, folder, self.part):
            told = [self.part]
        else:
            self.part, told = None, module.training_files(spec, folder)
        own = [folder] if module.NEEDS_FILES else []
        self.readable = [Path(os.path.realpath(path)) for path in (own if told is None else told)]
        """Files and folders that the trainee may read."""
        self.held_out: list[Path] | None = None
        """Some that it may not; None where the workload does not say which those are."""
        if told is not None:
            readable = {*self.readable}
            others = (path for path in _walked(own) if not {path, *path.parents} & readable)
            self.held_out = [*_first(_walked(self.elsewhere)), *_first(others)]


def _walked(paths: Iterable[Path]) -> Iterator[Path]:
    """These files, and those below these folders: names in a folder that holds a hidden one may be read."""
    for path in paths:
        if path.is_file():
            yield path
        for place, _, names in os.walk(path):
            yield from (Path(place) / name for name in names)


def _results(facts: TrialFacts, others: Set[Path]) -> list[Path]:
    """Some files of results, other than those below these folders."""
    found = _walked([Path(os.path.realpath(files.expanded(facts.settings.experiment_dir)))])
    return _first(path for path in found if not {path, *path.parents} & others)


def _first(found: Iterable[Path]) -> list[Path]:
    return list(itertools.islice(found, NUM_TRIED))


def _rules(facts: TrialFacts, data: _Data, write: tuple[str, ...]) -> Rules:
    results = Path(os.path.realpath(files.expanded(facts.settings.experiment_dir)))
    hidden = {results, *data.elsewhere, *([] if data.folder is None else [data.folder])}
    run, above_programs = places.around(places.programs(leave_out=(str(PROJECT), os.getcwd())), hidden)
    own, look = _submission_files(facts.submission.path)
    of_project = [PROJECT / name for name in (*API, "reference_algorithms")]
    read, above = places.around([*own, *of_project, *registry.roots()], hidden)
    imports = [str(path) for path in _files_of(facts.submission.path)]
    memory_gib = facts.settings.confine_memory_gib
    return Rules(
        run=tuple(run),
        read=(*read, *imports, *places.settings(), *map(str, data.readable)),
        look=(*above_programs, *above, *map(str, look), str(PROJECT), os.path.realpath(os.getcwd())),
        write=write,
        devices=tuple(places.devices()),
        loopback=places.num_gpus()
        > 1,  # Libraries that add over several of them speak by TCP, in one process, too.
        memory_bytes=psutil.virtual_memory().total if memory_gib is None else memory_gib << 30,
        max_tasks=MAX_TASKS,
    )


def _submission_files(file: Path) -> tuple[list[Path], list[Path]]:
    """(its folder if that is its own, folders in which its imports are looked for)."""
    folders = {path.parent for path in _files_of(file)}
    return [file.parent] if submissions.has_own_folder(file) else [], [file.parent, *folders]


def _files_of(file: Path) -> list[Path]:
    """The files of a submission, with those that make its folders packages."""
    found = list(submission_files.files_of(file, submissions.has_own_folder(file)).paths.values())
    inits = {folder / "__init__.py" for path in found for folder in path.parents}
    return [file, *found, *sorted(path for path in inits if path.is_file())]


def _kept_caches() -> list[str]:
    """Folders of caches that the user wants to keep; none in a trial that is to be compared."""
    if not compile_caches.are_kept():
        return []
    return [
        os.path.realpath(os.environ[name]) for name in KEPT_CACHES if os.path.isdir(os.environ.get(name, ""))
    ]


def _environment(facts: TrialFacts, private: Path, data: _Data, keeps: bool) -> dict[str, str | None]:
    found: dict[str, str | None] = dict.fromkeys(TAKEN_AWAY)
    found |= {name: str(private / folder) for name, folder in OWN_FOLDERS.items()}
    found |= {locate.PRIVATE: str(private), "PYTHONDONTWRITEBYTECODE": "1"}
    numba = private / "numba"
    _copy_machine_code(facts, numba)
    if not keeps:
        found |= {compile_caches.KEEP: None, compile_caches.NUMBA: None, compile_caches.OWN_NUMBA: str(numba)}
    elif compile_caches.NUMBA not in os.environ and any(numba.rglob("*.nbi")):
        found[compile_caches.NUMBA] = str(numba)
    if site.ENABLE_USER_SITE:
        found["PYTHONUSERBASE"] = site.getuserbase()  # It follows from HOME otherwise.
    if data.folder is not None:
        found[locate.DATA_DIR] = str(data.folder)
    if data.part is not None:
        found[locate.TRAINING_PART] = str(data.part)
    return found


def _copy_machine_code(facts: TrialFacts, target: Path) -> None:
    """Copies compiled loops of the workload's pipeline to where numba looks for them, with numba's names of folders.

    The trainee can neither write beside the source nor keep anything, and would compile them again in each trial.
    """
    kept = [os.environ.get(name) for name in (compile_caches.NUMBA, compile_caches.OWN_NUMBA)]
    for folder in {
        root / name for root in registry.roots() for name in (facts.workload.family, facts.workload.dataset)
    }:
        name = f"{folder.name}_{hashlib.sha1(os.fsencode(folder)).hexdigest()}"
        (target / name).mkdir(parents=True, exist_ok=True)
        for place in (*(Path(one) / name for one in kept if one), folder / "__pycache__"):
            for path in place.glob("*.nb[ic]"):
                with contextlib.suppress(OSError):
                    shutil.copy(path, target / name)


def _remove_left_behind() -> None:
    """Folders of referees that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        pid = folder.name.removeprefix(PREFIX).partition("_")[0]
        with contextlib.suppress(OSError):
            if pid.isdecimal() and not os.path.exists(f"/proc/{pid}") and folder.stat().st_uid == os.getuid():
                shutil.rmtree(folder, ignore_errors=True)
