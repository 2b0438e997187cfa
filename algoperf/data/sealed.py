"""Mini workloads on data of a secret seed: checks, makes the data, and keeps the seed out of what trains.

Data are made by the process that is given the seed (`settled`, `make_ready`). From then on there is only its sealed
form, which names the folder: settings, records, and command lines of children have that, and a process that has been
started with a seed replaces itself by one without (`start_again`).
"""

import dataclasses
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from algoperf import data_seed, registry
from algoperf.data import locate
from algoperf.data_seed import DataSeed
from algoperf.settings import RunSettings
from algoperf.spec import UsageError
from algoperf.workload import WorkloadSpec

FLAG = "data_seed"


def with_data(spec: WorkloadSpec, given: str | None) -> WorkloadSpec:
    """The workload on the data that the setting --data_seed means.

    Raises:
      UsageError: if it has no data of other seeds.
    """
    seed = data_seed.parse(given)
    return spec if seed is None else of_seed(spec, seed)


def of_seed(spec: WorkloadSpec, seed: DataSeed) -> WorkloadSpec:
    """The workload on the data of a seed.

    Raises:
      UsageError: if it has no data of other seeds.
    """
    if not spec.is_mini:
        raise UsageError(
            f"--data_seed makes the data of a mini workload anew; {spec.name!r} has data that were collected. Leave it "
            "out, or choose a workload whose name ends in _mini."
        )
    if not registry.data_module(spec).RESEEDS:
        raise UsageError(
            f"--data_seed: the data of workload {spec.name!r} cannot be made from another seed (its data.py does not "
            "say RESEEDS = True). Leave it out, or choose another mini workload."
        )
    return dataclasses.replace(spec, data_instance=seed.instance)


def make_ready(
    spec: WorkloadSpec, seed: DataSeed, data_dir: str | Path | None, progress: bool = True
) -> Path:
    """The folder with the data of a seed, which are made where they are missing.

    Raises:
      UsageError: if it has no data of other seeds.
    """
    return locate.ready_folder(of_seed(spec, seed), data_dir, progress, seed.entropy)


def settled(settings: RunSettings, workloads: Iterable[str], makes_data: bool = True) -> RunSettings:
    """The settings with the sealed form of their seed, once the data are there.

    Args:
      settings: of the command.
      workloads: names of those that it runs.
      makes_data: False only seals.

    Raises:
      UsageError: if one of the workloads has no data of other seeds.
    """
    given = settings.data_seed or (None if settings.reproduce else os.environ.get(data_seed.VARIABLE))
    seed = data_seed.parse(given)
    if seed is None:
        return dataclasses.replace(settings, data_seed=None) if settings.data_seed else settings
    if settings.reproduce:
        raise UsageError(
            "--data_seed means nothing beside --reproduce, which takes the data of the stored trial: leave it out. "
            "Data that are missing here are made by datasets/dataset_setup.py --data_seed=<seed>."
        )
    specs = [registry.get(name) for name in workloads]
    for spec in specs:  # All, before the first is made.
        of_seed(spec, seed)
    if seed.entropy is not None:
        assert given is not None
        if data_seed.is_guessable(given) and not settings.quiet:
            print(
                "note: whoever knows the records finds so short a data seed by trying; a random one: "
                "python -m algoperf.data_seed",
                file=sys.stderr,
            )
        if makes_data:
            for spec in specs:
                make_ready(spec, seed, settings.data_dir, not settings.quiet)
    return dataclasses.replace(settings, data_seed=seed.setting)


def start_again(settings: RunSettings) -> None:
    """Where this process was started with a seed: puts one in its place that has only the sealed form.

    Nobody finds the seed then in the command line or the environment of a process that trains, or of its parent.

    Args:
      settings: from `settled`.
    """
    arguments, given = without_flag(sys.orig_argv[1:], FLAG)
    inherited = os.environ.pop(data_seed.VARIABLE, None)
    if settings.data_seed is not None and (inherited is not None or data_seed.is_secret(given)):
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, *arguments, f"--{FLAG}={settings.data_seed}"])


def without_flag(arguments: Iterable[str], name: str) -> tuple[list[str], str]:
    """(arguments without the flag, its last value; '' where it is not given).

    >>> without_flag(["run.py", "--data_seed=7", "--study=1"], "data_seed")
    (['run.py', '--study=1'], '7')
    >>> without_flag(["run.py", "-data_seed", "7"], "data_seed")
    (['run.py'], '7')
    """
    kept: list[str] = []
    value = ""
    todo = iter(arguments)
    for argument in todo:
        flag, has_value, own = argument.partition("=")
        if flag not in (f"--{name}", f"-{name}"):
            kept.append(argument)
        else:
            value = own if has_value else next(todo, "")
    return kept, value
