"""Compiled code does not outlive a trial (R3.8): every cache of it on disk is new, and gone when the process ends.

Compilation counts as submission time, so a trial that finds what an earlier one compiled would be measured faster: with
torch.compile 8 s where the first trial took 101. Caches are set by environment variables, before a framework is
imported; which ones, the launch modules know.
"""

import atexit
import contextlib
import fcntl
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from algoperf.spec import UsageError

KEEP = "ALGOPERF_KEEP_COMPILE_CACHE"
"""A variable that leaves all caches alone: for tests, which compile the same steps again and again."""

PREFIX = "algoperf_compile_"
LOCK = "lock"
NUMBA = "NUMBA_CACHE_DIR"
OWN_NUMBA = "ALGOPERF_NUMBA_CACHE_DIR"
"""What `NUMBA` was before: for the functions of the harness, here and in child processes."""

FOLDERS = ("CUDA_CACHE_PATH", "TRITON_CACHE_DIR", "CUPY_CACHE_DIR")
"""Of caches that submissions of any framework may use; `NUMBA` comes on top."""
XLA_CACHE_FLAG = re.compile(
    r"--xla_gpu_(per_fusion_autotune_cache_dir|load_autotune_results_from|dump_autotune_results_to|kernel_cache_file)"
)


@dataclass
class _Renewed:
    """What was done in this process."""

    folder: Path | None = None
    lock: int | None = None
    variables: dict[str, str | None] = field(default_factory=dict)
    """As they were set; None where one was taken away."""
    overridden: dict[str, str] = field(default_factory=dict)
    """What the user had set."""


_renewed = _Renewed()


def are_kept() -> bool:
    """Whether `KEEP` is set."""
    return os.environ.get(KEEP, "0") not in ("", "0")


def renew(folders: Collection[str] = (), fixed: Mapping[str, str | None] | None = None) -> None:
    """Makes caches new for this process, whose children inherit them; the second call for a variable does nothing.

    Args:
      folders: variables that name the folder of a cache, beside `FOLDERS`.
      fixed: variable -> the value that it must have; None takes it away.

    Raises:
      UsageError: if there is no place for the folder.
    """
    if are_kept():
        return
    if _renewed.folder is None:
        _remove_left_behind()
        _renewed.folder, _renewed.lock = _new_folder()
        atexit.register(_remove, _renewed.folder, os.getpid())
    values = {name: str(_renewed.folder / name.lower()) for name in (*FOLDERS, *folders)}
    for name, value in {**values, **(fixed or {})}.items():
        _set(name, value)
    if NUMBA not in _renewed.variables:
        _put(OWN_NUMBA, _own_value(NUMBA) or os.environ.get(OWN_NUMBA))
        _renewed.variables[NUMBA] = str(_renewed.folder / NUMBA.lower())
        _set_numba(_renewed.variables[NUMBA])


def without_autotune_caches(xla_flags: str) -> str | None:
    """XLA_FLAGS without those that read or write tuned kernels; None where nothing is left.

    >>> without_autotune_caches("--xla_a=1 --xla_gpu_per_fusion_autotune_cache_dir=/x")
    '--xla_a=1'
    """
    return " ".join(flag for flag in xla_flags.split() if not XLA_CACHE_FLAG.match(flag)) or None


@contextlib.contextmanager
def numba_of_harness() -> Iterator[None]:
    """Within, functions that numba is told to cache are kept for later trials: those of the harness.

    They read and augment data and are no part of a submission, whose functions have new caches whenever it makes them.
    """
    before = os.environ.get(NUMBA)
    if before is None or PREFIX not in before:
        yield
        return
    _set_numba(os.environ.get(OWN_NUMBA))
    try:
        yield
    finally:
        _set_numba(before)


def record() -> dict[str, object]:
    """What goes into the records of a trial."""
    if _renewed.folder is None:
        return {"new": False}
    return {"new": True, "variables": dict(_renewed.variables), "overridden": dict(_renewed.overridden)}


def warnings() -> list[str]:
    """What whoever compares the trial's time with others has to know."""
    if are_kept():
        return [f"{KEEP} is set: compiled code of earlier runs may be used, so times are not comparable."]
    return [
        f"{name}={value} is not used: a trial finds nothing that another one compiled (R3.8)."
        for name, value in _renewed.overridden.items()
    ]


# ---- variables -----------------------------------------------------------------------------------------------------


def _own_value(name: str) -> str | None:
    """What the user has set; what a parent process has renewed for itself does not count."""
    value = os.environ.get(name)
    return None if value is None or PREFIX in value else value


def _set(name: str, value: str | None) -> None:
    if name in _renewed.variables:
        return
    own = _own_value(name)
    if own is not None and own != value:
        _renewed.overridden[name] = own
    if own is not None or value is not None:
        _renewed.variables[name] = value
    _put(name, value)


def _put(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def _set_numba(value: str | None) -> None:
    _put(NUMBA, value)
    numba = sys.modules.get("numba")
    if numba is not None:
        numba.config.CACHE_DIR = value or ""  # Read from the environment when numba was imported.


# ---- the folder ----------------------------------------------------------------------------------------------------


def _new_folder() -> tuple[Path, int]:
    """A new folder for temporary files and its lock, which ends with this process however it ends."""
    try:
        while True:
            folder = Path(tempfile.mkdtemp(prefix=PREFIX))
            lock = _locked(folder)
            if lock is not None:
                return folder, lock
    except OSError as error:
        raise UsageError(
            f"There is no place for compiled code ({error}): set TMPDIR to a folder that can be written and has room."
        ) from None


def _locked(folder: Path) -> int | None:
    """The descriptor of a folder's lock, which is now ours; None if another process holds it."""
    lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _remove_left_behind() -> None:
    """Removes the folders of processes that were killed."""
    try:
        for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
            # One without a lock is being made at this moment, or too odd to be touched.
            if folder.stat().st_uid != os.getuid() or not (folder / LOCK).exists():
                continue
            lock = _locked(folder)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)
    except OSError:  # Another process was faster, or the folder cannot be read: the new one will tell.
        return


def _remove(folder: Path, process: int) -> None:
    if os.getpid() == process:  # A forked child that ends must not take it from its parent.
        shutil.rmtree(folder, ignore_errors=True)
