"""What `score_submissions.py` does, below its flags; tests and other programs call `run` with a `Config`."""

import dataclasses
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algoperf import suites
from algoperf.spec import UsageError, no_such
from algoperf.suites import Suite
from scoring import (
    bounds,
    carry_over,
    completeness,
    curves,
    endings,
    mixtures,
    other_axis,
    output,
    plausible,
    plot,
    published,
    relaxing,
    report_parts,
    results,
    revealed,
    score_report,
    seals,
    sensitivity,
    short_names,
    sources,
    step_times,
    target_origin,
    text,
)
from scoring.differences import Differences, compare_with_official
from scoring.document import content as document
from scoring.document.content import Origin
from scoring.leaderboard import Leaderboard, Settings, make_leaderboard
from scoring.page import render
from scoring.procedure import CLEAN, OFFICIAL
from scoring.results import AXES, SUBMISSION_TIME, Finding, Kind, Results, Trial

MAX_SAMPLES = 100_000
"""Of the bootstrap: intervals hardly move beyond some thousands, and memory grows with their number."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """The arguments of one scoring; names as the flags."""

    submissions_dir: Path | None
    """Folder of submissions or archive of one; None scores the published entries alone."""
    more_dirs: tuple[Path, ...] = ()
    """More of them, joined with the first."""
    suite: str = suites.FULL_SIZE
    ruleset: str = "external"
    official: bool = False
    strict: bool = False
    axis: str = SUBMISSION_TIME
    reference: str | None = None
    compare_to: str | None = None
    calibrate: bool = False
    """Carries own times over to the machine of the published ones."""
    bootstrap_samples: int = 1000
    seed: int = 0
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    workloads: tuple[str, ...] = ()
    """Scores these instead of the suite's workloads."""
    num_studies: int | None = None
    num_trials: int | None = None
    output_dir: Path | None = None
    report: Path | None = None
    """Writes the report alone to this file, without the others of `output_dir`."""
    sensitivity: bool = False
    reveal_data_seed: str | None = None
    """Said of which trials it is the seed of the data."""
    step_times: bool = False
    """Shows seconds per update also where frameworks do not differ by much."""
    seals: Path | None = None
    """A list of seals that was published when the runs ended."""
    relax_targets: float = 0.0
    """Share by which targets are moved before anything is scored; below 0 they are tightened."""

    def __post_init__(self) -> None:
        suites.check_counts(flag="--", num_studies=self.num_studies, num_trials=self.num_trials)
        if self.axis not in AXES:
            raise no_such("axis", self.axis, AXES)
        if not 0 <= self.bootstrap_samples <= MAX_SAMPLES:
            raise UsageError(
                f"--bootstrap_samples must be from 0 to {MAX_SAMPLES}, got {self.bootstrap_samples}."
            )
        relaxing.check(self.relax_targets)
        if self.seed < 0:
            raise UsageError(f"--seed must be 0 or more, got {self.seed}.")
        if self.submissions_dir is None and self.compare_to is None:
            raise UsageError(
                "Give the folder of submissions, as in score_submissions.py ~/experiments; "
                "--compare_to=algoperf_v05 without a folder scores the published entries."
            )
        if self.calibrate:
            published.check_has_reference(self.compare_to)
            if self.submissions_dir is None:
                raise UsageError(
                    "--calibrate carries the times of your own submissions over: give their folder, as in "
                    "score_submissions.py --calibrate ~/experiments, or leave out --calibrate."
                )


@dataclass(frozen=True)
class SoFar:
    """What there is of a campaign that still runs."""

    submissions: tuple[str, ...]
    """All of them, those without any result among them."""
    has_ended: Callable[[Trial], bool]
    """Others count as not run."""


@dataclass(frozen=True)
class Scored:
    """The result of one scoring."""

    board: Leaderboard
    findings: tuple[Finding, ...]
    differences: Differences | None
    notes: tuple[str, ...]
    trials: tuple[Trial, ...] = ()
    """Of the field."""
    variations: tuple[sensitivity.Variation, ...] = ()
    """What --sensitivity tried; empty without it."""
    variation_notes: tuple[str, ...] = ()
    asks_for_step_times: bool = False

    def text(self) -> str:
        """The report for the terminal."""
        if prefix := short_names.prefix_of(self.board.submissions):
            return self._without(prefix).text()
        part = ""
        if self.variations:
            width = text.terminal_width()
            part = report_parts.sensitivity_part(self.variations, self.variation_notes, width)
        return score_report.render(
            self.board,
            self.findings,
            self.differences,
            self.notes,
            self.trials,
            part,
            self.asks_for_step_times,
        )

    def _without(self, prefix: str) -> "Scored":
        """The same with names without what all of them begin with."""
        return dataclasses.replace(
            self,
            board=short_names.board(self.board, prefix),
            differences=short_names.differences(self.differences, prefix),
            notes=tuple(note.replace(prefix, "") for note in self.notes),
            trials=short_names.trials(self.trials, prefix),
            variations=short_names.variations(self.variations, prefix),
        )


def run(config: Config, so_far: SoFar | None = None) -> Scored:
    """Reads, scores, and writes the files where `output_dir` is given.

    Args:
      config: the flags.
      so_far: of a campaign that still runs; None takes all trials that are there.

    Raises:
      UsageError: for anything in the arguments or the results that the user can put right.
    """
    full = suites.load(config.suite)
    full.ruleset(config.ruleset)
    suite = suites.customize(
        full, workloads=config.workloads, num_studies=config.num_studies, num_trials=config.num_trials
    )
    given = () if config.submissions_dir is None else (config.submissions_dir, *config.more_dirs)
    with sources.opened(given) as places:
        return score(config, full, suite, places, so_far)


def score(
    config: Config, full: Suite, suite: Suite, places: Sequence[sources.Source], so_far: SoFar | None
) -> Scored:
    """`run` below its first checks.

    Args:
      config: the arguments.
      full: the suite that they name.
      suite: the part of it that is scored.
      places: of the user's results.
      so_far: see `run`.
    """
    entries = (
        published.load(config.compare_to, config.ruleset, suite, config.axis) if config.compare_to else None
    )
    choice = sources.choose(
        list(dict.fromkeys(name for place in places for name in place.submissions)),
        entries.results.submissions if entries else (),
        config.include,
        config.exclude,
        where=sources.listed(places) or f"--compare_to={config.compare_to}",
    )
    own, findings = read_own(config, suite, places, choice.own, so_far)
    factors = None
    if entries and config.calibrate and config.axis == SUBMISSION_TIME and own.trials:
        reference = published.REFERENCES[entries.name]
        beside = read_beside(suite, places, own, reference)
        factors = carry_over.machine_factors(own, beside, entries.results, reference, entries.name)
        own = carry_over.carried_over(own, factors)
    chosen = published.only(entries, choice.published) if entries else None
    field = results.merge([own, chosen.results]) if chosen else own
    scored_suite, relaxed_notes = suite, []
    if config.relax_targets:
        field, note = relaxing.results_at(field, suite, config.relax_targets)
        suite, relaxed_notes = relaxing.suite_at(suite, config.relax_targets), [note]
    settings = Settings(
        suite=suite,
        ruleset_name=config.ruleset,
        procedure=OFFICIAL if config.official else CLEAN,
        axis=config.axis,
        reference=reference_name(config, field),
        medians=chosen.medians if chosen else None,
    )
    check_steps(field, config.axis)
    board = make_leaderboard(
        field, settings, num_bootstrap_samples=config.bootstrap_samples, seed=config.seed
    )
    devices = {trial.end.device for trial in field.trials if trial.end and trial.end.device}
    board = dataclasses.replace(board, devices=tuple(sorted(devices)))
    if not config.official:
        # Nothing will be added to published entries, nor to results of the other ruleset what that one does not ask.
        final = {*(chosen.results.submissions if chosen else ()), *mixtures.of_other_ruleset(findings)}
        missing = bounds.of(board.table, suite, config.ruleset, field.trials, final)
        board = dataclasses.replace(board, bounds=missing)
    differences = None if config.official else compare_with_official(field, settings)
    notes = [
        *relaxed_notes,
        *make_notes(config, full, scored_suite, findings),
        *stray_notes(board),
        *target_origin.notes(board),
    ]
    if config.reveal_data_seed is not None:
        notes.append(revealed.note(own.trials, config.reveal_data_seed, config.strict))
    notes += sources.joined_notes(places, own.submissions)
    infos = sources.read_infos(places, own.submissions)
    board = dataclasses.replace(board, display_names=infos.names)
    notes += infos.notes
    if chosen and chosen.results.submissions:
        notes.append(score_report.published_note(chosen, factors, is_alone=not own.submissions))
    if factors and (cut := carry_over.cut_short(own, board)):
        notes.append(score_report.cut_short_note(cut, full, config.ruleset))
    notes += other_axis.notes(board, field)
    notes += [*report_parts.field_of_one_note(board), *report_parts.first_place_lines(board)]
    variations, variation_notes = (
        try_variations(config, places, board, own, chosen) if config.sensitivity else ([], [])
    )
    scored = Scored(
        board,
        findings,
        differences,
        tuple(notes),
        field.trials,
        tuple(variations),
        tuple(variation_notes),
        config.step_times,
    )
    origin = Origin(
        places=tuple(places),
        infos=infos.whole,
        relaxed_targets=config.relax_targets,
        is_running=so_far is not None,
    )
    if config.report is not None:
        links_from = dataclasses.replace(origin, output_dir=config.report.parent)
        render.write(config.report, document_of(scored, links_from))
        scored = dataclasses.replace(scored, notes=(*scored.notes, f"Written: {config.report}."))
    if config.output_dir is not None:
        scored = write(scored, config.output_dir, dataclasses.replace(origin, output_dir=config.output_dir))
    return scored


def read_own(
    config: Config,
    suite: Suite,
    places: Sequence[sources.Source],
    chosen: Collection[str],
    so_far: SoFar | None = None,
) -> tuple[Results, tuple[Finding, ...]]:
    """The user's chosen results with all findings on them; refuses defects under --strict."""
    if not chosen and so_far is None:
        return Results((), ()), ()
    names = suite.scored_names()
    if not suite.held_out:  # the official procedure then takes every variant it finds (quirk stray-variants)
        names = tuple(dict.fromkeys((*names, *suite.known_targets)))
    targets = {name: suite.targets(name) for name in names}
    results = sources.read(places, targets, chosen, is_filtered=bool(config.include))
    if so_far:
        trials = tuple(trial for trial in results.trials if so_far.has_ended(trial))
        submissions = tuple(sorted({*results.submissions, *so_far.submissions}))
        results = dataclasses.replace(results, submissions=submissions, trials=trials)
    missing = completeness.check_completeness(results, suite, suite.ruleset(config.ruleset))
    missing = mixtures.without_counts(missing, mixtures.other_rulesets(results.trials, config.ruleset))
    mixed = mixtures.find(results, suite, config.ruleset)
    broken = endings.findings(results.trials, suite, config.ruleset)
    unsealed = seals.findings(config.seals, results.trials, chosen, targets) if config.seals else []
    odd = plausible.findings(results.trials, {name: target.step_hint for name, target in targets.items()})
    findings = completeness.without_doubles((*results.findings, *missing, *mixed, *broken, *unsealed, *odd))
    if config.strict:
        completeness.refuse(findings)
    if not any(trial.workload in suite.scored_names() for trial in results.trials):
        raise UsageError(
            f"No trial in {sources.listed(places)} ran a workload of suite {suite.name!r} "
            f"({', '.join(suite.scored_names())}). Choose another with --suite={'|'.join(suites.names())}, "
            "or name workloads with --workloads."
        )
    return results, findings


def read_beside(suite: Suite, places: Sequence[sources.Source], own: Results, name: str) -> Results:
    """Results with those of the submission called `name`, also where --include or --exclude leaves it out of `own`.

    `own` itself where no place has it.
    """
    if name in own.submissions or not any(name in place.submissions for place in places):
        return own
    targets = {workload: suite.targets(workload) for workload in suite.scored_names()}
    return sources.read(places, targets, [name], is_filtered=True)


def reference_name(config: Config, field: Results) -> str | None:
    """The reference in the field; a published entry may be named without its version."""
    if config.reference is None or config.reference in field.submissions:
        return config.reference
    versioned = f"{config.compare_to}/{config.reference}"
    return versioned if versioned in field.submissions else config.reference


def check_steps(field: Results, axis: str) -> None:
    """Raises UsageError if the axis is steps and a log does not have them."""
    for trial in field.trials:
        if trial.hit and axis != SUBMISSION_TIME and trial.hit.global_step != trial.hit.global_step:
            raise UsageError(
                f"--axis=steps: {trial.submission} has no global_step column in study_{trial.study}, "
                f"{trial.workload}, trial_{trial.trial}. Use --axis=submission_time, or leave it out with "
                f"--exclude={trial.submission}."
            )


def try_variations(
    config: Config,
    places: Sequence[sources.Source],
    board: Leaderboard,
    own: Results,
    chosen: published.Published | None,
) -> tuple[list[sensitivity.Variation], list[str]]:
    """What --sensitivity tries, and sentences on what it cannot."""
    variations = [*sensitivity.left_out(board), *sensitivity.of_r_max(board)]
    suite = board.settings.suite
    stored = curves.read([place.folder for place in places], own.trials, suite) if places else []
    if chosen and published.has_curves(chosen.name, config.ruleset):
        stored += published.curves(chosen.name, config.ruleset, suite, chosen.results.trials)
    elif config.compare_to is not None:
        return variations, [
            f"Other targets were not tried: of the entries of {config.compare_to} only the first hits are stored."
        ]
    found, notes = sensitivity.of_targets(board, stored)
    return [*variations, *found], notes


def make_notes(
    config: Config,
    full: Suite,
    suite: Suite,
    findings: Collection[Finding],
) -> list[str]:
    """What a reader must know about this scoring, in sentences."""
    notes = []
    if suite != full:
        ruleset = suite.ruleset(config.ruleset)
        notes.append(
            f"Not the rules of suite {full.name}: scored on {', '.join(suite.workloads)} with "
            f"{ruleset.num_studies} studies x {ruleset.num_trials} trials. Do not compare with scores of the "
            "full suite."
        )
    stepped = sorted({finding.submission for finding in findings if finding.kind is Kind.STEP_SCHEDULE})
    if stepped:
        notes.append(
            f"Warning: {', '.join(stepped)} evaluated on a step-based schedule (--eval_every_steps), so "
            "times to target have another resolution than the rules ask for. --strict refuses such results."
        )
    others = sorted({(one.detail, one.submission) for one in findings if one.kind is Kind.OTHER_RULESET})
    for detail in dict.fromkeys(detail for detail, _ in others):
        names = ", ".join(name for own, name in others if own == detail)
        notes.append(f"Warning: {detail} ({names}).")
    return notes


def stray_notes(board: Leaderboard) -> list[str]:
    """A warning where unlisted variants decide official scores."""
    strays = board.table.columns[board.table.num_workloads :]
    if board.settings.suite.held_out or not strays:
        return []
    return [
        f"Warning: suite {board.settings.suite.name} holds out no workloads, but the official procedure lets every "
        f"variant in the logs disqualify: {', '.join(strays)} (quirk stray-variants). Move them away, or leave "
        "out --official."
    ]


def document_of(scored: Scored, origin: Origin) -> dict[str, Any]:
    """All that was scored, for files and pages."""
    return document.make(
        scored.board,
        scored.findings,
        scored.differences,
        scored.notes,
        scored.trials,
        scored.variations,
        origin,
    )


def write(scored: Scored, folder: Path, origin: Origin) -> Scored:
    """Writes the files; `scored` with a note on what was written or left out."""
    content = document_of(scored, origin)
    steps = step_times.measure(scored.trials, scored.board.table.columns)
    of_steps = (
        output.STEP_TIMES,
        lambda path: output.write_csv(path, step_times.csv_rows(scored.board, steps)),
    )
    written = output.write_all(
        folder,
        scored.board,
        (output.SCORES_JSON, lambda path: document.write(path, content)),
        (output.REPORT, lambda path: render.write(path, content)),
        (output.PICTURE, lambda path: plot.write_profile_picture(scored.board, path)),
        *([of_steps] if steps.cells else []),
    )
    names = [path.name for path in written]
    left_out = ""
    if plot.is_available():
        plot.write_profile_plot(scored.board, folder / output.PROFILE)
        names.append(output.PROFILE)
    else:
        left_out = f" Left out: {output.PROFILE} needs plotly. {plot.INSTALL}, and run again."
    note = f"Written to {folder}: {', '.join(names)}.{left_out}"
    return dataclasses.replace(scored, notes=(*scored.notes, note))
