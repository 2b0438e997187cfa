"""The machine: Python, processors, memory, disk, clock."""

import os
import platform
import re
import shutil
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from algoperf import files, host_limits, machine
from algoperf.data import locate
from algoperf.doctor.line import SYSTEM, Line, Mark
from algoperf.spec import UsageError

LEAST_PYTHON = (3, 11)
TESTED_PYTHON = (3, 12)
"""The newest that the project is tested with."""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "PJRT_NPROC", "XLA_FLAGS")
"""Variables by which users change how many threads compute."""
LEAST_MEMORY = 2 * 2**30
"""Bytes; trials of the mini suite take 0.3 to 1.5 GiB."""
LEAST_DISK = 2 * 2**30
"""Bytes; the data of all mini workloads take about 1 GiB."""
LEAST_RESULTS = 2**30
COARSE_SEC = 1e-6
"""Resolution of a clock above which short steps are told apart badly."""
STOLEN_PERCENT = 2.0
"""Of a machine's time; above it other machines on the same hardware make times vary."""
BUSY_PERCENT = 40.0
WATCH_SEC = 0.3


def lines(data_dir: str | None, results: str) -> Iterator[Line]:
    """All about the machine.

    Args:
      data_dir: of the data; None for the default.
      results: folder in which results are to be written.
    """
    yield _python()
    yield _cores()
    yield from _threads()
    yield _load()
    yield _memory()
    yield from _disk("data", data_dir, LEAST_DISK)
    yield from _disk("results", results, LEAST_RESULTS)
    yield _clock()


def _line(name: str, mark: Mark, words: str, next_step: str | None = None) -> Line:
    return Line(group=SYSTEM, name=name, mark=mark, words=words, next_step=next_step)


def _python() -> Line:
    words = f"{platform.python_version()}, {platform.system()} {platform.machine()}, {sys.executable}"
    if sys.version_info[:2] > TESTED_PYTHON:
        newest = ".".join(map(str, TESTED_PYTHON))
        step = f"use Python {newest} if something fails: newer ones are not tested"
        return _line("python", Mark.WARN, words, step)
    if platform.system() != "Linux":
        return _line("python", Mark.WARN, words, "referee, confinement and memory limits need Linux")
    return _line("python", Mark.OK, words)


def _cores() -> Line:
    usable, there, quota = machine.num_cores(), os.cpu_count() or 1, host_limits.cpu_quota()
    words = f"{usable} of {there}" if usable < there else f"{there}"
    if quota is not None and quota < usable:
        words += f", of whose time a control group allows {quota:g}"
        step = (
            "frameworks start a thread per core and are stopped in turn, which makes times vary: give the container "
            "whole cores (--cpuset-cpus), or use taskset"
        )
        return _line("cores", Mark.WARN, words, step)
    reason = " (affinity of this process)" if usable < there else ""
    model = _cpu_model()
    return _line("cores", Mark.OK, f"{words}{reason}{f', {model}' if model else ''}")


def _cpu_model() -> str | None:
    try:
        found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        return None
    return found and found[1].strip()


def _threads() -> Iterator[Line]:
    said = {name: os.environ[name] for name in THREADS if os.environ.get(name)}
    words = ", ".join(f"{name}={value}" for name, value in said.items())
    first = said.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if first.isdecimal() and int(first) != machine.num_cores():
        step = "unset OMP_NUM_THREADS for one thread per core, unless you want it so"
        yield _line("threads", Mark.WARN, words, step)
    else:
        yield _line("threads", Mark.OK, words or "one per core")


def _load() -> Line:
    before = psutil.cpu_times()
    busy = psutil.cpu_percent(interval=WATCH_SEC)
    after = psutil.cpu_times()
    stolen = _share(before, after)
    if busy >= BUSY_PERCENT:
        step = "end them before you measure: times are not comparable with those of a free machine"
        return _line("load", Mark.WARN, f"other processes use {busy:.0f} % of the processors", step)
    if stolen is not None and stolen >= STOLEN_PERCENT:
        step = "times vary with what others do on this hardware: compare by updates, or take a machine of your own"
        return _line("load", Mark.WARN, f"{stolen:.0f} % of the time goes to other virtual machines", step)
    return _line(
        "load", Mark.OK, f"{busy:.0f} % busy" + ("" if stolen is None else f", {stolen:.0f} % stolen")
    )


def _share(before: Any, after: Any) -> float | None:
    """Percent of the time between two readings that a hypervisor gave to others; None where it does not say."""
    if not hasattr(before, "steal"):
        return None
    total = sum(after) - sum(before)
    return 100 * (after.steal - before.steal) / total if total > 0 else None


def _memory() -> Line:
    found = host_limits.memory()
    words = f"{_gib(found.available)} free of {_gib(found.total)}" + (
        ", the limit of a control group" if found.is_limited else ""
    )
    if found.available < LEAST_MEMORY:
        return _line("memory", Mark.WARN, words, "mini workloads take up to 1.5 GiB each: free some")
    return _line("memory", Mark.OK, words)


def _disk(name: str, given: str | None, least: int) -> Iterator[Line]:
    try:
        folder = locate.root(given) if name == "data" else files.expanded(given or ".")
        folder = folder.absolute()
    except UsageError as error:
        yield _line(f"{name} folder", Mark.FAIL, str(error))
        return
    there = next(one for one in (folder, *folder.parents) if one.exists())
    free = shutil.disk_usage(there).free
    words = f"{folder}, {_gib(free)} free" + ("" if there == folder else ", made when it is needed")
    flag = "--data_dir" if name == "data" else "--experiment_dir"
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        step = f"nothing can be written there: give another folder with {flag}"
        # Data that are all there are only read.
        yield _line(f"{name} folder", Mark.WARN if name == "data" else Mark.FAIL, words, step)
    elif free < least:
        yield _line(f"{name} folder", Mark.WARN, words, f"free some, or give another folder with {flag}")
    else:
        yield _line(f"{name} folder", Mark.OK, words)


def _clock() -> Line:
    step = _resolution_sec()
    source = _text("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    words = f"{step * 1e9:.0f} ns between readings" + (f", source {source}" if source else "")
    virtual = _virtual()
    words += f", on a virtual machine{virtual}" if virtual is not None else ""
    if step > COARSE_SEC:
        told = "short updates are timed badly: switch the kernel to a faster clock (clocksource=tsc)"
        return _line("clock", Mark.WARN, words, told)
    return _line("clock", Mark.OK, words)


def _resolution_sec() -> float:
    """The median difference of two readings of the clock that trials use, the least that can be told apart."""
    readings = [time.perf_counter_ns() for _ in range(2001)]
    differences = [after - before for before, after in zip(readings, readings[1:], strict=False)]
    return statistics.median(difference for difference in differences if difference > 0) * 1e-9


def _virtual() -> str | None:
    """'' or its maker in parentheses on a virtual machine; None on another, or where none can say."""
    try:
        if "hypervisor" not in Path("/proc/cpuinfo").read_text().partition("\n\n")[0].split():
            return None
    except OSError:
        return None
    name = _text("/sys/class/dmi/id/sys_vendor") or _text("/sys/hypervisor/type")
    return f" ({name})" if name else ""


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:.1f} GiB"
