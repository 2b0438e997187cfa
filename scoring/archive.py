"""A results folder in one file: what scoring reads of every trial, compressed, equal bytes for equal results.

    python -m scoring.archive <folder of submissions> scoring/data/mini_self.tar.xz [<submission>,...]
    python -m scoring.archive <folder of a sweep> docs/mini_sweep.tar.xz

The archive has the folder's own layout (`scoring.reading`; reruns of a sweep lie deeper), so it can be unpacked and
scored as any other. Of each trial it keeps evaluations, hyperparameters and the summary; checkpoints, training logs and
machine records stay out.
"""

import contextlib
import io
import lzma
import sys
import tarfile
import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from algoperf import records
from algoperf.spec import UsageError
from scoring.reading import STUDY, TRIAL

KEPT = (records.EVAL_MEASUREMENTS, records.HPARAMS, records.SUMMARY)


def pack(root: Path, path: Path, submissions: Collection[str] = ()) -> int:
    """Writes the archive.

    Args:
      root: folder that holds one folder per submission, or folders of such folders.
      path: where to; an .xz compressed tar file.
      submissions: names to keep; empty means all.

    Returns:
      The number of trials.

    Raises:
      UsageError: if there are none.
    """
    folders = sorted(
        trial
        for trial in root.glob("**/study_*/*/trial_*")
        if STUDY.fullmatch(trial.parts[-3])
        and TRIAL.fullmatch(trial.name)
        and (not submissions or trial.parts[-4] in submissions)
        and any((trial / name).is_file() for name in KEPT)
    )
    if not folders:
        raise UsageError(f"No trials of {', '.join(submissions) or 'any submission'} below {str(root)!r}.")
    with tarfile.open(path, "w:xz", preset=9) as archive:
        for file in (folder / name for folder in folders for name in KEPT):
            if file.is_file():
                content = file.read_bytes()
                member = tarfile.TarInfo(str(file.relative_to(root)))  # No owner, time 0.
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return len(folders)


@contextlib.contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The folder of submissions that the archive holds, for as long as the context lasts.

    Raises:
      UsageError: if the file is no archive.
    """
    with tempfile.TemporaryDirectory(prefix="algoperf-results-") as folder:
        try:
            with tarfile.open(path) as archive:
                archive.extractall(folder, filter="data")
        except (tarfile.TarError, lzma.LZMAError, EOFError) as error:
            raise UsageError(
                f"Cannot read {str(path)!r} as an archive of results: {error}. Make one with python -m scoring.archive."
            ) from None
        yield Path(folder)


def main(argv: Sequence[str]) -> None:
    """Packs a folder."""
    if len(argv) not in (3, 4):
        raise SystemExit(
            "usage: python -m scoring.archive <folder of submissions> <output.tar.xz> [<submission>,...]"
        )
    path = Path(argv[2])
    try:
        count = pack(Path(argv[1]), path, argv[3].split(",") if len(argv) == 4 else ())
    except UsageError as error:
        raise SystemExit(f"Error: {error}") from None
    print(f"{count} trials written to {path} ({path.stat().st_size / 1024:.0f} KiB)")


if __name__ == "__main__":
    main(sys.argv)
