"""Imports the package `tensorflow_datasets` without TensorFlow and without its log output."""

import contextlib
import io
import logging
from collections.abc import Iterator
from typing import Any

from algoperf.spec import UsageError


@contextlib.contextmanager
def tfds_quietly(progress: bool = False) -> Iterator[Any]:
    """The module `tensorflow_datasets`, with its log lines, printed hints and (without `progress`) bars off.

    Raises:
      UsageError: if it or array_record is not installed.
    """
    try:
        import array_record  # noqa: F401 - a missing one is found here, not when the first file is opened
        import tensorflow_datasets as tfds
    except ImportError as error:
        advice = "Reading and writing ArrayRecord files needs tensorflow-datasets and array_record"
        raise UsageError(f"{advice}: pip install -e .[data] (missing: {error.name}).") from error
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    if not progress:
        tfds.disable_progress_bar()
    try:
        # Some hints of tensorflow_datasets are printed, not logged.
        with contextlib.redirect_stdout(io.StringIO()):
            yield tfds
    finally:
        logger.setLevel(level)
        if not progress:
            tfds.enable_progress_bar()
