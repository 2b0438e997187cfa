"""The procedures on stored sweeps, below their flags; other programs call `run` with a `Config`."""

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

from algoperf.spec import UsageError, no_such
from scoring import archive
from target_setting.discovery import Procedure, discover
from target_setting.outcome import Outcome, write
from target_setting.selection import Selection
from target_setting.sweep import ANALYSIS, read_sweep


def analyses() -> dict[str, Procedure]:
    """Name -> procedure, of those that work on a stored sweep."""
    return {name: one for name, one in discover().items() if not one.starts_trials}


class Config:
    """The arguments of one procedure: those that all have, and by name those of its own `Options`.

    Args:
      procedure: its name.
      sweep_dir: the sweep folder, or an archive of it (`scoring.archive`).
      output_dir: None is the folder `target_setting` in the sweep folder.
      algorithms: those to read; empty means all.
      workloads: those that are asked for, in this order; empty means all.
      framework: 'jax' or 'pytorch'; None takes the only one there is.
      options: flags of the procedure, where they are to differ from their defaults.

    Raises:
      UsageError: if there is no such procedure, or a value is out of its range.
    """

    def __init__(
        self,
        *,
        procedure: str,
        sweep_dir: Path,
        output_dir: Path | None = None,
        algorithms: Sequence[str] = (),
        workloads: Sequence[str] = (),
        framework: str | None = None,
        **options: object,
    ) -> None:
        known = analyses()
        if procedure not in known:
            raise no_such("procedure", procedure, known)
        self.procedure = known[procedure]
        module = self.procedure.module()
        self.options = module.Options(**options)
        self.analyse: Callable[[Selection, object], Outcome] = module.analyse
        self.sweep_dir, self.output_dir = sweep_dir, output_dir
        self.algorithms, self.workloads, self.framework = tuple(algorithms), tuple(workloads), framework


def run(config: Config) -> Outcome:
    """Reads the sweep, does the procedure, writes its files.

    Raises:
      UsageError: for anything in the arguments or the sweep that the user can put right.
    """
    is_archive = config.sweep_dir.is_file()
    if is_archive and config.output_dir is None:
        raise UsageError(f"{str(config.sweep_dir)!r} is a file; say with --output_dir where results go.")
    with archive.unpacked(config.sweep_dir) if is_archive else nullcontext(config.sweep_dir) as root:
        sweep = read_sweep(
            root,
            algorithms=config.algorithms,
            workloads=() if config.procedure.reads_every_workload else config.workloads,
            framework=config.framework,
            called=repr(str(config.sweep_dir)),
        )
    outcome = config.analyse(Selection(sweep, str(config.sweep_dir), config.workloads), config.options)
    outcome = dataclasses.replace(outcome, notes=(*sweep.notes, *outcome.notes))
    return write(outcome, config.procedure.name, config.output_dir or config.sweep_dir / ANALYSIS)
