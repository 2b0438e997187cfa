"""What `score_submissions.py` does, below its flags; tests and other programs call `run` with a `Config`."""

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algoperf import suites
from algoperf.spec import UsageError
from algoperf.suites import Suite
from scoring import (
    bounds,
    carry_over,
    curves,
    field_reading,
    mixtures,
    other_axis,
    output,
    plot,
    published,
    relaxing,
    report_parts,
    revealed,
    score_report,
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
from scoring.field_config import Config, SoFar
from scoring.leaderboard import Leaderboard, Settings, make_leaderboard
from scoring.page import render
from scoring.procedure import CLEAN, OFFICIAL
from scoring.results import SUBMISSION_TIME, Finding, Kind, Results, Trial


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
    document: dict[str, Any] | None = None
    """What scores.json holds, where `Config.with_document` asks for it."""

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
    scored_suite, read = suite, field_reading.read_field(config, suite, places, so_far)
    relaxed_notes: list[str] = []
    if config.relax_targets:
        field, note = relaxing.results_at(read.field, suite, config.relax_targets)
        read = dataclasses.replace(read, field=field)
        suite, relaxed_notes = relaxing.suite_at(suite, config.relax_targets), [note]
    board, settings = board_of(config, suite, read)
    infos = sources.read_infos(places, read.own.submissions)
    board = dataclasses.replace(board, display_names=infos.names)
    notes = [
        *relaxed_notes,
        *make_notes(config, full, scored_suite, read.findings),
        *notes_on(config, full, places, read, board, infos.notes),
    ]
    variations, variation_notes = (
        try_variations(config, places, board, read.own, read.chosen) if config.sensitivity else ([], [])
    )
    scored = Scored(
        board,
        read.findings,
        None if config.official else compare_with_official(read.field, settings),
        tuple(notes),
        read.field.trials,
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
    return with_files(scored, config, origin)


def board_of(config: Config, suite: Suite, read: field_reading.FieldRead) -> tuple[Leaderboard, Settings]:
    """The leaderboard of a field, with the bounds of what is not run yet, and the settings that made it."""
    settings = Settings(
        suite=suite,
        ruleset_name=config.ruleset,
        procedure=OFFICIAL if config.official else CLEAN,
        axis=config.axis,
        reference=reference_name(config, read.field),
        medians=read.chosen.medians if read.chosen else None,
    )
    check_steps(read.field, config.axis)
    board = make_leaderboard(
        read.field, settings, num_bootstrap_samples=config.bootstrap_samples, seed=config.seed
    )
    devices = {trial.end.device for trial in read.field.trials if trial.end and trial.end.device}
    board = dataclasses.replace(board, devices=tuple(sorted(devices)))
    if not config.official:
        # Nothing will be added to published entries, nor to results of the other ruleset what that one does not ask.
        published_names = read.chosen.results.submissions if read.chosen else ()
        final = {*published_names, *mixtures.of_other_ruleset(read.findings)}
        missing = bounds.of(board.table, suite, config.ruleset, read.field.trials, final)
        board = dataclasses.replace(board, bounds=missing)
    return board, settings


def notes_on(
    config: Config,
    full: Suite,
    places: Sequence[sources.Source],
    read: field_reading.FieldRead,
    board: Leaderboard,
    info_notes: Sequence[str],
) -> list[str]:
    """What a reader should know of this field and of its board."""
    notes = [*stray_notes(board), *target_origin.notes(board)]
    if config.reveal_data_seed is not None:
        notes.append(revealed.note(read.own.trials, config.reveal_data_seed, config.strict))
    notes += [*sources.joined_notes(places, read.own.submissions), *info_notes]
    if read.chosen and read.chosen.results.submissions:
        is_alone = not read.own.submissions
        notes.append(score_report.published_note(read.chosen, read.factors, is_alone=is_alone))
    if read.factors and (cut := carry_over.cut_short(read.own, board)):
        notes.append(score_report.cut_short_note(cut, full, config.ruleset))
    notes += other_axis.notes(board, read.field)
    return [*notes, *report_parts.field_of_one_note(board), *report_parts.first_place_lines(board)]


def with_files(scored: Scored, config: Config, origin: Origin) -> Scored:
    """Writes what the flags ask for, and says so in the notes."""
    if config.with_document:
        scored = dataclasses.replace(scored, document=document_of(scored, origin))
    if config.report is not None:
        links_from = dataclasses.replace(origin, output_dir=config.report.parent)
        render.write(config.report, document_of(scored, links_from))
        scored = dataclasses.replace(scored, notes=(*scored.notes, f"Written: {config.report}."))
    if config.output_dir is not None:
        scored = write(scored, config.output_dir, dataclasses.replace(origin, output_dir=config.output_dir))
    return scored


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
    note = f"Written to {folder}: {', '.join(path.name for path in written)}."
    return dataclasses.replace(scored, notes=(*scored.notes, note))
