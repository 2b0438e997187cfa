"""The frameworks: whether they are installed, in the versions that are supported, and can be imported."""

import dataclasses
import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator

from packaging.requirements import Requirement

from algoperf import frameworks
from algoperf.doctor.line import FRAMEWORKS, Line, Mark
from algoperf.frameworks import Framework
from algoperf.typed_json import typed

TIMEOUT_SEC = 180.0
"""Of an import: on a cold network disk it takes a minute."""
DISTRIBUTION = "algoperf"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Looked:
    """What a process that imports a framework has said."""

    error: str | None = None
    platform: str | None = None
    """'cpu', 'gpu' or what the framework calls it."""
    device: str | None = None
    cuda: str | None = None
    """See `Launch.cuda_of_build`."""
    import_sec: float | None = None
    peak_per_sec: float | None = None
    """Operations of a product of matrices per second."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class State:
    """Of one framework."""

    framework: Framework
    missing: tuple[str, ...] = ()
    """Packages that are not installed."""
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    out_of_range: tuple[str, ...] = ()
    """Packages whose version is not supported, with it and the range."""
    looked: Looked | None = None
    """None where packages are missing."""

    @property
    def works(self) -> bool:
        """Whether it can be imported."""
        return self.looked is not None and self.looked.error is None

    @property
    def install(self) -> str:
        """The command that installs it."""
        return f"pip install '{DISTRIBUTION}[{self.framework.extra}]'"


def states() -> list[State]:
    """Of all frameworks; takes a few seconds for each that is installed."""
    return [_state(framework) for framework in frameworks.FRAMEWORKS]


def _state(framework: Framework) -> State:
    missing = tuple(framework.missing_packages())
    versions = {}
    for name in framework.recorded:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return State(
        framework=framework,
        missing=missing,
        versions=versions,
        out_of_range=tuple(_out_of_range(framework, versions)),
        looked=None if missing else look(framework.name),
    )


def _out_of_range(framework: Framework, versions: dict[str, str]) -> Iterator[str]:
    for wanted in requirements(framework.extra):
        found = versions.get(wanted.name)
        if found is not None and not wanted.specifier.contains(found, prereleases=True):
            yield f"{wanted.name} {found}, not {wanted.specifier}"


def requirements(extra: str | None) -> list[Requirement]:
    """What this package needs, by its own metadata: by itself, or with an extra; empty where it is not installed."""
    try:
        said = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    every = [Requirement(text) for text in said]
    if extra is None:
        return [one for one in every if one.marker is None or one.marker.evaluate({"extra": ""})]
    return [
        one
        for one in every
        if one.marker is not None
        and one.marker.evaluate({"extra": extra})
        and not one.marker.evaluate({"extra": ""})
    ]


def look(name: str) -> Looked:
    """What a process says that imports a framework."""
    command = [sys.executable, "-m", "algoperf.doctor.framework_probe", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SEC, check=False)
        return typed(Looked, json.loads(done.stdout))
    except subprocess.TimeoutExpired:
        return Looked(error=f"importing it took longer than {TIMEOUT_SEC:.0f} s")
    except ValueError:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        how = f"signal {-done.returncode}" if done.returncode < 0 else last[0]
        return Looked(error=f"importing it ended the process: {how}")


def lines(found: Iterable[State]) -> Iterator[Line]:
    """One for each framework, and one for other packages where some are missing."""
    for state in found:
        yield _line(state)
    wrong = list(_other_packages())
    if wrong:
        yield Line(
            group=FRAMEWORKS,
            name="packages",
            mark=Mark.FAIL,
            words=", ".join(wrong),
            next_step=f"pip install -U '{DISTRIBUTION}'",
        )


def _line(state: State) -> Line:
    name = state.framework.name
    if state.missing:
        words = f"not installed: {', '.join(state.missing)}"
        return Line(group=FRAMEWORKS, name=name, mark=Mark.NONE, words=words, next_step=state.install)
    looked = state.looked
    assert looked is not None
    versions = ", ".join(f"{package} {version}" for package, version in state.versions.items())
    if looked.error is not None:
        words = f"{versions}: cannot be used, {looked.error}"
        return Line(group=FRAMEWORKS, name=name, mark=Mark.WARN, words=words, next_step=state.install)
    words = f"{versions}, on {looked.device}, imported in {looked.import_sec or 0:.1f} s"
    if state.out_of_range:
        words += f"; not supported: {'; '.join(state.out_of_range)}"
        return Line(group=FRAMEWORKS, name=name, mark=Mark.WARN, words=words, next_step=state.install)
    return Line(group=FRAMEWORKS, name=name, mark=Mark.OK, words=words)


def _other_packages() -> Iterator[str]:
    """What every installation needs and this one has not, or in another version."""
    for wanted in requirements(None):
        try:
            version = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            yield f"{wanted.name} is not installed"
            continue
        if not wanted.specifier.contains(version, prereleases=True):
            yield f"{wanted.name} {version}, not {wanted.specifier}"
