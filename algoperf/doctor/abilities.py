"""What this machine can run, and about how long: by the budgets of suites and its measured speed."""

import dataclasses
from collections.abc import Iterator, Sequence

from algoperf import host_limits, registry, suites
from algoperf.doctor.line import ABILITIES, Line, Mark
from algoperf.doctor.software import State

SHOWN = ("demo", "mini_quick", "mini")
"""Small suites, smallest first; the full-size one is `suites.FULL_SIZE`."""
OVERHEAD = 1.3
"""Wall time over budgets: start, compilation and evaluations, as campaigns reckon before they have measured."""
MINI_PEAK = 50e9
"""Operations per second of a float32 product of matrices on the machine on which budgets of small workloads were set:
one core for each run (docs/mini_calibration.md), and both cores of it came to 92 to 115 GFLOP/s (docs/referee.md)."""
SLOW = 0.5
"""Of that, for each worker; below it targets may be out of reach within the budget."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """A suite under a ruleset, as one submission runs it."""

    suite: str
    ruleset: str
    num_workloads: int
    num_trials: int
    """Over all workloads and studies."""
    budget_sec: float
    """Of all of them, on the submission clock."""


def plan(name: str, ruleset: str = "self") -> Plan:
    """What a submission runs under a suite."""
    suite = suites.load(name)
    rules = suite.ruleset(ruleset)
    each = rules.num_studies * rules.num_trials
    names = suite.scored_names()
    return Plan(
        suite=name,
        ruleset=ruleset,
        num_workloads=len(names),
        num_trials=each * len(names),
        budget_sec=each * sum(suite.budget_sec(one, ruleset) for one in names),
    )


def is_small(workload: str) -> bool:
    """Whether a workload is meant for a machine without accelerators."""
    spec = registry.get(workload)
    return spec.is_mini or not registry.data_module(spec).NEEDS_FILES


def best(states: Sequence[State]) -> State | None:
    """The framework that this machine computes fastest in; None where none works."""
    working = [state for state in states if state.works]
    return max(working, key=lambda state: (state.looked and state.looked.peak_per_sec) or 0.0, default=None)


def lines(states: Sequence[State]) -> Iterator[Line]:
    """The speed of this machine, then suites with how long they take at most."""
    fastest = best(states)
    if fastest is None:
        words = "nothing: no framework works"
        installs = " or ".join(state.install for state in states)
        yield Line(group=ABILITIES, name="trials", mark=Mark.FAIL, words=words, next_step=installs)
        return
    assert fastest.looked is not None
    peak, on_gpu = fastest.looked.peak_per_sec or 0.0, fastest.looked.platform == "gpu"
    workers = 1 if on_gpu else max(1, int(host_limits.cores()))
    yield _speed(fastest, peak, workers, on_gpu)
    for name in SHOWN:
        yield _small(name, workers)
    yield _full_size(on_gpu)


def _speed(state: State, peak: float, workers: int, on_gpu: bool) -> Line:
    assert state.looked is not None
    words = f"{speed_text(peak)} in {state.framework.name} on {state.looked.device}"
    share = peak / workers / MINI_PEAK
    if on_gpu:
        return Line(group=ABILITIES, name="speed", mark=Mark.OK, words=words)
    words += f"; a core has {share:.1f} times the speed at which mini budgets were set"
    if share >= SLOW:
        return Line(group=ABILITIES, name="speed", mark=Mark.OK, words=words)
    step = "mini targets may be out of reach in the budgets: try --preflight, compare by updates"
    return Line(group=ABILITIES, name="speed", mark=Mark.WARN, words=words, next_step=step)


def _small(name: str, workers: int) -> Line:
    texts = []
    for ruleset in ("self", "external"):
        if ruleset in suites.load(name).rulesets:
            one = plan(name, ruleset)
            seconds = OVERHEAD * one.budget_sec
            trials = "trial" if one.num_trials == 1 else "trials"
            told = f"{ruleset} {one.num_trials} {trials}, {hours(seconds)}"
            texts.append(
                told + (f", {hours(seconds / workers)} with --workers={workers}" if workers > 1 else "")
            )
    return Line(group=ABILITIES, name=name, mark=Mark.OK, words=f"at most: {'; '.join(texts)}")


def _full_size(on_gpu: bool) -> Line:
    name = suites.FULL_SIZE
    one = plan(name)
    words = f"self: {one.num_trials} trials, budgets of {hours(one.budget_sec)} in all. {suites.load(name).description}"
    if on_gpu:
        return Line(group=ABILITIES, name=name, mark=Mark.OK, words=words)
    step = "nothing on processors alone; the mini suites are its small twins"
    return Line(group=ABILITIES, name=name, mark=Mark.NONE, words=words, next_step=step)


def hours(seconds: float) -> str:
    """A long duration for people.

    >>> hours(90), hours(5400), hours(10 * 86400)
    ('2 min', '1.5 h', '10 days')
    """
    if seconds < 3600:
        return f"{max(1, round(seconds / 60))} min"
    return f"{seconds / 3600:.1f} h" if seconds < 4 * 86400 else f"{seconds / 86400:.0f} days"


def speed_text(per_sec: float) -> str:
    """Operations per second for people.

    >>> speed_text(1.04e11), speed_text(7.5e14)
    ('104 GFLOP/s', '750 TFLOP/s')
    """
    return f"{per_sec / 1e9:.0f} GFLOP/s" if per_sec < 1e13 else f"{per_sec / 1e12:.0f} TFLOP/s"
