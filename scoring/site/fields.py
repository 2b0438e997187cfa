"""Fields of a site: results that can be compared, which are those of one suite, one ruleset and one kind of machine."""

import collections
import dataclasses
import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from algoperf import suites
from algoperf.spec import UsageError, no_such
from scoring import published, recorded, sources
from scoring.recorded import Recorded
from scoring.sources import Source

RULESETS = ("external", "self")
NO_HARDWARE = "hardware not recorded"


@dataclass(frozen=True, kw_only=True)
class Field:
    """What is scored together."""

    suite: str
    ruleset: str
    hardware: str
    """For people: '4 x NVIDIA A100 40 GB'."""
    leaderboard: str | None = None
    """Published entries that are in it."""
    members: tuple[tuple[Path, tuple[str, ...]], ...] = ()
    """(place as it was given, its submissions that are in the field)."""
    started: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Submission -> date of its last run, where that is recorded."""

    @property
    def suite_name(self) -> str:
        """Of a suite in a file of one's own the file's name, as paths say nothing elsewhere."""
        return Path(self.suite).stem if suites.is_file(self.suite) else self.suite

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.suite_name}, {'self-tuning' if self.ruleset == 'self' else f'{self.ruleset} tuning'}"


@dataclass(frozen=True, kw_only=True)
class Told:
    """What holds for results whose records do not say it."""

    suite: str | None = None
    ruleset: str | None = None
    hardware: str | None = None


NOTHING_TOLD = Told()


def shipped(leaderboards: Iterable[str]) -> list[Field]:
    """The fields of leaderboards that ship with the package.

    Raises:
      UsageError: for a name that none has.
    """
    found = []
    for version, ruleset in itertools.product(leaderboards, RULESETS):
        if version not in published.VERSIONS:
            raise no_such("published leaderboard", version, published.VERSIONS)
        if published.has_results(version, ruleset):
            suite = published.suite_of(version, ruleset)
            found.append(
                Field(suite=suite, ruleset=ruleset, hardware=published.HARDWARE[version], leaderboard=version)
            )
    return found


def of_places(places: Collection[Source], told: Told) -> list[Field]:
    """The fields that results belong to, by their records.

    Args:
      places: from `sources.opened`.
      told: for results whose records do not say it.

    Raises:
      UsageError: if neither records nor `told` say the suite of a submission.
    """
    members: dict[tuple[str, str, str], dict[Path, set[str]]] = {}
    started: dict[tuple[str, str, str], dict[str, str]] = collections.defaultdict(dict)
    for place in places:
        for name in place.submissions:
            for key, trials in _by_field(list(recorded.of_submission(place.folder, name)), told).items():
                members.setdefault(key, {}).setdefault(place.given, set()).add(name)
                last = max(one.started for one in trials)
                started[key][name] = max(last, started[key].get(name, ""))
    return [
        Field(
            suite=suite,
            ruleset=ruleset,
            hardware=hardware,
            members=tuple((given, tuple(sorted(names))) for given, names in found.items()),
            started=started[suite, ruleset, hardware],
        )
        for (suite, ruleset, hardware), found in sorted(members.items())
    ]


def _by_field(trials: Sequence[Recorded], told: Told) -> dict[tuple[str, str, str], list[Recorded]]:
    """(suite, ruleset, hardware) -> trials of one submission; machines of one suite stand together."""
    of_suite: dict[tuple[str, str], list[Recorded]] = collections.defaultdict(list)
    for trial in trials:
        suite = trial.suite or told.suite
        if not suite:
            raise UsageError(
                f"The records of {trial.submission} on {trial.workload} name no suite: give --suite, and --ruleset "
                "and --hardware where they lack as well."
            )
        of_suite[suite, trial.ruleset or told.ruleset or recorded.RULESET].append(trial)
    found = {}
    for (suite, ruleset), own in of_suite.items():
        # A submission is scored as a whole, so that one on two machines makes a field of both.
        devices = sorted({trial.device for trial in own if trial.device})
        found[suite, ruleset, " and ".join(devices) or told.hardware or NO_HARDWARE] = own
    return found


def joined(own: Sequence[Field], published_fields: Sequence[Field]) -> list[Field]:
    """All fields; own results on the machine of a published leaderboard stand among its entries."""
    fields, left = [], list(own)
    for field in published_fields:
        assert field.leaderboard is not None
        machines = {field.hardware, published.DEVICES.get(field.leaderboard)}
        same = [
            one
            for one in left
            if (one.suite, one.ruleset) == (field.suite, field.ruleset) and one.hardware in machines
        ]
        left = [one for one in left if one not in same]
        members = tuple(itertools.chain.from_iterable(one.members for one in same))
        started = {name: date for one in same for name, date in one.started.items()}
        fields.append(dataclasses.replace(field, members=members, started=started))
    return [*left, *fields]


def all_of(
    places: Sequence[sources.Source], leaderboards: Iterable[str], told: Told = NOTHING_TOLD
) -> list[Field]:
    """The fields of own and of published results.

    Raises:
      UsageError: see `shipped` and `of_places`.
    """
    return joined(of_places(places, told), shipped(leaderboards))
