"""What a submission logs: its own numbers, taken when it gives them, under names that are not the harness's.

A value is converted at once, on the clock, so that nothing of the submission runs when the rows are written, which is
off the clock (R3.19). Kept as it is and read later is only what has no code of a submission in it: an array of the
framework itself, of exactly its class, whose value may still be to be computed. Before the clock stops the harness
waits for the device (R6.4), so that the wait for such a value is charged, too.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from algoperf.records import MetricsLogger, check_name
from algoperf.spec import Tensor, UsageError

NUMPY = frozenset(np.sctypeDict.values())
"""Classes of NumPy's own scalars."""


class SubmissionLog:
    """What a submission gets of a `MetricsLogger`: its own scalars, and none that look like the harness's.

    Args:
      logger: of the trial.
      scalar: `Backend.scalar` of its framework.
    """

    def __init__(self, logger: MetricsLogger, scalar: Callable[[object], float | Tensor | None]):
        self._logger, self._scalar = logger, scalar
        self._checked: set[tuple[str, ...]] = set()

    def append_scalar_metrics(
        self,
        metrics: Mapping[str, float | Tensor],
        global_step: int,
        preemption_count: int | None = None,
        is_eval: bool = False,
    ) -> None:
        """Logs scalars of one step; `is_eval` is accepted and means nothing, as evaluations are the harness's.

        Args:
          metrics: name -> number of Python or NumPy, or an array of the framework or of NumPy with one element.
          global_step: the step that it belongs to.
          preemption_count: accepted, as AlgoPerf's logger has it.
          is_eval: accepted, as AlgoPerf's logger has it.

        Raises:
          UsageError: for what is no dictionary, no number, or a name that a table of evaluations could be mistaken by.
        """
        del is_eval
        if not isinstance(metrics, Mapping):
            raise UsageError(
                f"append_scalar_metrics wants a dictionary of scalars, got {type(metrics).__name__}: pass "
                '{"grad_norm": value}.'
            )
        row = dict(metrics)
        for name in row:
            if type(name) is not str:
                raise UsageError(
                    f"append_scalar_metrics got a name of type {type(name).__name__}: names are str."
                )
        names = tuple(row)
        if names not in self._checked:  # On the submission's clock, so once for all steps that log the same.
            for name in names:
                check_name(name)
            self._checked.add(names)
        for name, value in row.items():
            row[name] = self._taken(name, value)
        step = self._taken("global_step", global_step)
        count = None if preemption_count is None else self._taken("preemption_count", preemption_count)
        self._logger.append_scalar_metrics(row, step, count)

    def finish(self, columns_without_rows: object = ()) -> None:
        """Nothing: the harness closes the files."""

    def _taken(self, name: str, value: object) -> Any:
        found = plain_number(value)
        if found is None:
            found = self._scalar(value)
        if found is None:
            raise UsageError(
                f"append_scalar_metrics got {name!r} as a {type(value).__name__}, which is not one number: pass a "
                "number of Python or NumPy, or an array of the framework with one element."
            )
        return found


def plain_number(value: object) -> float | str | None:
    """A number of Python or NumPy, or a text, as Python has them; None for anything else. Calls no method of `value`.

    >>> [plain_number(one) for one in (1, np.float32(0.5), np.ones((1, 1)), "words", np.ones(2), object())]
    [1, 0.5, 1.0, 'words', None, None]
    """
    kind = type(value)
    if kind is float or kind is int or kind is str:
        return value  # type: ignore[return-value]  # It is what its exact type says.
    if isinstance(value, float) and kind is not np.float64:
        return float.__float__(value)  # Of a subclass: the number, whatever that has made of it.
    if isinstance(value, int):
        return int.__int__(value)  # Also of True.
    if kind is not np.ndarray and kind not in NUMPY:
        return None
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "biuf":
        return None
    return int(array.item()) if array.dtype.kind == "b" else array.item()
