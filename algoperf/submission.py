"""Finds, imports and checks a submission before anything expensive starts."""

import ast
import contextlib
import dataclasses
import difflib
import importlib
import importlib.metadata
import inspect
import operator
import re
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from algoperf import (
    files,
    frameworks,
    shipped,
    source_digest,
    submission_files,
    submission_import,
    submission_source,
    tuning,
)
from algoperf.spec import UsageError
from algoperf.workload import WorkloadSpec

ANY_FRAMEWORK = "submission.py"
SEARCH_SPACE = "tuning_search_space.json"

KEYWORDS = (
    "workload",
    "current_param_container",
    "current_params_types",
    "model_state",
    "hyperparameters",
    "batch",
    "loss_type",
    "optimizer_state",
    "eval_results",
    "global_step",
    "rng",
)
PREPARE_KEYWORDS = tuple(name for name in KEYWORDS if name != "batch")
# Function -> (number of positional arguments, keyword arguments) that it must accept; AlgoPerf's runner calls them
# so.
REQUIRED = {
    "get_batch_size": (1, ()),
    "init_optimizer_state": (5, ()),
    "update_params": (0, KEYWORDS),
    "data_selection": (8, ()),
}
OPTIONAL = {"prepare_for_eval": (0, PREPARE_KEYWORDS), "get_eval_batch_size": (1, ())}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SubmissionFacts:
    """What is known of a submission without importing it."""

    name: str
    """Folder (or file) name; the top level of its results."""
    path: Path
    """The module's file."""
    framework: str
    source_hash: str
    """Over its folder (the file alone, if that holds other things) and every file that it imports: `source_hash`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Submission(SubmissionFacts):
    """A submission that was imported and passed the checks."""

    module: ModuleType
    wants_train_state: bool
    uses_pmap: bool
    """Whether the source is written for arrays with a leading device axis."""
    leaves_dropout_to_harness: bool
    """Whether it hands no dropout rate to the model: until mid-2025 the harness built the model with the rates of the
    hyperparameters, whatever the package was called that a submission imports."""

    def function(self, name: str) -> Callable[..., Any] | None:
        return getattr(self.module, name, None)


# ---- finding -----------------------------------------------------------------------------------------------------


def find(path: Path | str, framework: str | None = None) -> tuple[Path, str]:
    """The file and framework of a submission, without importing it.

    Args:
      path: a folder or a Python file, or the name of one that ships.
      framework: its name; None infers it where only one is possible.

    Raises:
      UsageError: if there is no such submission, or the framework is ambiguous or not offered.
    """
    path = _located(path)
    if framework is not None:
        framework = frameworks.get(framework).name
    offered = _files_by_framework(path)
    if framework is None:
        if len(offered) != 1:
            raise UsageError(
                f"Submission {str(path)!r} can run in {' and '.join(offered)}: "
                f"say which with --framework={'|'.join(offered)}."
            )
        framework = next(iter(offered))
    elif framework not in offered:
        # A file without imports fits any framework; it is offered for all.
        if offered and not (path.is_file() and not _imported_names(path)):
            raise UsageError(
                f"Submission {str(path)!r} is written for {' and '.join(offered)}, not for {framework}; "
                f"use --framework={next(iter(offered))}."
            )
        offered = {framework: path}
    return offered[framework].resolve(), framework


def _located(given: Path | str) -> Path:
    """The path of a submission; UsageError if nothing is there."""
    path = shipped.submission(given)
    if not path.exists():
        names = [*shipped.algorithms(), "template"]
        near = difflib.get_close_matches(path.name, names, n=1)
        nearest = f"; the nearest is {near[0]!r}" if near else ""
        raise UsageError(
            f"No submission at {str(path)!r}: pass a folder or a .py file, or the name of one that ships{nearest}. "
            f"Choose from {', '.join(names)}."
        )
    return path


def offered(given: Path | str) -> list[str]:
    """Names of the frameworks that a submission can run in.

    Raises:
      UsageError: if it is none.
    """
    return list(_files_by_framework(_located(given)))


def _files_by_framework(path: Path) -> dict[str, Path]:
    """Framework -> file of a submission, which is a folder or a Python file.

    Raises:
      UsageError: if it is none.
    """
    if path.is_file():
        if path.suffix != ".py":
            raise UsageError(f"A submission is a folder or a .py file; {str(path)!r} is neither.")
        offered = {name: path for name in frameworks_of(path)}
    else:
        offered = {}
        for one in frameworks.FRAMEWORKS:
            for file in one.submission_files:
                if (path / file).is_file():
                    offered.setdefault(one.name, path / file)
        # A file for one framework goes before the one for all.
        if (path / ANY_FRAMEWORK).is_file():
            for name in frameworks_of(path / ANY_FRAMEWORK):
                offered.setdefault(name, path / ANY_FRAMEWORK)
        if not offered:
            expected = ", ".join((ANY_FRAMEWORK, *frameworks.submission_files()))
            raise UsageError(f"Folder {str(path)!r} holds no submission: expected one of {expected}.")
    return offered


def _parse(path: Path) -> ast.Module:
    try:
        return submission_import.parse(path)
    except OSError as error:
        raise UsageError(f"Cannot read the submission {path} ({error.strerror}): make it readable.") from None
    except (SyntaxError, ValueError) as error:  # UnicodeDecodeError among them.
        where = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise UsageError(f"Submission {path}{where} is not valid Python: {error}.") from None


def _imported_names(path: Path) -> set[str]:
    """Top-level packages that a file imports by absolute name."""
    found = submission_import.absolute_imports(_parse(path))
    return {name.split(".")[0] for name, _, _ in found}


def frameworks_of(path: Path) -> list[str]:
    """Names of the frameworks that a file imports; if it imports none, the names of all."""
    imported = _imported_names(path)
    found = [one.name for one in frameworks.FRAMEWORKS if not imported.isdisjoint(one.packages)]
    return found or list(frameworks.names())


# ---- importing ---------------------------------------------------------------------------------------------------


def import_file(path: Path) -> ModuleType:
    """Imports a submission's file so that absolute and relative imports of its siblings work.

    Raises:
      UsageError: if the import fails; names the exception and the line.
    """
    try:
        return submission_import.import_submission(path)
    except (UsageError, KeyboardInterrupt):
        raise
    # Not BaseException alone: a submission must not end the command in silence, and whoever runs tests may.
    except (Exception, SystemExit, GeneratorExit) as error:
        # Frames of the import system say nothing about the submission.
        frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<")]
        line = next((f.lineno for f in reversed(frames) if Path(f.filename) == path), None)
        where = f" (line {line})" if line else ""
        raise UsageError(
            f"Importing submission {path}{where} failed: {type(error).__name__}: {error}{version_hint(error, path)}"
        ) from error


def version_hint(error: BaseException, file: Path) -> str:
    """What to add to an error about a name that a package does not have: its version, and the one that is asked for.

    Args:
      error: of an import or of an attribute.
      file: of the submission, whose requirements.txt is beside it or a folder above.
    """
    if isinstance(error, ImportError):
        module = error.name or ""
    elif isinstance(error, AttributeError) and isinstance(error.obj, ModuleType):
        module = error.obj.__name__
    else:
        return ""
    package = module.split(".")[0]
    if not package:  # Raised by somebody who gave no name.
        return ""
    asked = [
        line for line in _requirements(file) if re.match(rf"{re.escape(package)}\b", line, re.IGNORECASE)
    ]
    wanted = f"; its requirements.txt asks for {asked[0]}" if asked else ""
    try:
        installed = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return wanted
    return f" ({package} {installed} is installed{wanted or ', and it was written for another version'})"


def _requirements(file: Path) -> list[str]:
    for folder in list(file.parents)[:2]:
        with contextlib.suppress(OSError, ValueError):
            return [line.strip() for line in (folder / "requirements.txt").read_text().splitlines()]
    return []


def check_imports(file: Path) -> None:
    """Raises UsageError for a package that a submission imports at its start and that is nowhere to be found."""
    top_level = [node for node in _parse(file).body if isinstance(node, (ast.Import, ast.ImportFrom))]
    siblings = submission_import.Siblings(file.parent)
    for name, imported, line in submission_import.absolute_imports(ast.Module(list(top_level), [])):
        package = name.split(".")[0]
        if siblings.place_of(name, imported) is None and not submission_import.can_be_found(package, file):
            missing = ModuleNotFoundError(f"No module named {package!r}", name=package)
            hint = version_hint(missing, file)
            raise UsageError(
                f"Submission {file} (line {line}) imports {name!r}, which is not installed{hint}."
            )


def load(path: Path | str, framework: str | None = None) -> Submission:
    """Finds, imports and checks a submission.

    Raises:
      UsageError: one line that says what is wrong and what to do.
    """
    file, framework = find(path, framework)
    record = frameworks.get(framework)
    record.check_installed()  # Else the import below would fail with a message about the submission.
    _parse(file)  # Says what is wrong with a file that is no Python.
    source = submission_source.Source(file)
    # Before the import, in which it could put other files in their places.
    own = submission_files.files_of(file, has_own_folder(file)).paths
    digest = source_digest.combined(source_digest.of_files(own))
    submission_import.pin(file, (path for path in own.values() if path.suffix == ".py"))
    with record.blamed():
        if record.older_names is not None:
            importlib.import_module(
                record.older_names
            ).put_back()  # Before anything is imported from it by name.
        module = import_file(file)
    for name, (num_positional, keywords) in {**REQUIRED, **OPTIONAL}.items():
        function = getattr(module, name, None)
        if function is None and name in OPTIONAL:
            continue
        _check_function(file, name, function, num_positional, keywords)
    parameters = inspect.signature(module.update_params).parameters
    return Submission(
        name=file.parent.name if has_own_folder(file) else file.stem,
        path=file,
        framework=framework,
        module=module,
        source_hash=digest,
        wants_train_state="train_state" in parameters,
        uses_pmap=source.uses(record.packages, record.per_device_names),
        leaves_dropout_to_harness=not source.passes_dropout(),
    )


def _check_function(
    file: Path, name: str, function: object, num_positional: int, keywords: Iterable[str]
) -> None:
    if not callable(function):
        raise UsageError(
            f"Submission {file} does not define {name}(); see submissions/template/ for all functions."
        )
    signature = inspect.signature(function)
    if name == "update_params" and "train_state" in signature.parameters:
        keywords = (*keywords, "train_state")  # Passed where it is asked for.
    try:
        # Binding calls nothing, and accepts whatever names positional arguments have, as the calls do.
        signature.bind(*[None] * num_positional, **dict.fromkeys(keywords))
    except TypeError as error:
        how = (
            f"{num_positional} positional argument(s)"
            if num_positional
            else f"the keywords {', '.join(keywords)}"
        )
        raise UsageError(
            f"Submission {file}: {name}{signature} must accept {how} ({error}); see submissions/template/."
        ) from None


def source_hash(file: Path) -> str:
    """Digest of all files that a submission consists of: see `submission_files.files_of`."""
    return source_digest.combined(
        source_digest.of_files(submission_files.files_of(file, has_own_folder(file)).paths)
    )


def has_own_folder(file: Path) -> bool:
    """Whether a submission's file has a standard name, so that the submission is named after its folder."""
    return file.name in (ANY_FRAMEWORK, *frameworks.submission_files())


# ---- questions to a submission -----------------------------------------------------------------------------------


def batch_size(submission: Submission, workload: WorkloadSpec, num_devices: int) -> int:
    """The global batch size that a submission asks for (R2.4).

    A submission that does not know the name (ValueError, or KeyError of a plain table) is asked for the base
    workload's. A mini workload uses its own default instead, because the base's would not fit, and so does a workload
    whose base is unknown too.

    Raises:
      UsageError: if the result is no positive integer, or no multiple of the number of devices.
    """
    ask = submission.module.get_batch_size
    called = f"get_batch_size({workload.name!r}) of submission {submission.name!r}"
    try:
        try:
            answer = ask(workload.name)
        except (ValueError, KeyError):
            answer = workload.default_batch_size
            if not workload.is_mini and workload.base_name != workload.name:
                with contextlib.suppress(ValueError, KeyError):
                    answer = ask(workload.base_name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # Also SystemExit, by which the command would end in silence.
        line = traceback.extract_tb(error.__traceback__)[-1].lineno
        raise UsageError(
            f"{called} raised {type(error).__name__}: {error} (line {line}); for a workload that it does not know it "
            "is to raise ValueError."
        ) from error
    number = _index(answer)
    if number is None or number <= 0:
        raise UsageError(f"{called} must return a positive integer, got {_shown(answer)}.")
    if number % num_devices:
        raise UsageError(
            f"{called} returned {number}, which does not divide over {num_devices} devices; return a multiple of "
            f"{num_devices}."
        )
    return number


def _index(answer: object) -> int | None:
    """The whole number that an answer is; None for anything else.

    NumPy's integers are welcome and floats are not; True is an integer to Python alone. Arrays have `__index__` and
    refuse it in several ways.
    """
    if isinstance(answer, bool) or not hasattr(answer, "__index__"):
        return None
    try:
        return operator.index(answer)
    except Exception:  # Of whatever type it is.
        return None


def _shown(answer: object, limit: int = 80) -> str:
    """An answer on one line."""
    text = " ".join(repr(answer).split())
    return text if len(text) <= limit else f"{text[:limit]}…"


def search_space(submission_file: Path, given: Path | str | None) -> tuple[tuning.SearchSpace, Path]:
    """(search space of a submission, its path): `given`, or by default tuning_search_space.json beside its file.

    A file name without folder that is not in the working directory is searched beside the submission, so that one flag
    can choose a search space of the same name for several submissions.
    """
    path = files.expanded(given) if given else submission_file.parent / SEARCH_SPACE
    beside = submission_file.parent / path.name
    if str(given) == path.name and beside.exists() and not path.exists():
        path = beside
    return tuning.load_search_space(path), path
