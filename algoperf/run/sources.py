"""The code that decides a run, part by part, and the versions of the packages that it computes with.

    submission_source  the submission's folder, and every file that its imports lead to
    harness            the modules of `algoperf` that a trial runs through, those of other frameworks left out
    workload_source    the folder of the workload, and those of other workloads that it imports
    versions           Python, the framework, and what submission and workload import

What only tells, lists, claims or writes is left out, and so is what is compared by its outcome: settings, suites,
search spaces. Files are read, nothing is imported.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from algoperf import frameworks, machine, source_digest, submission_files
from algoperf import submission as submissions
from algoperf.registry import roots
from algoperf.source_digest import Digests
from algoperf.submission_import import API, PROJECT

SUBMISSION, HARNESS, WORKLOAD = PARTS = ("submission_source", "harness", "workload_source")
VERSIONS = "versions"
OLDER = "submission_source_v1"
"""`submission_files.older_hash`, for runs that were recorded before there was more."""

DECIDES_NOTHING = frozenset(
    {
        *("commands", "output", "verify", "records", "files", "typed_json", "holders", "hosts"),
        *("settings", "suites", "registry", "families", "frameworks", "weights"),
        *("submission_info", "submission_files", "source_digest"),
        *(
            "run/chain",
            "run/chain_check",
            "run/claim",
            "run/config",
            "run/exits",
            "run/heartbeat",
            "run/inert",
            "run/identity",
            "run/processes",
            "run/parent",
            "run/progress",
            "run/recording",
            "run/reproduce",
        ),
        *(
            "run/runner",
            "run/signals",
            "run/sources",
            "run/stored",
            "run/study",
            "run/summary",
            "run/verdict",
        ),
        *(
            "referee/channel",
            "referee/ended",
            "referee/findings",
            "referee/kept_source",
            "referee/plausible",
            "referee/plausible_steps",
        ),
        *("referee/room", "referee/start"),
        *("data/download", "data/jobs", "data/manifest"),
        # What it writes is the submission.
        *(
            "adapter/__init__",
            "adapter/__main__",
            "adapter/adapt",
            "adapter/call",
            "adapter/dialect",
            "adapter/dialect_jax",
            "adapter/dialect_torch",
            "adapter/flags",
            "adapter/folder",
        ),
        *(
            "adapter/given",
            "adapter/here",
            "adapter/named",
            "adapter/objects",
            "adapter/plan",
            "adapter/signature",
        ),
        *("adapter/text", "adapter/probe_jax", "adapter/probe_torch"),
    }
)
"""Modules of `algoperf` that find, check, tell or write something, and change no number of a run."""
NOT_IN_A_TRIAL = ("download.py", "weights.py")
"""Files of a workload's folder that only other programs use."""
_WORKLOADS = re.compile(rb"\bworkloads(?:\.|[ \t]+import[ \t]+\(?\s*)([A-Za-z_]\w*)")
_PACKAGES = re.compile(rb"^[ \t]*(?:from|import)[ \t]+([A-Za-z_]\w*)", re.MULTILINE)
_NO_NUMBERS = frozenset({*API, "tqdm"})
"""Packages that count as files of the harness, or change nothing."""
_NAMES = {"sklearn": "scikit-learn", "PIL": "pillow", "yaml": "PyYAML"}
"""Package as imported -> as installed, where they differ."""


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What decides a run beside its settings."""

    files: Mapping[str, Digests]
    """Part -> digests of its files."""
    versions: dict[str, str]
    """Package -> installed version; those that are not installed are left out."""
    older: str
    """See `OLDER`."""

    def identity(self) -> dict[str, object]:
        """The keys that they have in the identity of a trial."""
        parts = {part: source_digest.combined(digests) for part, digests in self.files.items()}
        return {**parts, VERSIONS: self.versions, OLDER: self.older}


def of(submission_file: Path, framework: str, families: tuple[str, ...]) -> Sources:
    """The sources of a run, as they are now.

    Args:
      submission_file: its path from the root.
      framework: its name.
      families: folders below `workloads/`: the workload's own, and that of its data set.
    """
    own = submission_files.files_of(submission_file, submissions.has_own_folder(submission_file))
    of_workload = _workload_files(families, framework)
    packages = {*own.packages, *_packages(of_workload)} - _NO_NUMBERS
    record = frameworks.get(framework)
    others = {
        name for one in frameworks.FRAMEWORKS if one != record for name in (*one.packages, *one.recorded)
    } - {*record.packages, *record.recorded}
    wanted = {*record.recorded, *machine.LIBRARIES, *(_NAMES.get(name, name) for name in packages - others)}
    return Sources(
        files={
            SUBMISSION: source_digest.of_files(own.paths),
            HARNESS: source_digest.of_files(_harness_files(framework)),
            WORKLOAD: source_digest.of_files(of_workload),
        },
        versions=machine.installed_versions(wanted),
        older=submission_files.older_hash(submission_file, submissions.has_own_folder(submission_file)),
    )


def _is_of_another_framework(path: Path, framework: str) -> bool:
    words = path.stem.split("_")
    return any(
        name in words
        for other in frameworks.FRAMEWORKS
        if other.name != framework
        for name in (other.name, other.suffix, *other.aliases)
    )


def _harness_files(framework: str) -> dict[str, Path]:
    root = PROJECT / "algoperf"
    found = {}
    for path in root.rglob("*.py"):
        name = path.relative_to(root).with_suffix("").as_posix()
        if name not in DECIDES_NOTHING and not _is_of_another_framework(path, framework):
            found[f"algoperf/{name}.py"] = path
    return found


def _workload_files(families: tuple[str, ...], framework: str) -> dict[str, Path]:
    """The files of these folders, and of those that they name."""
    found: dict[str, Path] = {}
    waiting, seen = list(families), set(families)
    while waiting:
        family = waiting.pop()
        for path in _folder_files(family):
            if path.name in NOT_IN_A_TRIAL or _is_of_another_framework(path, framework):
                continue
            found[f"workloads/{family}/{path.name}"] = path
            for name in _WORKLOADS.findall(path.read_bytes()):
                if (other := name.decode()) not in seen:
                    seen.add(other)
                    waiting.append(other)
    return found


def _folder_files(family: str) -> Iterator[Path]:
    for root in roots():
        yield from (root / family).glob("*.py")


def _packages(paths: Mapping[str, Path]) -> set[str]:
    """Packages that these files import; a word in a text may be among them, and then is no package."""
    return {name.decode() for path in paths.values() for name in _PACKAGES.findall(path.read_bytes())}
