"""What people are told of a preflight."""

from collections.abc import Iterator

from algoperf.preflight import found
from algoperf.preflight.forecast import Forecast
from algoperf.preflight.found import Found
from algoperf.preflight.probe import Limits, Result
from algoperf.run.progress import duration
from algoperf.workload import WorkloadSpec


def size(num_bytes: int | None) -> str:
    """A number of bytes for people.

    >>> size(3 * 2**29), size(3 * 2**19), size(100), size(None)
    ('1.50 GiB', '1.5 MiB', '0.1 KiB', 'unknown')
    """
    if num_bytes is None:
        return "unknown"
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20)):
        if num_bytes >= factor:
            return (
                f"{num_bytes / factor:.2f} {unit}" if factor == 2**30 else f"{num_bytes / factor:.1f} {unit}"
            )
    return f"{num_bytes / 2**10:.1f} KiB"


def seconds(value: float) -> str:
    """A duration with enough digits, also where it is short.

    >>> seconds(0.01234), seconds(3.21), seconds(250)
    ('12.3 ms', '3.2 s', '4m10s')
    """
    if value < 1:
        return f"{1000 * value:.3g} ms"
    return f"{value:.1f} s" if value < 100 else duration(value)


def lines(spec: WorkloadSpec, result: Result, limits: Limits, forecast: Forecast | None) -> Iterator[str]:
    """All that was found about one submission on one workload."""
    one = result.found
    facts = one.facts
    if one.phases:
        where = "device" if one.phases[-1].device_bytes is not None else "memory"
        peaks = ", ".join(f"{phase.name} {size(phase.peak_bytes)}" for phase in one.phases)
        yield f"  {where}: {peaks}; may take {size(_limit(one, limits))}"
    if facts.params_bytes is not None:
        told = f"  state: {facts.num_params:,} parameters, {size(facts.params_bytes)}"
        if facts.optimizer_bytes is not None:
            times = facts.optimizer_bytes / max(1, facts.params_bytes)
            told += f"; optimizer state {size(facts.optimizer_bytes)}, {times:.1f} times as much"
        if facts.checkpoint_bytes is not None:
            told += f"; checkpoint {size(facts.checkpoint_bytes)}"
        yield told
    if forecast is not None:
        yield (
            f"  time: {seconds(forecast.update_sec)} per update, {seconds(forecast.compile_sec)} more for the first "
            f"(compilation); one evaluation {seconds(forecast.evaluation_sec)}"
        )
        yield f"  whole trial, at most: {trial_text(forecast)}"
    yield from (f"  {line}" for line in problems(spec, result, limits, forecast))


def trial_text(forecast: Forecast) -> str:
    """What a trial takes that goes on to the end of its budget."""
    device = "" if forecast.device_bytes is None else f", {size(forecast.device_bytes)} of the device"
    return (
        f"{duration(forecast.wall_sec)}, {forecast.num_updates:,} updates ({forecast.of_hint:.0%} of the step hint) in "
        f"{duration(forecast.submission_sec)} on the clock, {forecast.num_evaluations} evaluations, "
        f"{size(forecast.host_bytes)} of memory{device}, {size(forecast.disk_bytes)} of disk"
    )


def problems(spec: WorkloadSpec, result: Result, limits: Limits, forecast: Forecast | None) -> Iterator[str]:
    """What keeps the trials of a submission on a workload from running, and what to do; nothing where they run."""
    one = result.found
    if one.status == found.FAILED:
        yield f"FAILS in {one.stopped_in or 'an unknown phase'}: {_one_line(one.error)}"
    elif one.status == found.OUT_OF_MEMORY:
        where, limit = _phase_text(one), size(_limit(one, limits))
        yield f"OUT OF MEMORY: {spec.name} in {where}, of {limit}. {_advice(spec, result)}"
    elif forecast is not None and forecast.host_bytes > limits.host_bytes:
        yield (
            f"OUT OF MEMORY: {spec.name} in its evaluations, whose batches are kept: {size(forecast.host_bytes)}, of "
            f"{size(limits.host_bytes)}. Take a machine with more memory, or fewer --workers."
        )


def notes(spec: WorkloadSpec, forecast: Forecast | None) -> Iterator[str]:
    """What is no problem of running and worth knowing before."""
    if forecast is not None and forecast.of_hint < SLOW_SHARE:
        yield (
            f"note: {spec.name} comes to {forecast.of_hint:.0%} of its step hint here, by which submissions scale "
            "their schedules: targets may be out of reach within the budget on this machine."
        )


SLOW_SHARE = 0.5
"""Of the step hint; less in the whole budget is worth a note."""


def _phase_text(one: Found) -> str:
    facts = one.facts
    if one.stopped_in == found.EVALUATION:
        return f"{one.stopped_in}, with its batch of {facts.eval_batch_size or 'unknown size'}"
    if one.stopped_in in found.OF_BATCH:
        return f"{one.stopped_in}, with batch {facts.batch_size}"
    return f"{one.stopped_in}, before any batch"


def _advice(spec: WorkloadSpec, result: Result) -> str:
    first, smaller = result.found, result.smaller
    if smaller is not None:
        batch, evaluation = smaller.facts.batch_size, smaller.facts.eval_batch_size
        told = []
        if batch != first.facts.batch_size:
            told.append(
                f"Batch {batch} fits ({size(smaller.peak_bytes)}): let get_batch_size({spec.name!r}) return at most "
                "that, or take a machine with more memory."
            )
        if evaluation not in (first.facts.eval_batch_size, spec.eval_batch_size):
            told.append(
                f"An evaluation fits in batches of {evaluation}, and the workload's own are of {spec.eval_batch_size}: "
                "take a machine with more memory."
            )
        return " ".join(told)
    if result.last is not None:
        return (
            f"The smallest does not fit either, {_phase_text(result.last)}: take a machine with more memory."
        )
    return "No batch makes that smaller: take a machine with more memory."


def _limit(one: Found, limits: Limits) -> int | None:
    is_device = any(phase.device_bytes is not None for phase in one.phases)
    return (limits.device_bytes or one.facts.device_total_bytes) if is_device else limits.host_bytes


def _one_line(error: str | None) -> str:
    """The last line of a traceback, which says what went wrong."""
    last = [line.strip() for line in (error or "no word of why").splitlines() if line.strip()][-1]
    return last.removeprefix("UsageError: ").removeprefix("SubmissionError: ")
