"""Raw files that cannot be used: all are looked for before a preparation ends, so that nobody mends them one by one."""

import contextlib
from collections.abc import Iterator, Sequence

from algoperf.spec import UsageError

NUM_SHOWN = 5
"""An error gives the reasons of up to this many files."""


class BadFilesError(UsageError):
    """Some raw files cannot be used.

    Args:
      reasons: one sentence or two for each file, with its name and what to do; at least one.

    >>> print(BadFilesError(["a.flac is empty."]))
    a.flac is empty.
    >>> print(BadFilesError(["a.flac is empty.", "b.flac is cut."]))
    2 raw files cannot be used. a.flac is empty. b.flac is cut.
    """

    def __init__(self, reasons: Sequence[str]):
        self.reasons = tuple(reasons)
        super().__init__(self._text())

    def __reduce__(self) -> tuple[type["BadFilesError"], tuple[tuple[str, ...]]]:
        return type(self), (self.reasons,)  # Worker processes send it to their parent.

    def _text(self) -> str:
        if len(self.reasons) == 1:
            return self.reasons[0]
        shown = [f"{reason.rstrip('.')}." for reason in sorted(self.reasons)[:NUM_SHOWN]]
        rest = len(self.reasons) - len(shown)
        more = [f"And {rest:,} more; they are named once these are mended."] if rest else []
        return " ".join([f"{len(self.reasons):,} raw files cannot be used.", *shown, *more])


class Search:
    """Goes on after a bad file, and ends with all of them.

    >>> search = Search()
    >>> for name in ("a", "b"):
    ...     with search.going_on():
    ...         raise UsageError(f"{name} is empty.")
    >>> search.end()
    Traceback (most recent call last):
    algoperf.data.bad_files.BadFilesError: 2 raw files cannot be used. a is empty. b is empty.
    """

    def __init__(self) -> None:
        self._reasons: list[str] = []

    @contextlib.contextmanager
    def going_on(self, after: type[UsageError] = UsageError) -> Iterator[None]:
        """An error of the type `after` that is raised within is noted as that of a file, or several."""
        try:
            yield
        except after as error:
            self._reasons += error.reasons if isinstance(error, BadFilesError) else [str(error)]

    def end(self) -> None:
        """Raises BadFilesError if there were any."""
        if self._reasons:
            raise BadFilesError(self._reasons)
