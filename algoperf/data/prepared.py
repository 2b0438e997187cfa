"""What a workload says about its prepared data: that they are missing, or damaged, and what to do."""

from pathlib import Path

from algoperf.data import locate, manifest
from algoperf.spec import UsageError
from algoperf.workload import WorkloadSpec


def setup_command(spec: WorkloadSpec, folder: Path) -> str:
    """The command that fetches and prepares the data of `spec` into `folder`."""
    return f"python datasets/dataset_setup.py --dataset={locate.folder_name(spec)} --data_dir={folder.parent}"


def require(is_ready: bool, spec: WorkloadSpec, folder: Path) -> None:
    """Raises UsageError unless the data are ready."""
    if not is_ready:
        raise UsageError(
            f"No prepared data for {spec.name!r} in {folder}. Prepare them: {setup_command(spec, folder)}"
        )


def require_undamaged(spec: WorkloadSpec, folder: Path, progress: bool) -> None:
    """Compares the checksums of all files in the manifest; UsageError with the names of those that differ."""
    damaged = manifest.damaged_files(folder, progress)
    if damaged:
        names = ", ".join(damaged)
        raise UsageError(f"Damaged in {folder}: {names}. Delete them, then: {setup_command(spec, folder)}")
