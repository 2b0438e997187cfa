"""Finds the prepared data of a workload; makes those of mini workloads on first use."""

import contextlib
import functools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from algoperf import files, registry
from algoperf.data import manifest
from algoperf.spec import UsageError
from algoperf.workload import WorkloadSpec

DEFAULT_ROOT = "~/data/algoperf"
SETUP_SCRIPT = "datasets/dataset_setup.py"
"""In the repository; an installation has `algoperf data`."""
DATA_DIR = "ALGOPERF_DATA_DIR"
TRAINING_PART = "ALGOPERF_TRAINING_PART"
"""Variable with the folder that a confined process has in place of the data; see `DataFile.write_training_part`."""
PRIVATE = "ALGOPERF_PRIVATE_FOLDER"
"""Variable with the only folder in which a confined process can write."""


def root(data_dir: str | Path | None) -> Path:
    """`data_dir`, else $ALGOPERF_DATA_DIR, else ~/data/algoperf.

    Raises:
      UsageError: if it is below the home folder of a user who has none.
    """
    given = data_dir or os.environ.get(DATA_DIR)
    try:
        return files.expanded(given or DEFAULT_ROOT)
    except UsageError as error:
        if given:
            raise
        raise UsageError(
            f"No folder for data, as none was given with --data_dir (or $ALGOPERF_DATA_DIR): {error}"
        ) from None


def dataset_name(spec: WorkloadSpec) -> str:
    """'wmt' for 'wmt' and its variants, 'wmt_mini' for their mini versions: variants share their data."""
    return f"{spec.dataset}_mini" if spec.is_mini else spec.dataset


def folder_name(spec: WorkloadSpec) -> str:
    """`dataset_name`; data of a secret seed have a folder of their own, as 'wmt_mini_seed_9f86d081884c7d65'."""
    return dataset_name(spec) + (f"_seed_{spec.data_instance}" if spec.data_instance else "")


def setup_command(spec: WorkloadSpec, folder: Path) -> str:
    """The command that gets and prepares the data of a workload into its folder."""
    seed = " --data_seed=<their seed>" if spec.data_instance else ""
    in_repository = (Path(__file__).resolve().parents[2] / SETUP_SCRIPT).is_file()
    program = f"python {SETUP_SCRIPT}" if in_repository else "algoperf data"
    return f"{program} --dataset={dataset_name(spec)}{seed} --data_dir={folder.parent}"


def folder_of(spec: WorkloadSpec, data_dir: str | Path | None) -> Path:
    """The folder of a workload; `data_dir` may be the root of all data or already that folder."""
    base = root(data_dir)
    return base if base.name == folder_name(spec) else base / folder_name(spec)


def training_part() -> Path | None:
    """The folder that this process has in place of the data; None in one that can read them."""
    found = os.environ.get(TRAINING_PART)
    return Path(found) if found else None


def cache_folder(folder: Path) -> Path:
    """Where a pipeline keeps what it has computed from the data in `folder`; where it is confined, for one trial."""
    private = os.environ.get(PRIVATE)
    return Path(private) / "cache" if private else folder / "cache"


def ready_folder(
    spec: WorkloadSpec, data_dir: str | Path | None = None, progress: bool = True, seed: int | None = None
) -> Path:
    """The folder with complete prepared data; for a mini workload they are made first if they are missing.

    Args:
      spec: the workload.
      data_dir: see `folder_of`.
      progress: whether to show a progress bar.
      seed: `DataSeed.entropy` of `spec.data_instance`, without which such data cannot be made.

    Raises:
      UsageError: if data are missing that cannot be made here; names the folder and the next step.
    """
    module, part = registry.data_module(spec), training_part()
    if part is not None and part.name == folder_name(spec):
        return part  # Whoever has made it has looked at the data.
    if not module.NEEDS_FILES:
        return Path(data_dir or DEFAULT_ROOT) / folder_name(spec)  # As it is: nobody looks there.
    folder = folder_of(spec, data_dir)
    files.check_can_be_folder("--data_dir", folder)
    if module.is_ready(spec, folder):
        check_content(spec, folder)
        return folder
    if not spec.is_mini:
        raise UsageError(
            f"No prepared data for workload {spec.name!r} in {folder}. Prepare them with "
            f"`{setup_command(spec, folder)}`, "
            "or point --data_dir (or $ALGOPERF_DATA_DIR) to where they are."
        )
    if spec.data_instance and seed is None:
        raise UsageError(
            f"No data of workload {spec.name!r} from this seed in {folder}, and its sealed form makes none. Make them "
            f"with `{setup_command(spec, folder)}`, or give the seed itself here."
        )
    files.make_folder(folder, "--data_dir (or $ALGOPERF_DATA_DIR)")
    with one_at_a_time(folder), registry.data_packages(spec):
        # Asked again under the lock: another process may have prepared the data while this one waited.
        if not module.is_ready(spec, folder):
            print(f"Making the data of {folder_name(spec)} in {folder} (first use only).", file=sys.stderr)
            own = {} if seed is None else {"seed": seed}
            module.synthesize(spec, folder, progress=progress, **own)
            module.prepare(spec, folder, progress=progress)
    return folder


def check_content(spec: WorkloadSpec, folder: Path) -> None:
    """Compares prepared data with their manifest as far as that is quick; once in a process.

    Raises:
      UsageError: names the files that are not what was prepared.
    """
    if damaged := _damaged(folder, manifest.hash_of(folder)):
        raise UsageError(
            f"Damaged in {folder}: {', '.join(damaged)}. Delete them, then: {setup_command(spec, folder)}"
        )


@functools.cache
def _damaged(folder: Path, prepared: str | None) -> list[str]:
    """`manifest.spot_check`; `prepared` tells data apart that are prepared anew within one process."""
    return [] if prepared is None else manifest.spot_check(folder)


@contextlib.contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Keeps two processes from preparing the same folder; the lock is released when its process ends."""
    import fcntl  # Unix only; the module itself stays importable elsewhere.

    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
