"""The results of one call: folders and archives, joined; and which submissions of them and of published ones count."""

import collections
import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from algoperf.spec import UsageError, no_such
from algoperf.submission_info import SubmissionInfo
from algoperf.suites import WorkloadTargets
from scoring import archive, reading
from scoring.results import Results, Trial, merge


@dataclass(frozen=True)
class Source:
    """A place of results."""

    given: Path
    """A folder of submissions, or an archive of one."""
    folder: Path
    """The folder itself, or that of the unpacked archive."""
    submissions: tuple[str, ...]
    """Names of those that it holds."""


@contextlib.contextmanager
def opened(paths: Sequence[Path]) -> Iterator[tuple[Source, ...]]:
    """The places of results; archives are unpacked for as long as the context lasts.

    Raises:
      UsageError: if one is no folder of submissions and no archive of one.
    """
    with contextlib.ExitStack() as stack:
        sources = []
        for path in paths:
            folder = stack.enter_context(archive.unpacked(path)) if path.is_file() else path
            with named(path, folder):
                sources.append(Source(path, folder, tuple(reading.found_submissions(folder))))
        yield tuple(sources)


@contextlib.contextmanager
def named(given: Path, folder: Path) -> Iterator[None]:
    """Errors about an unpacked archive name the archive, as the folder is gone by the time they are read."""
    try:
        yield
    except UsageError as error:
        if given == folder:
            raise
        raise UsageError(str(error).replace(str(folder), str(given))) from error


@dataclass(frozen=True)
class Choice:
    """Which submissions are scored."""

    own: tuple[str, ...]
    published: tuple[str, ...]
    """By the names that they have in a field, as in 'algoperf_v05/baseline'."""


def choose(
    own: Collection[str],
    published: Collection[str],
    include: Collection[str],
    exclude: Collection[str],
    where: str = "these results",
) -> Choice:
    """The submissions that --include and --exclude leave.

    A published one may be named without its leaderboard where no own one has that name. Of own and of published ones,
    all are kept unless `include` names some of them.

    Args:
      own: names of the user's submissions.
      published: names of published ones, with their leaderboard.
      include: names to score; empty means all.
      exclude: names to leave out.
      where: they are looked for, for messages.

    Raises:
      UsageError: for a name that nobody has, or if nobody is left.

    >>> choose(["mine"], ["mini/adamw", "mini/lion"], [], ["lion"])
    Choice(own=('mine',), published=('mini/adamw',))
    >>> choose(["mine"], ["mini/adamw", "mini/lion"], ["lion"], [])
    Choice(own=('mine',), published=('mini/lion',))
    """
    known = [*own, *published]
    of_short = {name.partition("/")[2]: name for name in published}

    def full(name: str) -> str:
        if name in known:
            return name
        if name not in of_short:
            raise no_such(f"submission in {where}", name, known)
        return of_short[name]

    wanted, unwanted = {full(name) for name in include}, {full(name) for name in exclude}

    def kept(group: Collection[str]) -> tuple[str, ...]:
        named = [name for name in group if name in wanted] or group
        return tuple(name for name in named if name not in unwanted)

    choice = Choice(kept(own), kept(published))
    if not choice.own and not choice.published:
        raise UsageError(f"--include and --exclude leave no submission of {', '.join(known)}.")
    return choice


def read(
    sources: Sequence[Source],
    targets: Mapping[str, WorkloadTargets],
    chosen: Collection[str],
    *,
    is_filtered: bool,
) -> Results:
    """All trials of some submissions, from all places; those of one submission from several places are joined.

    Args:
      sources: from `opened`.
      targets: workload -> its target.
      chosen: names of the submissions.
      is_filtered: whether the user named submissions; folders that are none are then nothing to report.

    Raises:
      UsageError: if a study of a submission on a workload is in two places, or a submission ran a workload in both
        frameworks.
    """
    parts = []
    copies = reading.Copies()
    for source in sources:
        own = [name for name in source.submissions if name in chosen]
        left_out = [name for name in source.submissions if name not in chosen]
        if own:
            with named(source.given, source.folder):
                names = {"include": own} if is_filtered else {"exclude": left_out}
                parts.append(reading.read_submissions(source.folder, targets, copies=copies, **names))
        else:
            parts.append(Results((), ()))
    if len(parts) == 1:
        return parts[0]
    check_places(sources, parts)
    joined = merge(parts)
    return Results(
        submissions=tuple(sorted(set(joined.submissions))),
        trials=tuple(sorted(joined.trials, key=order)),
        findings=joined.findings,
    )


def order(trial: Trial) -> tuple[str, str, int, int]:
    """Joined trials stand as if they had come from one folder."""
    return trial.submission, trial.workload, trial.study, trial.trial


def check_places(sources: Sequence[Source], parts: Sequence[Results]) -> None:
    """Raises UsageError where two places hold the same study, or one submission in both frameworks."""
    studies: dict[tuple[str, str, int], dict[int, None]] = collections.defaultdict(dict)
    frameworks: dict[tuple[str, str], dict[str, int]] = collections.defaultdict(dict)
    for number, part in enumerate(parts):
        for trial in part.trials:
            studies[trial.submission, trial.workload, trial.study][number] = None
            frameworks[trial.submission, trial.workload].setdefault(trial.framework, number)
    twice = [(key, list(places)) for key, places in sorted(studies.items()) if len(places) > 1]
    if twice:
        (submission, workload, study), places = twice[0]
        both = " and ".join(repr(str(sources[number].given)) for number in places)
        more = f", and {len(twice) - 1} more studies likewise" if len(twice) > 1 else ""
        raise UsageError(
            f"study_{study} of {submission} on {workload} is in {both}{more}: a study counts once. Leave one of the "
            f"places or the submission (--exclude={submission}) out; studies that ran with --study of their own join."
        )
    for (submission, workload), found in sorted(frameworks.items()):
        if len(found) > 1:
            both = " and ".join(f"{name} in {str(sources[at].given)!r}" for name, at in sorted(found.items()))
            raise UsageError(
                f"Submission {submission!r} has results on {workload} in both frameworks, {both}; a submission is "
                "scored in one. Leave one of them out."
            )


def listed(sources: Sequence[Source]) -> str:
    """The places for a message; '' for none."""
    return " and ".join(repr(str(source.given)) for source in sources)


def joined_notes(sources: Sequence[Source], submissions: Collection[str]) -> list[str]:
    """Which submissions were joined from several places."""
    notes = []
    for name in sorted(submissions):
        places = [str(source.given) for source in sources if name in source.submissions]
        if len(places) > 1:
            notes.append(f"{name} is joined from {', '.join(places)}.")
    return notes


@dataclass(frozen=True)
class Infos:
    """What submissions say of themselves."""

    notes: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    """Submission -> the name that it goes by, where that is another than its folder's."""
    whole: Mapping[str, SubmissionInfo] = field(default_factory=dict)
    """Submission -> all that it says."""


def read_infos(sources: Sequence[Source], submissions: Sequence[str]) -> Infos:
    """What submissions say of themselves, each by the first place that holds it."""
    notes: list[str] = []
    names, whole = {}, {}
    for name in submissions:
        source = next((source for source in sources if name in source.submissions), None)
        if source is None:
            continue
        info, problem = reading.info_of(source.folder, name)
        notes += [note for note in (f"{name} is {info.text()}" if info else "", problem) if note]
        if info:
            whole[name] = info
        if info and info.name and info.name != name:
            names[name] = info.name
    return Infos(tuple(notes), names, whole)
