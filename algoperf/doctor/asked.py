"""Whether what somebody wants to do will work: `--for=mini,torch`."""

import dataclasses
import importlib.util
import shutil
from collections.abc import Iterator, Sequence

from algoperf import frameworks, registry, suites
from algoperf.confinement.means import Finding
from algoperf.data.locate import dataset_name
from algoperf.doctor import abilities, confined
from algoperf.doctor.data_sets import DataSet
from algoperf.doctor.devices import Gpus, hindrance, why_unused
from algoperf.doctor.line import ASKED, Line, Mark
from algoperf.doctor.software import State
from algoperf.spec import no_such


@dataclasses.dataclass(frozen=True, kw_only=True)
class Engine:
    """What an engine of campaigns needs."""

    package: str | None = None
    extra: str | None = None
    programs: tuple[str, ...] = ()


ENGINES = {
    "local": Engine(),
    "ray": Engine(package="ray", extra="ray"),
    "slurm": Engine(package="submitit", extra="slurm", programs=("sbatch", "squeue")),
    "files": Engine(),
}
CONFINED, GPU = "confinement", "gpu"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wanted:
    """What was asked, in kinds."""

    workloads: tuple[str, ...] = ()
    frameworks: tuple[str, ...] = ()
    """By their own names."""
    engines: tuple[str, ...] = ()
    confinement: bool = False
    gpu: bool = False

    def __bool__(self) -> bool:
        return any(getattr(self, field.name) for field in dataclasses.fields(self))


def wanted(words: Sequence[str]) -> Wanted:
    """What the words of --for mean.

    Raises:
      UsageError: for a word that means nothing; names the nearest.
    """
    aliases = {alias: one.name for one in frameworks.FRAMEWORKS for alias in (one.name, *one.aliases)}
    found: dict[str, list[str]] = {"workloads": [], "frameworks": [], "engines": []}
    for word in words:
        if word in (CONFINED, GPU):
            continue
        if word in aliases:
            found["frameworks"].append(aliases[word])
        elif word in ENGINES:
            found["engines"].append(word)
        elif suites.is_file(word) or word in suites.names():
            found["workloads"] += suites.load(word).scored_names()
        elif word in registry.names():
            found["workloads"].append(word)
        else:
            choices = [*suites.names(), *aliases, *ENGINES, CONFINED, GPU, *registry.names()]
            kinds = (
                f"suites ({', '.join(suites.names())}), frameworks ({', '.join(aliases)}), engines "
                f"({', '.join(ENGINES)}), {CONFINED}, {GPU}, and workloads, which `python -m algoperf.registry` lists"
            )
            raise no_such("part of --for", word, choices, kinds)
    unique = {name: tuple(dict.fromkeys(values)) for name, values in found.items()}
    return Wanted(**unique, confinement=CONFINED in words, gpu=GPU in words)


def lines(
    asked: Wanted,
    states: Sequence[State],
    gpus: Gpus,
    sets: Sequence[DataSet],
    findings: Sequence[Finding],
) -> Iterator[Line]:
    """A line for each part of what was asked."""
    if not asked:
        return
    chosen = [state for state in states if state.framework.name in asked.frameworks]
    if not chosen and (asked.workloads or asked.gpu):
        best = abilities.best(states)
        chosen = [best] if best else []
        if best is None:
            installs = " or ".join(state.install for state in states)
            yield _fail("frameworks", "none works", installs)
    for state in chosen:
        yield _framework(state)
    for state in chosen if asked.gpu else ():
        yield _gpu(state, gpus)
    if asked.workloads:
        yield from _workloads(asked.workloads, chosen, sets)
    for name in asked.engines:
        yield _engine(name)
    if asked.confinement:
        yield _confinement(findings)


def _framework(state: State) -> Line:
    name = state.framework.name
    if state.missing:
        return _fail(name, f"not installed: {', '.join(state.missing)}", state.install)
    if not state.works:
        return _fail(name, f"cannot be imported: {state.looked and state.looked.error}", state.install)
    if state.out_of_range:
        words = f"not supported: {'; '.join(state.out_of_range)}"
        return Line(group=ASKED, name=name, mark=Mark.WARN, words=words, next_step=state.install)
    return _ok(name, "works")


def _gpu(state: State, gpus: Gpus) -> Line:
    name = f"{GPU} in {state.framework.name}"
    if state.looked is not None and state.looked.platform == "gpu":
        return _ok(name, state.looked.device or "works")
    if not (gpus.num_cards or gpus.files or gpus.driver):
        return _fail(name, "this machine has no NVIDIA GPU", "take one that has")
    why = hindrance(gpus) or why_unused(gpus, state) or ("the framework does not work", state.install)
    return _fail(name, why[0], why[1])


def _workloads(names: Sequence[str], chosen: Sequence[State], sets: Sequence[DataSet]) -> Iterator[Line]:
    data = {one.name: one for one in sets}
    good = []
    for name in names:
        spec = registry.get(name)
        problems = [_no_model(name, state) for state in chosen]
        problems.append(_too_slow(name, chosen))
        one = data[dataset_name(spec)]
        if not one.is_usable:
            where = "" if one.folder is None else f" in {one.folder}"
            problems.append((f"data are {one.condition}{where}", one.next_step or "see datasets/README.md"))
        wrong = [problem for problem in problems if problem is not None]
        for words, step in wrong:
            yield _fail(name, words, step)
        if not wrong:
            good.append(name)
    if good:
        yield _ok("workloads", ", ".join(good))


def _no_model(name: str, state: State) -> tuple[str, str] | None:
    if registry.has_model(registry.get(name), state.framework.name):
        return None
    return f"has no model in {state.framework.name}", "use another framework"


def _too_slow(name: str, chosen: Sequence[State]) -> tuple[str, str] | None:
    slow = [one.framework.name for one in chosen if one.looked is not None and one.looked.platform == "cpu"]
    if not slow or abilities.is_small(name):
        return None
    budget = abilities.hours(registry.get(name).max_allowed_runtime_sec)
    words = f"is full size, with a budget of {budget} on several GPUs; here {' and '.join(slow)} run on processors"
    twin = f"{name}_mini"
    instead = f"use {twin}, its small twin" if twin in registry.names() else "use a small workload"
    return words, f"{instead}, or a machine with GPUs; --preflight says how slow it is"


def _engine(name: str) -> Line:
    needs = ENGINES[name]
    if needs.package is not None and importlib.util.find_spec(needs.package) is None:
        words = f"package {needs.package} is not installed"
        return _fail(name, words, f"pip install 'algoperf[{needs.extra}]'")
    missing = [program for program in needs.programs if shutil.which(program) is None]
    if missing:
        return _fail(
            name, f"no {' and no '.join(missing)} here", "start the command on a machine of the cluster"
        )
    return _ok(name, "works" if name != "files" else "writes files; the cluster itself is not looked at")


def _confinement(findings: Sequence[Finding]) -> Line:
    missing = [one.means for one in findings if not one.held]
    if missing:
        return _fail(CONFINED, f"missing: {', '.join(missing)}", confined.NEXT_STEP)
    return _ok(CONFINED, "all means hold")


def _ok(name: str, words: str) -> Line:
    return Line(group=ASKED, name=name, mark=Mark.OK, words=words)


def _fail(name: str, words: str, next_step: str) -> Line:
    return Line(group=ASKED, name=name, mark=Mark.FAIL, words=words, next_step=next_step)
