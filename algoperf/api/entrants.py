"""From what people name to submission folders: optimizers, classes of a notebook, ordinary submissions.

What is written lies in the results (`.campaign/submissions`, `.campaign/search_spaces`): the source that ran is there
with what it came to.
"""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algoperf import adapter, files, shipped, submission, tuning
from algoperf.api import source
from algoperf.run.study import submission_name
from algoperf.spec import UsageError
from campaign.store import FOLDER

SUBMISSIONS = f"{FOLDER}/submissions"
SPACES = f"{FOLDER}/search_spaces"
Space = tuning.SearchSpace | Path | str
"""Content of a search space, or its file."""


@dataclass(frozen=True)
class Entrant:
    """One submission, ready to run."""

    name: str
    """Of its results."""
    path: Path
    """Folder or file of the submission."""
    space: Path | None
    """JSON file with its points; None: the one beside it."""

    def moved(self, old: Path, new: Path) -> "Entrant":
        """The same after a folder above it was renamed; what lies elsewhere stays."""

        def at(path: Path) -> Path:
            return new / path.relative_to(old) if old in path.parents else path

        return dataclasses.replace(self, path=at(self.path), space=self.space and at(self.space))

    def points(self) -> tuning.SearchSpace:
        """Its search space.

        Raises:
          UsageError: if there is none, or it is ill-formed.
        """
        found, _ = submission.search_space(self._file(), None if self.space is None else str(self.space))
        return found

    def _file(self) -> Path:
        return self.path if self.path.is_file() else self.path / "submission.py"


def name_of(what: object) -> str:
    """What something is called in results, where nobody gives it a name.

    >>> name_of("torch.optim.AdamW"), name_of("./mine.py:Mine"), name_of("reference_algorithms/nadamw/")
    ('AdamW', 'Mine', 'nadamw')
    """
    if not isinstance(what, (str, Path)):
        return str(getattr(what, "__name__", type(what).__name__))
    path = files.expanded(what)
    if path.exists():
        return submission_name(path if path.is_file() else path / "submission.py")
    return re.split(r"[.:/]", str(what).rstrip("/"))[-1]


def enter(
    what: object,
    *,
    name: str | None,
    root: Path,
    framework: str | None,
    hyperparameters: Mapping[str, Any] | None = None,
    space: Space | None = None,
) -> Entrant:
    """A submission that can be run, with the points that are asked for.

    Args:
      what: an optimizer class or a function that makes one; its dotted path; `file.py:Name`; a folder or file of a
        submission.
      name: of its results; by default its own.
      root: of the results.
      framework: its name; None leaves it to what is named.
      hyperparameters: fixed values.
      space: from which the others are drawn; None: what is set is the only point, or, of a submission without, the
        search space beside it.

    Raises:
      UsageError: for whatever a person can put right.
    """
    given = what if isinstance(what, (str, Path)) else source.reference(what, root / SUBMISSIONS)
    name = name or name_of(what)
    content: tuning.SearchSpace | None = None
    if isinstance(space, (str, Path)):
        content = tuning.load_search_space(files.expanded(space))
    elif space is not None:
        content = plain(space)
        tuning.check_search_space(content)
    fixed = plain(dict(hyperparameters or {}))
    if isinstance(given, str) and adapter.is_optimizer(given):
        path = adapter.as_submission(
            given, framework=framework, settings=fixed, search_space=content, root=root / SUBMISSIONS
        )
        return Entrant(name, path.absolute(), None)
    path = shipped.submission(given).absolute()
    submission.find(path, framework)  # Refuses what is none.
    return Entrant(name, path, _written(root, name, _fixed_in(content, fixed, name)))


def _fixed_in(
    space: tuning.SearchSpace | None, fixed: dict[str, Any], name: str
) -> tuning.SearchSpace | None:
    """A search space in which some hyperparameters have one value; None where nothing is asked for."""
    if space is None:
        return [fixed] if fixed else None
    entries = space if isinstance(space, dict) else {key: None for point in space for key in point}
    both = sorted(fixed.keys() & entries.keys())
    if both:
        raise UsageError(f"{', '.join(both)} of {name!r} is both set and in the search space: leave one out.")
    if isinstance(space, list):
        return [{**fixed, **point} for point in space]
    return {**space, **{key: {"feasible_points": [value]} for key, value in fixed.items()}}


def _written(root: Path, name: str, space: tuning.SearchSpace | None) -> Path | None:
    if space is None:
        return None
    tuning.check_search_space(space)
    return write_space(root, name, space)


def write_space(root: Path, name: str, space: tuning.SearchSpace) -> Path:
    """Writes a search space of the results below `root`; returns its file."""
    path = root / SPACES / f"{name}.json"
    files.make_folder(path.parent, "results")
    files.write_json(path, space)
    return path.absolute()


def each_point(entrant: Entrant, names: Sequence[str], root: Path) -> list[Entrant]:
    """One for each point of a list: the same submission, with a file of its own that holds the point alone.

    Args:
      entrant: whose search space is a list, as long as `names`.
      names: of the results.
      root: of the results.
    """
    points = entrant.points()
    assert isinstance(points, list)
    assert len(points) == len(names)
    return [Entrant(name, entrant.path, write_space(root, name, [one])) for name, one in zip(names, points)]


def plain(value: Any) -> Any:
    """What a person gives, in the types of JSON: numbers of NumPy and tuples become those of Python and lists.

    >>> plain({"betas": (0.9, 0.99), "lr": 1e-3})
    {'betas': [0.9, 0.99], 'lr': 0.001}

    Raises:
      UsageError: for what JSON does not know.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if hasattr(value, "tolist"):  # Arrays and scalars of NumPy, and tensors of one number.
        return plain(value.tolist())
    try:
        json.dumps(value)
    except TypeError:
        raise UsageError(
            f"A hyperparameter is {value!r}, a {type(value).__name__}, which no record can hold: give numbers, texts, "
            "true or false, or lists of them."
        ) from None
    return value
