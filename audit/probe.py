"""Runs one trial as `submission_runner.py` does, watched: `python -m audit.probe <report.json> <folder> <flags>`.

A process of its own, started by `audit.trial_run`. It shares its process with the submission, so it shows what careless
and honest submissions do; one that hides from it is for a refereed run.
"""

import hashlib
import importlib
import json
import sys
import threading
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from absl import app

from algoperf import frameworks, settings_flags

EVENTS = {
    "open": "opened",
    "subprocess.Popen": "started a process",
    "os.fork": "started a process",
    "os.posix_spawn": "started a process",
    "os.exec": "replaced the process",
    "os.system": "started a process",
    "os.kill": "sent a signal",
    "socket.connect": "opened a connection",
    "socket.bind": "opened a connection",
    "os.remove": "removed",
    "os.rename": "moved",
    "os.mkdir": "made a folder",
    "os.listdir": "listed",
    "os.scandir": "listed",
    "ctypes.dlopen": "loaded a library",
    "gc.get_objects": "looked through memory",
    "gc.get_referrers": "looked through memory",
    "sys.settrace": "set a tracer",
    "sys.setprofile": "set a profiler",
    "sys._getframe": "looked into frames",
    "signal.pthread_kill": "sent a signal",
    "os.putenv": "changed the environment",
}
"""Audit event of Python -> what was done."""
DIRECT = ("sys._getframe", "os.putenv", "gc.get_objects", "gc.get_referrers")
"""Events that count only where the submission itself causes them: libraries do so for reasons of their own."""
OF_FRAMEWORKS = ("importlib", "_dynamo", "_inductor", "jax/_src", "linecache", "traceback", "logging")
"""Parts of file names; what goes on below such a frame is the framework's business, not the submission's."""
ENTRY_POINTS = {
    "torch": (
        "torch.nn.Module",
        "torch.optim.Optimizer",
        "torch.Tensor",
        "torch.autograd",
        "torch.nn.functional",
    ),
    "jax": ("jax", "jax.numpy", "jax.tree", "jax.tree_util", "jax.lax"),
}
MAX_EVENTS = 200


class Watch:
    """What the submission in a folder does."""

    def __init__(self, folder: Path):
        self._folder = str(folder.resolve())
        self._is_busy = False
        self.events: dict[tuple[str, str], int] = {}
        """(what, about what) -> line of the submission."""
        self.threads: set[str] = set()
        """Threads of the submission that were alive at a pause."""
        self.replaced: set[str] = set()
        """Methods of harness objects that are functions of the submission."""

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Python's audit hook."""
        if event not in EVENTS or self._is_busy or len(self.events) >= MAX_EVENTS:
            return
        self._is_busy = True
        try:
            line = self._line(event in DIRECT)
            if line is not None:
                self.events.setdefault((EVENTS[event], _shown(event, arguments)), line)
        finally:
            self._is_busy = False

    def _line(self, is_direct: bool) -> int | None:
        """The line of the submission that an event comes from; None where it comes from others."""
        frame: types.FrameType | None = sys._getframe(2)
        while frame is not None:
            name = frame.f_code.co_filename
            if name.startswith(self._folder):
                return frame.f_lineno
            if is_direct or any(part in name for part in OF_FRAMEWORKS):
                return None
            frame = frame.f_back
        return None

    def at_pause(self, workload: Any) -> None:
        """Looks at threads and at the harness's objects while the clock stands still."""
        frames = sys._current_frames()
        for thread in threading.enumerate():
            frame = frames.get(thread.ident or 0)
            while frame is not None and thread is not threading.main_thread():
                if frame.f_code.co_filename.startswith(self._folder):
                    self.threads.add(thread.name)
                frame = frame.f_back
        for holder in (
            workload,
            workload.evaluator,
            workload.model,
            workload.backend,
            workload.metrics_logger,
        ):
            for name, value in vars(holder).items() if hasattr(holder, "__dict__") else ():
                code = getattr(value, "__code__", None)
                if code is not None and code.co_filename.startswith(self._folder):
                    self.replaced.add(f"{type(holder).__name__}.{name}")


def _shown(event: str, arguments: tuple[Any, ...]) -> str:
    if event == "open" and len(arguments) > 1 and isinstance(arguments[1], str):
        return f"{arguments[0]} ({arguments[1]})"
    return str(arguments[0])[:200] if arguments else ""


def code_hashes(framework: str) -> dict[str, str]:
    """Name -> hash of its code, for functions of the harness, of `time`, and of the framework's entry points."""
    found: dict[str, str] = {}
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] in ("algoperf", "workloads") and isinstance(module, types.ModuleType):
            found.update(_hashes(name, module, depth=1))
    found.update(_hashes("time", importlib.import_module("time"), depth=0))
    for package in frameworks.get(framework).packages:
        for name in ENTRY_POINTS.get(package, ()):
            holder: Any = importlib.import_module(package)
            for part in name.split(".")[1:]:
                holder = getattr(holder, part)
            found.update(_hashes(name, holder, depth=0))
    return found


def _hashes(name: str, holder: Any, depth: int) -> Iterator[tuple[str, str]]:
    for key, value in list(vars(holder).items()):
        plain = getattr(value, "__func__", value)
        plain = getattr(plain, "fget", None) or plain
        if isinstance(plain, types.FunctionType):
            code = plain.__code__
            text = code.co_code + repr((code.co_names, code.co_filename, code.co_firstlineno)).encode()
            yield f"{name}.{key}", hashlib.sha256(text).hexdigest()[:16]
        elif isinstance(plain, types.BuiltinFunctionType):
            yield f"{name}.{key}", f"{plain.__module__}.{plain.__qualname__}"
        elif isinstance(plain, type) and depth and plain.__module__ == name:
            yield from _hashes(f"{name}.{key}", plain, depth=0)


def main(argv: list[str]) -> int:
    """Runs the trial that the flags ask for; writes what was seen, and returns the trial's exit code."""
    report, folder = Path(argv[1]), Path(argv[2])
    from algoperf import registry
    from algoperf.run import clock, runner, session

    given = settings_flags.read()
    for package in frameworks.get(given.framework or "").packages:
        importlib.import_module(package)
    importlib.import_module(
        frameworks.get(given.framework or "").backend
    )  # It may change a thing or two of these.
    registry.get(given.workload or "")
    watch = Watch(folder)
    plain = session.Session.record_evaluation

    def watched(self: session.Session, state: Any, metrics: Mapping[str, float]) -> None:
        watch.at_pause(self.workload)
        plain(self, state, metrics)

    session.Session.record_evaluation = watched  # type: ignore[method-assign]  # Before the hashes are taken.
    before = code_hashes(given.framework or "")
    others = {one.name: one.packages[0] for one in frameworks.FRAMEWORKS if one.name != given.framework}
    sys.addaudithook(watch.hook)
    code = 1
    try:
        code = runner.run(given, clock.Ledger())
    finally:
        watch._is_busy = True
        after = code_hashes(given.framework or "")
        changed = sorted(name for name in before if after.get(name, "") != before[name])
        seen = {
            "events": [[what, about, line] for (what, about), line in watch.events.items()],
            "threads": sorted(watch.threads),
            "patched": sorted({*changed, *watch.replaced}),
            "other_frameworks": sorted(name for name, package in others.items() if package in sys.modules),
            "exit_code": code,
        }
        report.write_text(json.dumps(seen))
    return code


if __name__ == "__main__":
    settings_flags.define()
    app.run(lambda argv: sys.exit(main(argv)))
