"""Training steps on cores that others use, too, by how threads wait and how many there are.

  python benchmarks/busy_cores.py --workload=digits --turn_steps=200

Each row is a process of its own with the same steps, free and beside as many busy processes as there are cores, in
turn: the ratio of the two medians is what neighbours cost, and the free column what a way of waiting costs on its own.
Takes about three minutes on two cores. Leave the machine alone meanwhile.
"""

import contextlib
import dataclasses
import importlib
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence

from absl import flags

from algoperf import backends, commands, frameworks, machine

# The script beside this one, which defines --framework, --workload, --algorithm and --data_dir, too.
harness_overhead = importlib.import_module("harness_overhead")

FLAGS = flags.FLAGS
flags.DEFINE_integer("turn_steps", 200, "Steps per turn.")
flags.DEFINE_integer("turns", 3, "Turns on free and on busy cores, each; the median counts.")
flags.DEFINE_boolean("child", False, "For the script itself: steps a framework whenever a line comes in.")

SPIN = "while True: pass"


@dataclasses.dataclass(frozen=True)
class Setting:
    """One row: variables that the process is started with."""

    text: str
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict)
    is_of_openmp: bool = False
    """Whether it says nothing to a framework whose threads are not OpenMP's."""


SETTINGS = (
    Setting("as runs are"),
    # A variable that another OpenMP reads: the launch module then leaves waiting to the user, and the library spins.
    Setting("threads spin, the library's default", {"KMP_BLOCKTIME": "200"}, is_of_openmp=True),
    Setting("OMP_WAIT_POLICY=PASSIVE", {"OMP_WAIT_POLICY": "PASSIVE"}, is_of_openmp=True),
    Setting("GOMP_SPINCOUNT=0", {"GOMP_SPINCOUNT": "0"}, is_of_openmp=True),
    Setting("GOMP_SPINCOUNT=3000", {"GOMP_SPINCOUNT": "3000"}, is_of_openmp=True),
    Setting("GOMP_SPINCOUNT=100000", {"GOMP_SPINCOUNT": "100000"}, is_of_openmp=True),
    Setting("one thread", {"OMP_NUM_THREADS": "1", "PJRT_NPROC": "1"}),
)
VARIABLES = {name for setting in SETTINGS for name in setting.variables} | {"OMP_WAIT_POLICY"}


class Child:
    """A process that makes a turn of steps whenever it is asked."""

    def __init__(self, framework: str, setting: Setting):
        own = {name: value for name, value in os.environ.items() if name not in VARIABLES}
        same = (FLAGS["workload"], FLAGS["algorithm"], FLAGS["turn_steps"], FLAGS["data_dir"])
        arguments = [f"--{flag.name}={flag.value}" for flag in same if flag.value is not None]
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--child", f"--framework={framework}", *arguments],
            env={**own, **setting.variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def turn(self) -> float:
        """Seconds of one turn; the first one compiles."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print("go", file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate("")


@contextlib.contextmanager
def busy_neighbours(count: int) -> Iterator[None]:
    """Within, so many other processes compute without pause."""
    started = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(count)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def measure(framework: str, setting: Setting, turns: int) -> tuple[float, float]:
    """(free, busy): median seconds of a turn."""
    child = Child(framework, setting)
    try:
        child.turn()
        free, busy = [], []
        for _ in range(turns):
            free.append(child.turn())
            with busy_neighbours(machine.num_cores()):
                busy.append(child.turn())
    finally:
        child.close()
    return statistics.median(free), statistics.median(busy)


def serve() -> None:
    """What a child does: a turn of steps and a line with its seconds for each line that comes in."""
    stepper = harness_overhead.Stepper(FLAGS.framework, FLAGS.workload, FLAGS.algorithm, 16, FLAGS.data_dir)
    for _ in sys.stdin:
        print(stepper.bare(FLAGS.turn_steps)[0], flush=True)


def main(argv: Sequence[str]) -> None:
    del argv
    if FLAGS.child:
        serve()
        return
    print(f"{FLAGS.turn_steps} steps of {FLAGS.workload}, {machine.num_cores()} cores, seconds")
    print(f"{'framework':10s} {'setting':38s} {'free':>7s} {'busy':>7s} {'ratio':>6s}")
    for framework in frameworks.FRAMEWORKS:
        if framework.missing_packages():
            continue
        uses_openmp = hasattr(backends.launch(framework.name), "WAITING")
        for setting in SETTINGS:
            if uses_openmp or not setting.is_of_openmp:
                free, busy = measure(framework.name, setting, FLAGS.turns)
                print(
                    f"{framework.name:10s} {setting.text:38s} {free:7.2f} {busy:7.2f} {busy / free:6.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    commands.run(main)
