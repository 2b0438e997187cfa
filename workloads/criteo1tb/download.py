"""The Criteo 1TB click logs cannot be fetched by a program: whoever downloads them accepts Criteo's terms.

So this looks whether the raw files are there and says what to do where they are not. They are read where they lie;
nothing needs to be unpacked.
"""

from pathlib import Path

from algoperf.spec import UsageError
from algoperf.workload import WorkloadSpec
from workloads.criteo1tb import sources
from workloads.criteo1tb.rows import layout_of

PAGE = "https://ailab.criteo.com/criteo-1tb-click-logs-dataset/"
ARCHIVE_GB = 342


def download(spec: WorkloadSpec, folder: Path, progress: bool = True) -> None:
    """Nothing if the file of every day is in `folder/raw`.

    Raises:
      UsageError: otherwise; holds the steps to take.
    """
    del progress
    raw = Path(folder) / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    try:
        sources.find_days(raw, spec.data.num_days)
    except UsageError as error:
        raise UsageError(f"{error}\n{manual_steps(spec, raw)}") from error


def manual_steps(spec: WorkloadSpec, raw: Path) -> str:
    """What a person has to do, with sizes."""
    num_rows = spec.num_train_examples + spec.num_validation_examples + spec.num_test_examples
    prepared_gb = num_rows * layout_of(spec.data.bucket_counts).row_bytes / 1e9
    last = spec.data.num_days - 1
    return (
        f"The data set has to be fetched by hand, because its terms of use have to be accepted:\n"
        f"  1. Open {PAGE}, accept the terms, and download the data set ({ARCHIVE_GB} GB, one zip file).\n"
        f"  2. Put the files that it holds, day_0.gz to day_{last}.gz, into {raw} as they are:\n"
        f"       unzip -j <the zip file> '*day_*.gz' -d {raw}\n"
        f"     Or copy or link the text files of an AlgoPerf installation (day_0_00, day_0_01, ...) there.\n"
        f"  3. Run this command again. It writes {prepared_gb:,.0f} GB; the raw files can be deleted afterwards."
    )
