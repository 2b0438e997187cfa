"""Search spaces, and the points drawn from them.

A point depends only on (search space, seed, study, trial), so trials can run in one process, in many, or in any
order. Points are quasi-random: each study has its own scrambled Halton sequence.
Source: Bousquet et al. 2017, https://arxiv.org/abs/1706.03200; the file format is AlgoPerf's.
"""

import collections
import difflib
import json
import keyword
import math
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from algoperf import files, typed_json
from algoperf.spec import Hyperparameters, UsageError

SearchSpace = dict[str, Any] | list[dict[str, Any]]
Point = dict[str, Any]
SCALINGS = ("log", "linear")
MAX_POINTS = 10_000
"""Of a study: far above what anybody runs, so that a typing error is refused instead of keeping the machine busy."""


def load_search_space(path: Path | str) -> SearchSpace:
    """Reads and checks a tuning_search_space.json: an object of ranges, or a list of complete points.

    Raises:
      UsageError: if the file is missing, unreadable or ill-formed; names the wrong entry.
    """
    path = Path(path)
    space = files.read_users_json(
        path,
        f"search space {path}",
        f"No search space at {path}: pass --tuning_search_space=<file.json> or use --tuning_ruleset=self.",
    )
    try:
        check_search_space(space)
    except UsageError as error:
        raise UsageError(f"Search space {path}: {error}") from None
    return space


def check_search_space(space: object) -> None:
    """Raises UsageError if `space` does not have the form of R5.4."""
    if isinstance(space, list):
        if not space or not all(isinstance(point, dict) and point for point in space):
            raise UsageError("a list must hold at least one point, each an object of hyperparameters.")
        for index, point in enumerate(space):
            _check_names(point)
            if point.keys() != space[0].keys():
                odd = sorted(point.keys() ^ space[0].keys())
                raise UsageError(f"point {index + 1} of the list differs from point 1 in its keys: {odd}.")
            for name, value in point.items():
                _check_value(f"{name!r} of point {index + 1}", value)
    elif isinstance(space, dict) and space:
        _check_names(space)
        for name, entry in space.items():
            _check_entry(name, entry)
    else:
        raise UsageError(f"expected an object of ranges or a list of points, got {_short(space)}.")


def _check_names(names: Iterable[str]) -> None:
    for name in names:
        # Python takes some letters for others, by which two names would be one.
        is_usual = unicodedata.normalize("NFKC", name) == name
        if not name.isidentifier() or name.startswith("_") or keyword.iskeyword(name) or not is_usual:
            raise UsageError(
                f"{name!r} is no name for a hyperparameter: use letters, digits and underscores, and no word of Python."
            )


def _check_entry(name: str, entry: object) -> None:
    if isinstance(entry, dict) and set(entry) == {"feasible_points"}:
        points = entry["feasible_points"]
        if not isinstance(points, list) or not points:
            raise UsageError(f"{name!r}: feasible_points must be a non-empty list, got {_short(points)}.")
        for value in points:
            _check_value(f"{name!r}", value)
        return
    if not isinstance(entry, dict) or not {"min", "max"} <= set(entry) <= {"min", "max", "scaling"}:
        raise UsageError(
            f'{name!r} must be {{"min": a, "max": b, "scaling": "log" or "linear"}} or '
            f'{{"feasible_points": [...]}}, got {_short(entry)}.'
        )
    low, high = entry["min"], entry["max"]
    # `json` reads NaN and Infinity, and a bool is an int to `isinstance`.
    for value in (low, high):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not _is_finite(value):
            raise UsageError(f"{name!r}: min and max must be finite numbers, got {_short(value)}.")
    if "scaling" not in entry:
        raise UsageError(f'{name!r} lacks "scaling": add "log" or "linear" to {_short(entry)}.')
    scaling = entry["scaling"]
    if scaling not in SCALINGS:
        raise UsageError(f"{name!r}: scaling {scaling!r} is unknown; choose from {', '.join(SCALINGS)}.")
    if low > high:
        raise UsageError(f"{name!r}: min {low!r} is above max {high!r}.")
    if scaling == "log" and low <= 0:
        raise UsageError(f"{name!r}: log scaling needs positive ends, got min {low!r}.")
    if not _is_finite(high / low if scaling == "log" else float(high) - float(low)):
        raise UsageError(
            f"{name!r}: the range from {low!r} to {high!r} is wider than floating-point numbers: bring its ends closer."
        )


def _check_value(name: str, value: object) -> None:
    """Raises UsageError for a value that no submission can use, lists looked through."""
    if value is None:
        raise UsageError(f"{name} is null, which is no value: give one, or leave the hyperparameter out.")
    if isinstance(value, (int, float)) and not _is_finite(value):
        raise UsageError(
            f"{name} must be a finite number, got {_short(value)}: JSON has no other; give a large one such as 1e30, "
            "or leave the hyperparameter out."
        )
    if isinstance(value, (list, dict)):
        for item in value if isinstance(value, list) else value.values():
            _check_value(name, item)


def _is_finite(value: float) -> bool:
    """Also False for whole numbers that no float can hold."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _short(value: object) -> str:
    return typed_json.shown(value)


def _value(entry: Mapping[str, Any], u: float) -> Any:
    """The value at coordinate `u` in [0, 1)."""
    if "feasible_points" in entry:
        points = entry["feasible_points"]
        # u < 1, but u * n can round up to n.
        return points[min(int(u * len(points)), len(points) - 1)]
    low, high = entry["min"], entry["max"]
    if entry.get("scaling", "linear") == "log":
        return low * math.exp(u * math.log(high / low))
    return low + u * (high - low)


def num_distinct(space: SearchSpace) -> float:
    """Number of different points in the space; infinite if it has a range with min < max."""
    if isinstance(space, list):
        return len(space)
    count = 1
    for entry in space.values():
        if "feasible_points" in entry:
            # As text: values may be lists, which a set cannot hold, and 1 is another point than true.
            count *= len({json.dumps(value) for value in entry["feasible_points"]})
        elif entry["min"] < entry["max"]:
            return math.inf
    return count


def draw_points(
    space: SearchSpace, num_trials: int, seed: int, study: int = 0, trials_per_study: int | None = None
) -> list[Point]:
    """The points of one study, all different; point t is trial t + 1.

    A list that is at most as long as the number of trials is used in file order, one point per trial. From a longer
    list every study draws its own points without replacement (R5.6).

    Args:
      space: checked search space.
      num_trials: number of points; a shorter list gives fewer.
      seed: `--rng_seed`, the same for all studies.
      study: number of the study, from 0.
      trials_per_study: the suite's number, with which the length of a list is compared; by default `num_trials`.

    Raises:
      UsageError: if the space holds fewer different points than trials.
    """
    if isinstance(space, list):
        if len(space) <= (trials_per_study or num_trials):
            return [dict(point) for point in space[:num_trials]]
        order = np.random.default_rng([seed, study]).permutation(len(space))
        return [dict(space[index]) for index in order[:num_trials]]
    if num_trials > MAX_POINTS:
        raise UsageError(
            f"At most {MAX_POINTS} trials a study can be drawn, got {num_trials}: ask for fewer."
        )
    if num_distinct(space) < num_trials:
        raise UsageError(
            f"The search space holds only {num_distinct(space)} different points, fewer than the "
            f"{num_trials} trials asked for: widen it or lower --num_tuning_trials."
        )
    from scipy.stats import qmc

    # Scrambled: the first points of a plain Halton sequence are strongly correlated in high dimensions.
    sampler = qmc.Halton(d=len(space), scramble=True, rng=np.random.default_rng([seed, study]))
    points: list[Point] = []
    seen: set[str] = set()
    # Blocks until there are enough different points: in a space of a few feasible points draws repeat often.
    for _ in range(1000):
        if len(points) >= num_trials:
            break
        for row in sampler.random(32):
            if len(points) >= num_trials:
                break
            point = {name: _value(entry, float(u)) for (name, entry), u in zip(space.items(), row)}
            key = json.dumps(point, sort_keys=True)
            if key not in seen:
                seen.add(key)
                points.append(point)
    if len(points) < num_trials:
        raise UsageError(
            f"The search space gave only {len(points)} different points for {num_trials} trials: widen it."
        )
    return points


def make_hyperparameters(point: Mapping[str, object]) -> Hyperparameters:
    """A namedtuple `Hyperparameters` that remembers which of its fields were read; see `unread`.

    If a point has only `one_minus_<name>` (for log-scale sweeps near 1), `<name>` can be read as well.

    >>> round(make_hyperparameters({"one_minus_beta2": 0.001}).beta2, 6)
    0.999
    """
    # The fields are known at run time only.
    base = collections.namedtuple("Hyperparameters", list(point))  # type: ignore[misc]
    read: set[str] = set()

    def __getattribute__(self: tuple, name: str) -> Any:  # noqa: N807 - becomes a method
        read.add(name)
        return tuple.__getattribute__(self, name)

    def __getattr__(self: tuple, name: str) -> Any:  # noqa: N807 - becomes a method, for what is no field
        complement = f"one_minus_{name}"
        if complement in base._fields:
            return 1 - getattr(self, complement)
        if name.startswith("_"):  # Asked for by Python itself, to see what an object can do.
            raise AttributeError(name)
        near = difflib.get_close_matches(name, base._fields, n=1)
        advice = f"; the nearest is {near[0]!r}" if near else ""
        raise AttributeError(
            f"Hyperparameters has no {name!r}{advice}. Its keys are {', '.join(base._fields)}."
        )

    def everything(name: str) -> Callable[..., Any]:
        def method(self: tuple, *args: object) -> Any:
            read.update(base._fields)
            return getattr(tuple, name)(self, *args)

        return method

    # _asdict, _replace, unpacking and indexing read fields without their names, so they count as reading all.
    # __reduce__: optimizer states in checkpoints may contain the tuple, and its class cannot be imported by name.
    members = {
        "__slots__": (),
        "__getattribute__": __getattribute__,
        "__getattr__": __getattr__,
        "__iter__": everything("__iter__"),
        "__getitem__": everything("__getitem__"),
        "__reduce__": lambda self: (make_hyperparameters, (dict(zip(base._fields, tuple.__iter__(self))),)),
        "_read": read,
    }
    made = type("Hyperparameters", (base,), members)(**point)
    read.clear()
    return made


def names_read(hyperparameters: Hyperparameters | None) -> frozenset[str]:
    """What somebody has asked such a namedtuple for, fields and others; nothing for None."""
    return frozenset() if hyperparameters is None else frozenset(type(hyperparameters)._read)


def unread(hyperparameters: Hyperparameters | None, read_earlier: Collection[str] = ()) -> list[str]:
    """Names of hyperparameters that nobody has read; none for None.

    Args:
      hyperparameters: the result of `make_hyperparameters`, or None.
      read_earlier: `names_read` in an earlier part of the run.
    """
    if hyperparameters is None:
        return []
    read = {*names_read(hyperparameters), *read_earlier}
    return [name for name in type(hyperparameters)._fields if name not in read]
