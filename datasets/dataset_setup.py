"""Downloads (or synthesizes), prepares and verifies the data of one workload and its variants.

    python datasets/dataset_setup.py --dataset=wmt --data_dir=~/data/algoperf
    python datasets/dataset_setup.py --dataset=wmt_mini

Run again, the command continues after an interruption; if everything is in place, it only verifies. The steps are
written in `download.py` and `data.py` of `workloads/<data set>/`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from absl import flags

from algoperf import commands, files, registry
from algoperf.data import locate
from algoperf.spec import no_such
from algoperf.workload import WorkloadSpec

flags.DEFINE_string(
    "dataset", None, "A data set ('wmt', 'imagenet') or its mini version ('wmt_mini').", required=True
)
flags.DEFINE_string(
    "data_dir", None, f"Root of all data; $ALGOPERF_DATA_DIR or {locate.DEFAULT_ROOT} by default."
)
flags.DEFINE_bool("progress", True, "Show progress bars.")
flags.DEFINE_bool("verify", True, "Compare checksums of all prepared files at the end.")


def spec_of(dataset: str) -> WorkloadSpec:
    """The base spec that stands for a data set; variants share it."""
    specs = {
        locate.folder_name(spec): spec for spec in map(registry.get, registry.names()) if spec.variant is None
    }
    if dataset not in specs:
        raise no_such("data set", dataset, specs)
    return specs[dataset]


def set_up(dataset: str, data_dir: str | None, progress: bool = True, verify: bool = True) -> Path:
    """Does what is still missing; returns the folder.

    Raises:
      UsageError: no such data set, disk too full, no network, damaged files.
    """
    spec = spec_of(dataset)
    data = registry.data_module(spec)
    folder = locate.folder_of(spec, data_dir)
    if not data.NEEDS_FILES:
        print(f"{dataset} needs no files.")
        return folder
    files.check_can_be_folder("--data_dir", folder)
    if not data.is_ready(spec, folder):
        if not spec.is_mini:
            _download_and_prepare(spec, folder, progress)
        locate.ready_folder(spec, data_dir, progress)
    if verify:
        for split, counts in data.verify(spec, folder, progress).items():
            print(f"{split:>12}: " + ", ".join(f"{value:,} {key}" for key, value in counts.items()))
    print(f"{dataset} is ready in {folder}.")
    return folder


def _download_and_prepare(spec: WorkloadSpec, folder: Path, progress: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with locate.one_at_a_time(folder):
        source = registry.download_module(spec)
        if source is not None:
            source.download(spec, folder, progress)
        registry.data_module(spec).prepare(spec, folder, progress)


def main(argv: Sequence[str]) -> None:
    del argv
    set_up(flags.FLAGS.dataset, flags.FLAGS.data_dir, flags.FLAGS.progress, flags.FLAGS.verify)


if __name__ == "__main__":
    commands.run(main)
