"""Downloads (or synthesizes), prepares and verifies the data of one workload: `algoperf data`, below its flags."""

from pathlib import Path

from algoperf import data_seed, files, registry
from algoperf.data import locate, sealed
from algoperf.spec import no_such
from algoperf.workload import WorkloadSpec


def spec_of(dataset: str) -> WorkloadSpec:
    """The base spec that stands for a data set; variants share it."""
    specs = {
        locate.dataset_name(spec): spec
        for spec in map(registry.get, registry.names())
        if spec.variant is None
    }
    if dataset not in specs:
        raise no_such("data set", dataset, specs)
    return specs[dataset]


def set_up(
    dataset: str,
    data_dir: str | None,
    progress: bool = True,
    verify: bool = True,
    seed: data_seed.DataSeed | None = None,
) -> Path:
    """Does what is still missing; returns the folder.

    Args:
      dataset: its name.
      data_dir: root of all data.
      progress: whether to show progress bars.
      verify: whether to compare checksums.
      seed: of the data of a mini workload; None for the public ones.

    Raises:
      UsageError: no such data set, disk too full, no network, damaged files.
    """
    spec = spec_of(dataset) if seed is None else sealed.of_seed(spec_of(dataset), seed)
    data = registry.data_module(spec)
    folder = locate.folder_of(spec, data_dir)
    if not data.NEEDS_FILES:
        print(f"{dataset} needs no files.")
        return folder
    files.check_can_be_folder("--data_dir", folder)
    if not data.is_ready(spec, folder):
        if not spec.is_mini:
            _download_and_prepare(spec, folder, progress)
        locate.ready_folder(spec, data_dir, progress, None if seed is None else seed.entropy)
    if verify:
        for split, counts in data.verify(spec, folder, progress).items():
            print(f"{split:>12}: " + ", ".join(f"{value:,} {key}" for key, value in counts.items()))
    print(f"{dataset} is ready in {folder}.")
    if seed is not None:
        print(f"Runs on it, without knowing the seed: --{sealed.FLAG}={seed.setting}")
    return folder


def _download_and_prepare(spec: WorkloadSpec, folder: Path, progress: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with locate.one_at_a_time(folder):
        source = registry.download_module(spec)
        if source is not None:
            source.download(spec, folder, progress)
        registry.data_module(spec).prepare(spec, folder, progress)
