"""How long taking the state for a checkpoint may last off the clock: what goes beyond is submission time (R6.24).

To take the state, code of the submission may have to run: `state_dict`, `__getstate__`, `__reduce__`, functions that
flatten its own containers. So the time is limited by what taking as many bytes lasts without a submission. That is
measured in set-up, on the machine of the run, before the submission has seen anything.
"""

import statistics
import time
from dataclasses import dataclass

from algoperf.backends.base import Backend
from algoperf.bound_workload import Workload
from algoperf.run.state import TrialState

# Bound before any submission is imported, as the clock's are.
_now_ns, _cpu_ns = time.perf_counter_ns, time.process_time_ns

REPEATS = 3
MAX_STATE_BYTES = 64 * 2**20
"""Size of the state that is made up for measuring; a larger one takes as long per byte."""
FACTOR = 1.5
"""On the measured time."""
PERIODS = 0.01
"""Seconds on top of that, for a second between evaluations: what does not depend on sizes, such as small objects."""
MAX_SEC = 0.1
"""At most so many on top."""


@dataclass(frozen=True)
class StateSpeed:
    """How fast the state of a run is taken."""

    seconds: float
    num_bytes: int
    """That were taken in that time."""

    def allowed_sec(self, num_bytes: int, eval_period_sec: float) -> float:
        """Seconds off the clock for so many bytes.

        >>> round(StateSpeed(seconds=0.2, num_bytes=1000).allowed_sec(2000, eval_period_sec=5), 6)
        0.65
        """
        measured = self.seconds * max(1.0, num_bytes / max(1, self.num_bytes))
        return FACTOR * measured + min(MAX_SEC, PERIODS * eval_period_sec)


class Stopwatch:
    """How long something takes; on a CPU at most its processor time, of which a busy machine does not make more.

    Args:
      backend: of the run.
    """

    def __init__(self, backend: Backend):
        self._backend = backend
        self._start_ns, self._start_cpu_ns = _now_ns(), _cpu_ns()

    def used_sec(self) -> float:
        """Seconds since the start, work in the device's queue included."""
        self._backend.wait()
        wall_ns, cpu_ns = _now_ns() - self._start_ns, _cpu_ns() - self._start_cpu_ns
        return (min(wall_ns, cpu_ns) if self._backend.platform() == "cpu" else wall_ns) / 1e9


def measured(workload: Workload, state: TrialState) -> StateSpeed:
    """How fast parameters and the state of a common optimizer are taken; called by all processes together.

    Args:
      workload: the bound workload.
      state: of a trial whose optimizer state is not made yet.
    """
    backend, params, model_state = workload.backend, state.params, state.model_state
    arrays, num_bytes = {}, 0
    for name, array in workload.model.weights(params, model_state).items():
        if num_bytes + array.nbytes <= MAX_STATE_BYTES // 2:  # It has two of each.
            arrays[name], num_bytes = array, num_bytes + array.nbytes
    example = backend.example_state(arrays)
    seconds, size = [], 0
    for _ in range(1 + REPEATS):
        watch = Stopwatch(backend)
        size = backend.saved_bytes(backend.save(params, model_state, example))
        seconds.append(watch.used_sec())
    return StateSpeed(statistics.median(seconds[1:]), size)  # The first one imports and compiles.
