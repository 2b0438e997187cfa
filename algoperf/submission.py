"""Finds, imports and checks a submission before anything expensive starts."""

import ast
import contextlib
import dataclasses
import hashlib
import importlib
import importlib.util
import inspect
import operator
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from algoperf import files, frameworks, tuning
from algoperf.spec import UsageError
from algoperf.workload import WorkloadSpec

ANY_FRAMEWORK = "submission.py"
SEARCH_SPACE = "tuning_search_space.json"
SEARCH_SPACES = "tuning_search_space*.json"

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
class Submission:
    """A submission that was imported and passed the checks."""

    name: str
    """Folder (or file) name; the top level of its results."""
    path: Path
    """The module's file."""
    framework: str
    module: ModuleType
    source_hash: str
    """Hash of all .py and .json files of its folder, or of its file alone; see `source_hash`."""
    wants_train_state: bool
    uses_pmap: bool
    """Whether the source is written for arrays with a leading device axis."""
    leaves_dropout_to_harness: bool
    """Whether it was written for AlgoPerf 0.5, whose runner built the model with the hyperparameters' dropout rate."""

    def function(self, name: str) -> Callable[..., Any] | None:
        return getattr(self.module, name, None)


# ---- finding -----------------------------------------------------------------------------------------------------


def find(path: Path | str, framework: str | None = None) -> tuple[Path, str]:
    """The file and framework of a submission, without importing it.

    Args:
      path: a folder or a Python file.
      framework: its name; None infers it where only one is possible.

    Raises:
      UsageError: if there is no such submission, or the framework is ambiguous or not offered.
    """
    path = files.expanded(path)
    if framework is not None:
        framework = frameworks.get(framework).name
    if not path.exists():
        # A mistyped path is most often one of those that are here.
        near = sorted(
            p.parent.relative_to(Path.cwd()) for p in Path.cwd().glob("*_algorithms/*/submission*.py")
        )
        choices = ", ".join(dict.fromkeys(str(p) for p in near))
        hint = f" Here are, for example: {choices}." if choices else ""
        raise UsageError(f"No submission at {str(path)!r}: pass a folder or a .py file.{hint}")
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


def _parse(path: Path) -> ast.Module:
    try:
        # Bytes, not text: Python finds out by itself about byte order marks and lines that name a coding.
        return ast.parse(files.read_regular(path), filename=str(path))
    except OSError as error:
        raise UsageError(f"Cannot read the submission {path} ({error.strerror}): make it readable.") from None
    except (SyntaxError, ValueError) as error:  # UnicodeDecodeError among them.
        where = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise UsageError(f"Submission {path}{where} is not valid Python: {error}.") from None


def _imported_names(path: Path) -> set[str]:
    """Top-level packages that a file imports by absolute name."""
    names: set[str] = set()
    for node in ast.walk(_parse(path)):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


def frameworks_of(path: Path) -> list[str]:
    """Names of the frameworks that a file imports; if it imports none, the names of all."""
    imported = _imported_names(path)
    found = [one.name for one in frameworks.FRAMEWORKS if not imported.isdisjoint(one.packages)]
    return found or list(frameworks.names())


# ---- importing ---------------------------------------------------------------------------------------------------


def _add_import_roots(path: Path) -> None:
    """Makes importable what the submission's files import from folders around them.

    Public submissions import their siblings by absolute names such as `submissions.self_tuning.<folder>.muon`,
    whatever folder they were copied to: the ancestor that holds the first component joins `sys.path`.
    """
    # As with `python -m`: public submissions take for granted that they are started from the folder above them.
    cwd = str(Path.cwd())
    if cwd not in sys.path and "" not in sys.path:
        sys.path.insert(0, cwd)
    wanted: set[str] = set()
    for file in [path, *path.parent.glob("*.py")]:
        try:
            wanted |= _imported_names(file)
        except UsageError:  # A sibling that is never imported may be broken.
            if file == path:
                raise
    for name in sorted(wanted):
        # What can be imported already must not be hidden by a folder of the same name.
        if name in sys.modules or importlib.util.find_spec(name) is not None:
            continue
        for ancestor in path.parents:
            if (ancestor / name).is_dir() or (ancestor / f"{name}.py").is_file():
                sys.path.append(str(ancestor))  # At the end, for the same reason.
                break


PROJECT = Path(__file__).resolve().parents[1]


def _module_name(path: Path) -> tuple[str, Path]:
    """Dotted name under which the file is imported, and the folder that the name starts from.

    Both follow from the place of the file alone: checkpoints hold the names of classes, and a run may be continued
    from another working directory, or with another `sys.path`.
    """
    root = PROJECT
    if root not in path.parents:
        root = path.parents[min(max(1, _relative_level(path)), len(path.parents) - 1)]
        while (root / "__init__.py").is_file():  # The name of a package begins with the outermost one.
            root = root.parent
    parts = path.relative_to(root).with_suffix("").parts
    if all(part.isidentifier() for part in parts):
        return ".".join(parts), root
    return ".".join(_identifier(part) for part in (path.parent.name, path.stem)), path.parent.parent


def _relative_level(path: Path) -> int:
    """The most dots that a relative import of the file begins with."""
    return max((node.level for node in ast.walk(_parse(path)) if isinstance(node, ast.ImportFrom)), default=0)


def _identifier(text: str) -> str:
    """The text, if it is a name; else one made of it."""
    if text.isidentifier():
        return text
    return "".join(c if c.isalnum() else "_" for c in text) or "_"


def import_file(path: Path) -> ModuleType:
    """Imports a submission's file so that absolute and relative imports of its siblings work.

    Raises:
      UsageError: if the import fails; names the exception and the line.
    """
    _add_import_roots(path)
    name, root = _module_name(path)
    try:
        if all(part.isidentifier() for part in path.relative_to(root).with_suffix("").parts):
            if str(root) not in sys.path:
                sys.path.append(str(root))
            if _is_found_as(name, path):
                return importlib.import_module(name)
        return _import_as(path, name)
    except (UsageError, KeyboardInterrupt):
        raise
    except BaseException as error:  # Also SystemExit: a submission must not end the command in silence.
        # Frames of the import system say nothing about the submission.
        frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<")]
        line = next((f.lineno for f in reversed(frames) if Path(f.filename) == path), None)
        where = f" (line {line})" if line else ""
        raise UsageError(
            f"Importing submission {path}{where} failed: {type(error).__name__}: {error}"
        ) from error


def _is_found_as(name: str, path: Path) -> bool:
    """Whether importing `name` would run this file and not another file that comes earlier in sys.path."""
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # The parent is no package, or `_import_as` has made it.
        return False
    return found is not None and found.origin is not None and Path(found.origin).resolve() == path


def _import_as(path: Path, name: str) -> ModuleType:
    """Imports a file under a new name, with its folder as the package."""
    package, _, stem = name.rpartition(".")
    if package:
        if _is_taken(package):  # For example a folder called jax.
            package = f"submission_in_{_identifier(package)}"
            name = f"{package}.{stem}"
        for other in [other for other in sys.modules if other == package or other.startswith(f"{package}.")]:
            del sys.modules[other]  # Siblings of an earlier submission from another folder of this name.
        parent = ModuleType(package)
        parent.__path__ = [str(path.parent)]
        sys.modules[package] = parent
    module_spec = importlib.util.spec_from_file_location(name, path)
    assert module_spec is not None
    assert module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[name] = module  # Before it runs: dataclasses and pickle look their module up by name.
    module_spec.loader.exec_module(module)
    return module


def _is_taken(package: str) -> bool:
    """Whether a regular package or module of that name can be imported (a bare folder is not one)."""
    try:
        found = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return False
    return found is not None and found.origin is not None


def load(path: Path | str, framework: str | None = None) -> Submission:
    """Finds, imports and checks a submission.

    Raises:
      UsageError: one line that says what is wrong and what to do.
    """
    file, framework = find(path, framework)
    record = frameworks.get(framework)
    record.check_installed()  # Else the import below would fail with a message about the submission.
    uses_pmap = _uses_any(file, record.per_device_names)
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
        source_hash=source_hash(file),
        wants_train_state="train_state" in parameters,
        uses_pmap=uses_pmap,
        leaves_dropout_to_harness="algorithmic_efficiency" in _imported_names(file)
        and not _passes_dropout(file),
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


def _uses_any(file: Path, names: frozenset[str]) -> bool:
    """Whether the source uses one of these names, by itself or as an attribute."""
    return any(
        (isinstance(node, ast.Attribute) and node.attr in names)
        or (isinstance(node, ast.Name) and node.id in names)
        for node in ast.walk(_parse(file))
    )


def _passes_dropout(file: Path) -> bool:
    """Whether any call in the source names `dropout_rate=`."""
    calls = (node for node in ast.walk(_parse(file)) if isinstance(node, ast.Call))
    return any(keyword.arg == "dropout_rate" for call in calls for keyword in call.keywords)


def source_hash(file: Path) -> str:
    """Short hash of the names and contents of a submission's Python and JSON files, without search spaces.

    A search space only determines the points drawn from it, and the point of a trial is compared itself.

    Args:
      file: the submission's file; if it has a folder of its own, all files in it count.
    """
    digest = hashlib.sha256()
    for path in sorted(file.parent.rglob("*")) if has_own_folder(file) else [file]:
        # Checkpoints, logs and caches that lie in the folder change nothing about the method.
        is_source = path.suffix == ".py" or (path.suffix == ".json" and not path.match(SEARCH_SPACES))
        if is_source and path.is_file():
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


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
