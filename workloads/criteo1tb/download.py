"""The Criteo 1TB click logs must be downloaded by hand, because their terms of use have to be accepted.

So this checks whether the raw files are there and prints the steps if they are not. Files are read as they are;
nothing needs to be unpacked.
"""

from pathlib import Path

from algoperf.data.prepared import num_test_examples
from algoperf.spec import UsageError
from algoperf.workload import WorkloadSpec
from workloads.criteo1tb import sources
from workloads.criteo1tb.rows import layout_of

PAGE = "https://ailab.criteo.com/criteo-1tb-click-logs-dataset/"
ARCHIVE_GB = 342


def download(spec: WorkloadSpec, folder: Path, progress: bool = True) -> None:
    """Checks that the files of all days are in `folder/raw`.

    Raises:
      UsageError: if some are missing; the message lists the steps.
    """
    del progress
    raw = Path(folder) / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    try:
        sources.find_days(raw, spec.data.num_days)
    except UsageError as error:
        raise UsageError(f"{error}\n{manual_steps(spec, raw)}") from error


def manual_steps(spec: WorkloadSpec, raw: Path) -> str:
    """The steps of the download by hand, with sizes."""
    num_rows = spec.num_train_examples + spec.num_validation_examples + num_test_examples(spec)
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
