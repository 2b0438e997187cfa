"""TensorBoard: event files in `tensorboard/` of the trial's folder. `tensorboard --logdir=<experiment_dir>` shows all.

Records are written by TensorBoard's own package, which needs no TensorFlow and no PyTorch for that. A process that
continues a trial begins another file in the same folder, as TensorBoard expects.
"""

import contextlib
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from algoperf.log_to.destination import About, Point

PACKAGE = "tensorboard"
FOLDER = "tensorboard"
VERSION = "brain.Event:2"
"""Of the format: the first record of each file."""


class TensorBoard:
    """See `Destination`.

    Args:
      folder: of the event files.
    """

    run = FOLDER

    def __init__(self, folder: Path):
        self._folder = folder
        self._path = folder
        self._records: Any = None

    def send(self, points: Sequence[Point]) -> None:
        from tensorboard.compat.proto import event_pb2, summary_pb2

        if self._records is None:
            self._begin()
        before = os.path.getsize(self._path)
        try:
            for point in points:
                values = [
                    summary_pb2.Summary.Value(tag=name, simple_value=value)
                    for name, value in point.values.items()
                ]
                summary = summary_pb2.Summary(value=values)
                event = event_pb2.Event(wall_time=time.time(), step=point.step, summary=summary)
                self._records.write(event.SerializeToString())
            self._records.flush()
        except Exception:
            # They come once more, into another file: nothing must be there twice, and nothing cut.
            with contextlib.suppress(OSError):
                self._records.close()
            self._records = None
            os.truncate(self._path, before)
            raise

    def end(self, status: str | None) -> None:
        del status  # It has no place for it.
        if self._records is not None:
            self._records.close()

    def _begin(self) -> None:
        """One more event file."""
        from tensorboard.compat.proto import event_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        number = len(list(self._folder.iterdir()))  # Two of the same second have different names.
        name = f"events.out.tfevents.{time.time():010.0f}.{socket.gethostname()}.{number}"
        self._path = self._folder / name
        self._records = RecordWriter(open(self._path, "wb"))  # noqa: SIM115 - kept open for the run
        self._records.write(event_pb2.Event(wall_time=time.time(), file_version=VERSION).SerializeToString())
        self._records.flush()


def make(about: About, run: str | None) -> TensorBoard:
    """See `destination.Module`."""
    folder = about.folder / FOLDER
    folder.mkdir(exist_ok=True)
    if run is None:
        for path in folder.glob("events.out.tfevents.*"):  # Of a run that was started over.
            path.unlink()
    return TensorBoard(folder)
