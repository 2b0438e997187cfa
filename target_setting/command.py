"""What `set_targets.py` does on stored sweeps, below its flags; other programs call `run` with a `Config`."""

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algoperf import records
from algoperf.spec import UsageError, no_such
from scoring import archive
from scoring.score_report import count
from scoring.text import paragraph, terminal_width
from target_setting import plots, report, target_file
from target_setting import targets as target_rules
from target_setting.budgets import simulate_budgets
from target_setting.calibration import calibrate
from target_setting.calibration import notes_on as calibration_notes
from target_setting.degradation import worst_case_degradation
from target_setting.expected_best import expected_best
from target_setting.narrow import narrow
from target_setting.optlist import make_optlist
from target_setting.results import Table, best_validation, make_table, metric_of, names
from target_setting.sweep import ANALYSIS, Sweep, SweepTrial, read_sweep
from target_setting.variants import TOLERANCE, compare_variant, pairs

BUDGETS = (1, 5, 20)


@dataclass(frozen=True, kw_only=True)
class Config:
    """The arguments of one procedure; names as the flags, which say what they mean."""

    procedure: str
    sweep_dir: Path
    """The sweep folder, or an archive of it (`scoring.archive`)."""
    output_dir: Path | None = None
    """None is the folder `target_setting` in the sweep folder."""
    algorithms: tuple[str, ...] = ()
    workloads: tuple[str, ...] = ()
    framework: str | None = None
    min_reruns: int = 5
    runtime_budget: str = "workload"
    tolerance: float = TOLERANCE
    widen: float = 1.25
    fix_beta1: bool = False
    outlier_tolerance: float = 0.0
    outlier_factor: float = 10.0
    size: int = 5
    budgets: tuple[int, ...] = BUDGETS
    max_trials: int | None = None
    num_samples: int | None = None
    """None is 10,000 simulated tunings, or 1,000 bootstrap samples."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.procedure not in PROCEDURES:
            raise no_such("procedure", self.procedure, PROCEDURES)
        target_file.check_budget(self.runtime_budget)
        if self.min_reruns < 1:
            raise UsageError(f"--min_reruns must be at least 1, got {self.min_reruns}.")
        if self.seed < 0:
            raise UsageError(f"--seed must be 0 or more, got {self.seed}.")
        if not 0 <= self.tolerance < 1:
            raise UsageError(f"--tolerance must be in [0, 1), got {self.tolerance}.")


@dataclass(frozen=True)
class Outcome:
    """What a procedure found."""

    table: str
    content: Any
    """Of `<procedure>.json`, as plain JSON types."""
    panels: Sequence[plots.Panel]
    title: str
    files: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Name -> content of further JSON files."""
    notes: tuple[str, ...] = ()
    axes: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Of the plot's x axes."""

    def text(self) -> str:
        """The report for the terminal."""
        width = terminal_width()
        return "\n\n".join([self.table, *(paragraph(note, width) for note in self.notes)])


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
            workloads=() if config.procedure == "variants" else config.workloads,
            framework=config.framework,
        )
    outcome = PROCEDURES[config.procedure](sweep, config)
    folder = config.output_dir or config.sweep_dir / ANALYSIS
    return write(dataclasses.replace(outcome, notes=(*sweep.notes, *outcome.notes)), config.procedure, folder)


def write(outcome: Outcome, procedure: str, folder: Path) -> Outcome:
    """Writes JSON files and the plot; `outcome` with a note on what was written or left out."""
    files = {f"{procedure}.json": outcome.content, **outcome.files}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            records.write_json(folder / name, content)
        if plots.is_available():
            plots.write(folder / f"{procedure}.html", outcome.title, outcome.panels, **outcome.axes)
    except OSError as error:
        raise UsageError(
            f"Cannot write to {str(folder)!r}: {error.strerror}; give another --output_dir."
        ) from error
    note = f"Written to {folder}: {', '.join(files)}"
    if plots.is_available():
        note += f", {procedure}.html."
    else:
        note += f". The plot needs plotly: {plots.INSTALL}, and run again."
    return dataclasses.replace(outcome, notes=(*outcome.notes, note))


def swept(sweep: Sweep, config: Config) -> tuple[tuple[SweepTrial, ...], tuple[str, ...], tuple[str, ...]]:
    """Trials of the sweep itself, its algorithms, and its workloads in the order of the user (else sorted)."""
    if not sweep.trials:
        raise UsageError(
            f"{str(config.sweep_dir)!r} holds reruns only; this procedure needs the sweep's trials."
        )
    algorithms, workloads = names(sweep.trials)
    for name in config.workloads:
        if name not in workloads:
            raise no_such("workload with finished trials in the sweep", name, workloads)
    return sweep.trials, algorithms, config.workloads or workloads


def tables(sweep: Sweep, config: Config, *, complete: bool = True) -> tuple[list[Table], tuple[str, ...]]:
    """Points x workloads of every algorithm, and notes on points that were left out.

    An algorithm's workloads are those that it ran, unless the user names them.
    """
    trials, algorithms, workloads = swept(sweep, config)
    made = []
    for name in algorithms:
        ran = {trial.workload for trial in trials if trial.algorithm == name}
        own = [workload for workload in workloads if workload in ran or config.workloads]
        made.append(make_table(trials, name, own, complete=complete))
    notes = [
        f"{one.algorithm}: {count(one.num_left_out, 'point')} left out, not finished on every workload."
        for one in made
        if one.num_left_out
    ]
    return made, tuple(notes)


def on(workload: str, trials: Sequence[SweepTrial]) -> list[SweepTrial]:
    """Those on one workload."""
    return [trial for trial in trials if trial.workload == workload]


def set_all(
    sweep: Sweep, config: Config
) -> tuple[list[target_rules.TargetSetting], dict[str, SweepTrial], list[str]]:
    """Targets of all workloads with reruns (or of those named), best trials by workload, and notes on both.

    A workload without a finite metric in the sweep (and not rerun all the same), or in its reruns, is left out.

    Raises:
      UsageError: if named workloads have no reruns, or nothing remains.
    """
    swept_on, rerun_on = names(sweep.trials)[1], names(sweep.reruns)[1]
    found: dict[str, SweepTrial] = {}
    without: dict[str, target_rules.NoResultError] = {}
    for name in swept_on:
        try:
            found[name] = target_rules.best(on(name, sweep.trials))
        except target_rules.NoResultError as error:
            if name not in rerun_on:
                without[name] = error
    missing = [name for name in config.workloads or swept_on if name not in (*rerun_on, *without)]
    if missing and (config.workloads or not rerun_on):
        best = found.get(missing[0])
        advice = f" Its best point is that of {best.place()}." if best else ""
        raise UsageError(
            f"Too few reruns of {missing[0]}: none finished, at least {config.min_reruns} wanted.{advice}"
        )
    notes = [f"{name}: no reruns, so no targets." for name in missing]
    settings = []
    for workload in config.workloads or rerun_on:
        if workload in without:
            continue
        try:
            setting = target_rules.set_targets(on(workload, sweep.reruns), min_reruns=config.min_reruns)
        except target_rules.NoResultError as error:
            without[workload] = error
            continue
        settings.append(setting)
        notes += target_rules.notes_on(setting, found.get(workload))
    if not settings:
        raise next(iter(without.values()))
    return settings, found, [*notes, *(f"{name}: left out. {error}" for name, error in without.items())]


def do_targets(sweep: Sweep, config: Config) -> Outcome:
    """The target file, from the reruns; without named workloads, of those that have reruns."""
    settings, found, notes = set_all(sweep, config)
    chosen = [
        (
            found[one.workload],
            best_validation(found[one.workload], one.metric),
            len(on(one.workload, sweep.trials)),
        )
        for one in settings
        if one.workload in found
    ]
    text = report.targets(settings)
    if chosen:
        text = f"{report.best_points(chosen)}\n\n{text}"
    return Outcome(
        table=text,
        content=target_file.content(settings, sweep.trials, config.runtime_budget),
        panels=plots.targets(settings),
        title="Reruns of the best point, and the targets set from them",
        notes=tuple(notes),
    )


def do_calibration(sweep: Sweep, config: Config) -> Outcome:
    """How well every workload with reruns tells choices apart."""
    settings, _, notes = set_all(sweep, config)
    found = [calibrate(one, on(one.workload, sweep.trials), on(one.workload, sweep.weak)) for one in settings]
    without = [one.setting.workload for one in found if one.weak is None]
    if without:
        notes.append(
            f"No runs of a weak choice on {', '.join(without)}: make them with set_targets.py run … --weak_runs=2."
        )
    return Outcome(
        table=report.calibrations(found),
        content=report.calibrations_content(found),
        panels=plots.calibrations(found),
        title="Best validation metric of every run, and the target",
        notes=(*notes, *(note for one in found for note in calibration_notes(one))),
    )


def do_variants(sweep: Sweep, config: Config) -> Outcome:
    """The variant test of one algorithm, for every variant whose base was swept, too."""
    trials, algorithms, workloads = swept(sweep, dataclasses.replace(config, workloads=()))
    if len(algorithms) > 1:
        raise UsageError(
            f"The variant test compares the points of one algorithm; choose with --algorithms={algorithms[0]} "
            f"(there are {', '.join(algorithms)})."
        )
    wanted = pairs(workloads)
    if not wanted:
        raise UsageError(
            f"The sweep has no variant beside its base; it has {', '.join(workloads)}. Run the same points on both."
        )
    for name in config.workloads:
        if name not in [variant for _, variant in wanted]:
            raise no_such("variant beside its base in the sweep", name, [variant for _, variant in wanted])
    wanted = [pair for pair in wanted if not config.workloads or pair[1] in config.workloads]
    tests = [
        compare_variant(trials, algorithms[0], base, variant, tolerance=config.tolerance)
        for base, variant in wanted
    ]
    left_out = [
        f"{one.variant}: {count(one.table.num_left_out, 'point')} left out, not finished on both workloads."
        for one in tests
        if one.table.num_left_out
    ]
    return Outcome(
        table=report.variants(tests),
        content=report.variants_content(tests),
        panels=plots.variants(tests),
        title="Variant test: each point on base and variant",
        notes=tuple(left_out),
    )


def do_narrow(sweep: Sweep, config: Config) -> Outcome:
    """A narrow search space for every algorithm."""
    made, _ = tables(sweep, config, complete=False)
    spaces = [
        narrow(
            one,
            widen=config.widen,
            fix_beta1=config.fix_beta1,
            outlier_tolerance=config.outlier_tolerance,
            outlier_factor=config.outlier_factor,
        )
        for one in made
    ]
    replaced = [
        f"{one.table.algorithm}: on {r.workload} trial {r.trial} is an outlier; trial {r.by} stands in for it "
        f"({r.degradation:.1%} worse)."
        for one in spaces
        for r in one.replacements
    ]
    return Outcome(
        table=report.narrowed(spaces),
        content=report.narrowed_content(spaces),
        panels=plots.narrowed(spaces),
        title="Narrowing of the search space",
        files={f"{one.table.algorithm}_search_space.json": one.space for one in spaces},
        notes=(*replaced, *(note for one in spaces for note in one.notes)),
        axes={"type": "log"},
    )


def do_optlist(sweep: Sweep, config: Config) -> Outcome:
    """An OptList for every algorithm."""
    made, _ = tables(sweep, config, complete=False)
    lists = [make_optlist(one, config.size) for one in made]
    return Outcome(
        table=report.optlists(lists),
        content=report.optlists_content(lists),
        panels=plots.optlists(lists),
        title="OptList: rank of each entry on each workload",
        files={f"{one.table.algorithm}_optlist.json": one.points() for one in lists},
    )


def do_degradation(sweep: Sweep, config: Config) -> Outcome:
    """Δ of every algorithm."""
    made, notes = tables(sweep, config)
    results = [worst_case_degradation(one) for one in made]
    return Outcome(
        table=report.degradations(results),
        content=report.degradations_content(results),
        panels=plots.degradations(results),
        title="Degradation of the point with the least worst case",
        notes=notes,
    )


def do_budgets(sweep: Sweep, config: Config) -> Outcome:
    """Best of k trials for every algorithm and workload."""
    rows = [
        (
            row,
            simulate_budgets(costs, config.budgets, num_samples=_samples(config, 10_000), seed=config.seed),
        )
        for row, costs in single(sweep, config)
    ]
    return Outcome(
        table=report.budgets(rows),
        content=report.budgets_content(rows),
        panels=plots.budgets([(f"{row[0]}, {row[1]}", row[2], results) for row, results in rows]),
        title="Simulated tuning budgets",
    )


def do_expected_best(sweep: Sweep, config: Config) -> Outcome:
    """Expected best of every algorithm and workload."""
    rows = [
        (
            row,
            expected_best(costs, config.max_trials, num_samples=_samples(config, 1000), seed=config.seed),
        )
        for row, costs in single(sweep, config)
    ]
    failed = [
        f"{row[0]} on {row[1]}: {curve.num_failed} of {row[3]} trials have no result; in the means they count as the "
        "worst result that there is."
        for row, curve in rows
        if curve.num_failed
    ]
    return Outcome(
        table=report.expected(rows),
        content=report.expected_content(rows),
        panels=plots.expected([(f"{row[0]}, {row[1]}", row[2], curve) for row, curve in rows]),
        title="Expected best validation metric over the number of trials",
        notes=tuple(failed),
    )


def _samples(config: Config, default: int) -> int:
    return default if config.num_samples is None else config.num_samples


def single(sweep: Sweep, config: Config) -> list[tuple[report.Row, Any]]:
    """Every algorithm on every workload that it ran, with the costs of its trials."""
    trials, algorithms, workloads = swept(sweep, config)
    found = []
    for workload in workloads:
        for algorithm in algorithms:
            if any(t.algorithm == algorithm and t.workload == workload for t in trials):
                table = make_table(trials, algorithm, (workload,))
                found.append(((algorithm, workload, metric_of(workload), len(table.trials)), table.costs[0]))
    return found


PROCEDURES: dict[str, Callable[[Sweep, Config], Outcome]] = {
    "targets": do_targets,
    "calibration": do_calibration,
    "variants": do_variants,
    "narrow": do_narrow,
    "optlist": do_optlist,
    "budgets": do_budgets,
    "degradation": do_degradation,
    "expected_best": do_expected_best,
}
