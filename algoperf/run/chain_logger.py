"""The logger of metrics of a trial whose records are chained."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

from algoperf import records
from algoperf.run.chain import Chain
from algoperf.spec import Tensor


class Logger(records.MetricsLogger):
    """A logger whose rows are chained.

    Args:
      chain: begun before the first row comes.
      folder, to_float, preemption_count, last_step: see `records.MetricsLogger`.
    """

    def __init__(
        self,
        chain: Chain,
        folder: Path,
        to_float: Callable[[Tensor], float],
        preemption_count: int = 0,
        last_step: float = math.inf,
    ):
        self._chain = chain
        super().__init__(folder, to_float, preemption_count, last_step)

    def _opened(self, path: Path, last_step: float) -> records.RowLog:
        return _ChainedLog(self._chain, path.name, super()._opened(path, last_step))


class _ChainedLog:
    """See `records.RowLog`; what is put back has its lines."""

    def __init__(self, chain: Chain, name: str, log: records.RowLog):
        self._chain, self._name, self._log = chain, name, log
        self.put_back, self.head, self.close = log.put_back, log.head, log.close

    def append(self, row: Mapping[str, object]) -> None:
        self._chain.add_row(self._name, row)
        self._log.append(row)
