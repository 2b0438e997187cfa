"""What the files of a workload folder must and may define: every member, its type and its default, in one place.

    data = registry.data_module(spec)     # a `DataFile`
    data.PREFETCH                         # what data.py says, or the default

A member without a default is required. `problem` finds what is wrong with a folder without running its files, so that
data packages and frameworks stay unimported; `read` does the same for a file that was imported.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from algoperf import frameworks
from algoperf.spec import UsageError

if TYPE_CHECKING:  # Commands that only list workloads do without NumPy, which takes 0.1 s to import.
    import numpy as np

    from algoperf.data.stream import Batch, Stream
    from algoperf.workload import WorkloadSpec

NEARLY = 0.85
"""Names at least this similar (`difflib` ratio) count as a misspelling; 'eval_batch' and 'eval_batches': 0.91."""


class Metrics(Protocol):
    """Computes the metrics of one pass over a split: `update` for each batch, then `result`."""

    def update(self, batch: Batch, outputs: dict[str, np.ndarray]) -> None:
        """Adds a batch and the model's outputs for it, both with the batch axis in front."""

    def result(self) -> Mapping[str, float]:
        """Metric name -> number; the target metric must be among them."""


class CallArgs(Protocol):
    """(batch, train) -> keyword arguments for the module."""

    def __call__(self, batch: Batch, train: bool) -> dict[str, Any]: ...


# ---- defaults --------------------------------------------------------------------------------------------------------


def no_files(spec: WorkloadSpec, folder: Path, progress: bool = True) -> None:
    """Does nothing: the data need no files."""


def always_ready(spec: WorkloadSpec, folder: Path) -> bool:
    """True: data that need no files are always complete."""
    return True


def nothing_to_verify(spec: WorkloadSpec, folder: Path, progress: bool = True) -> dict[str, dict[str, int]]:
    """An empty result: there are no files to verify."""
    return {}


def not_told(spec: WorkloadSpec, folder: Path) -> Sequence[Path] | None:
    """None: nobody knows which files training needs, so it may read all of the data."""
    return None


def shares_no_files(spec: WorkloadSpec, folder: Path, target: Path) -> bool:
    """False, and nothing is written: no file holds examples of training and of evaluation."""
    return False


def nowhere_else(spec: WorkloadSpec) -> Sequence[Path]:
    """No files: evaluation data lie in the data folder alone."""
    return ()


def inputs_alone(batch: Batch, train: bool) -> dict[str, Any]:
    """`inputs` as the only keyword argument of the model."""
    return {"inputs": batch["inputs"]}


def as_it_is(batch: Batch) -> Batch:
    """The batch unchanged: submissions see it as data.py made it."""
    return batch


def averages_of_outputs(spec: WorkloadSpec, folder: Path) -> Metrics:
    """See `algoperf.metrics.averages`."""
    # Imported late: this module must not need NumPy.
    return importlib.import_module("algoperf.metrics.averages").make_metrics(spec, folder)


# ---- the files -------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(kw_only=True)
class WorkloadFile:
    """`workload.py`: the facts of the family; imports no framework."""

    FAMILY: Any
    """`Family(base=WorkloadSpec(...), variants={...}, mini=Variant(...))`."""


@dataclasses.dataclass(kw_only=True)
class DataFile:
    """`data.py`: raw files -> prepared files -> NumPy batches."""

    train_stream: Callable[..., Stream]
    """`(spec, folder, seed, global_batch_size)`: endless shuffled batches of exactly `global_batch_size` rows."""
    eval_batches: Callable[..., Iterator[Batch]]
    """`(spec, folder, split, batch_size)`: one pass over 'eval_train', 'validation' or 'test', in a fixed order. The
    last batch is padded to `batch_size` rows; `weights` is 1 for real items and 0 for padding."""
    prepare: Callable[..., None] = no_files
    """`(spec, folder, progress=True)`: raw files in folder/raw -> prepared files in folder. Resumable; writes a
    manifest last. Required unless `NEEDS_FILES` is False."""
    synthesize: Callable[..., None] = no_files
    """`(spec, folder, progress=True)`: raw files of the real format into folder/raw, the same every time. Required for
    a mini version, unless `NEEDS_FILES` is False."""
    is_ready: Callable[[WorkloadSpec, Path], bool] = always_ready
    """`(spec, folder)`: whether `folder` holds complete prepared data of the right version; cheap. Required unless
    `NEEDS_FILES` is False."""
    verify: Callable[..., Mapping[str, Mapping[str, int]]] = nothing_to_verify
    """`(spec, folder, progress=True)`: checks prepared files; split -> what is counted -> how many there are."""
    training_files: Callable[[WorkloadSpec, Path], Sequence[Path] | None] = not_told
    """`(spec, folder)`: the prepared files and folders that `train_stream` reads, all that a confined submission can
    open of the data (docs/referee.md). Without it, that is the whole folder."""
    write_training_part: Callable[[WorkloadSpec, Path, Path], bool] = shares_no_files
    """`(spec, folder, target)`: where a file holds examples of training and of evaluation, writes into the empty folder
    `target` what `train_stream` reads when `locate.training_part()` is that folder, with the same batches, and returns
    True; a confined submission can open this and nothing else."""
    held_out_files: Callable[[WorkloadSpec], Sequence[Path]] = nowhere_else
    """`(spec)`: files and folders with evaluation data outside of the data folder, such as those of a package."""
    NEEDS_FILES: bool = True
    """Whether there are files to prepare."""
    RESEEDS: bool = False
    """Whether `synthesize` takes a keyword `seed`, from which it makes other samples of the same distribution, in all
    splits, and `is_ready` tells data of other instances apart (`spec.data_instance`). See `algoperf.data.sealed`."""
    SHARDED: bool = False
    """Whether a batch consists of one part per device, because examples cannot be split by rows (graphs).
    `train_stream` and `eval_batches` then take a keyword `num_shards`, and every array of a batch consists of
    `num_shards` parts of one size, one after the other."""
    PREFETCH: int = 3
    """How many training batches a thread makes in advance; 0 makes each one when it is asked for."""


@dataclasses.dataclass(kw_only=True)
class DownloadFile:
    """`download.py` in the data set's folder, optional: downloads the raw files of the full-size workload."""

    download: Callable[[WorkloadSpec, Path, bool], None]
    """`(spec, folder, progress)`: downloads them into folder/raw."""


@dataclasses.dataclass(kw_only=True)
class ModelFile:
    """`model_<suffix>.py`: what the model file of every framework defines."""

    FRAMEWORK: ClassVar[str]
    """Name of the framework whose files define this."""

    make_model: Callable[[WorkloadSpec], Any]
    """`(spec)`: the module. It is called with what `call_args` gives, with `dropout_rate` and, in JAX, `train`; it
    returns logits. In PyTorch it initialises itself from the global generator."""
    call_args: CallArgs = inputs_alone
    """`(batch, train)`: keywords for the module; `{"inputs": batch["inputs"]}` by default."""
    eval_outputs: Callable[..., dict[str, Any]] | None = None
    """JAX `(model, variables, batch, spec)`, PyTorch `(model, batch, spec)`: arrays for the metrics, with the batch
    axis in front and the same in every framework. By default the outputs of `DefaultOutputs`."""
    loss: Callable[..., dict[str, Any]] | None = None
    """`(label_batch, logits_batch, mask_batch, label_smoothing)`: `summed`, `n_valid_examples` and `per_example`. By
    default the loss of the spec's `loss_type`."""


@dataclasses.dataclass(kw_only=True)
class JaxModelFile(ModelFile):
    """`model_jax.py`: members of `ModelFile` and those that only JAX needs."""

    FRAMEWORK = "jax"

    example_batch: Callable[[WorkloadSpec], Batch]
    """`(spec)`: a batch with the shapes that the module is initialised with; one row is enough."""
    split_over_devices: Callable[[Batch, int], Batch] | None = None
    """`(batch, num_devices)`: the batch with a leading device axis, for submissions that use `jax.pmap`. By default
    each device gets equally many rows."""


@dataclasses.dataclass(kw_only=True)
class TorchModelFile(ModelFile):
    """`model_torch.py`: members of `ModelFile` and those that only PyTorch needs."""

    FRAMEWORK = "pytorch"

    arrange: Callable[[Batch], Batch] = as_it_is
    """`(batch)`: the batch as submissions see it (NCHW views)."""


@dataclasses.dataclass(kw_only=True)
class MetricsFile:
    """`metrics.py`, optional: without it, outputs are averaged over real examples."""

    make_metrics: Callable[[WorkloadSpec, Path], Metrics] = averages_of_outputs
    """`(spec, folder)`: an object with `update(batch, outputs)` and `result()`, one per pass over a split."""


@dataclasses.dataclass(kw_only=True)
class WeightsFile:
    """`weights.py`: the weights of one framework under the names and in the layouts of the other."""

    jax_to_torch: Callable[[dict[str, Any], WorkloadSpec], dict[str, np.ndarray]]
    """`(params, spec)`: nested JAX parameters -> PyTorch state dict."""
    batch_stats_to_torch: Callable[[dict[str, Any], WorkloadSpec], dict[str, np.ndarray]] | None = None
    """`(batch_stats, spec)`: the same for running statistics."""


MODEL_FILES: Mapping[str, type[ModelFile]] = {
    frameworks.get(one.FRAMEWORK).suffix: one for one in (JaxModelFile, TorchModelFile)
}
"""Suffix of a framework's model file -> what it defines."""

FILES: Mapping[str, type] = {
    "workload": WorkloadFile,
    "data": DataFile,
    "download": DownloadFile,
    **{f"model_{suffix}": declared for suffix, declared in MODEL_FILES.items()},
    "metrics": MetricsFile,
    "weights": WeightsFile,
}
"""Stem of a file in a workload folder -> what it defines."""


# ---- checks ----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Found:
    """Names at the top level of a file."""

    functions: frozenset[str]
    """Functions defined in the file."""
    values: Mapping[str, Any]
    """Names assigned in the file -> value; None if the value is no plain literal."""
    others: frozenset[str]
    """Names imported or defined in another way; '*' stands for an `import *`."""

    def __contains__(self, name: str) -> bool:
        return bool({name, "*"} & self.others) or name in self.functions or name in self.values


def problem(folder: Path, has_mini: bool = True) -> str | None:
    """One line that names a file of a workload folder and what is wrong with it; None if nothing is wrong.

    Args:
      folder: the folder that holds workload.py.
      has_mini: whether the family has a mini version.
    """
    for stem, declared in FILES.items():
        path = folder / f"{stem}.py"
        if not path.exists():
            if stem == "data":
                return f"{shown(folder)} has no data.py, where batches come from."
            continue
        try:
            found = _names_in(path)
        except (SyntaxError, UnicodeDecodeError) as error:
            return f"{shown(path)} cannot be read: {error}."
        reason = _complaint(found, declared, has_mini)
        if reason is not None:
            return f"{shown(path)} {reason}"
    return None


def shown(path: Path) -> str:
    """The path of a workload folder, or of a file in it, as messages show it.

    >>> shown(Path("/home/me/workloads/wmt/data.py")), shown(Path("/home/me/workloads/wmt"))
    ('workloads/wmt/data.py', 'workloads/wmt')
    """
    return "/".join(path.parts[-3:] if path.suffix == ".py" else path.parts[-2:])


T = TypeVar("T")


def read(module: ModuleType, declared: type[T]) -> T:
    """The declared members of an imported file; members that it does not define have their defaults.

    Raises:
      UsageError: if a required member is missing or one is of the wrong type.
    """
    members = {
        field.name: vars(module)[field.name] for field in _fields(declared) if field.name in vars(module)
    }
    path = shown(Path(module.__file__ or module.__name__))
    for name in _required(declared, needs_files=members.get("NEEDS_FILES", True)):
        if name not in members:
            raise UsageError(f"{path} defines no {name}. {_advice(declared)}")
    for field in _fields(declared):
        if field.name in members and not _has_type_of(field, members[field.name]):
            raise UsageError(
                f"{path}: {field.name} must be {_type_name(field)}, got {members[field.name]!r}."
            )
    return declared(**members)


def _complaint(found: _Found, declared: type, has_mini: bool) -> str | None:
    """What is wrong with a file, as the rest of a sentence that begins with its name; None if nothing is."""
    # Only for members that are missing: a helper `eval_batch` beside a defined `eval_batches` is no misspelling.
    for name in (field.name for field in _fields(declared) if field.name not in found):
        helpers = found.values if name.isupper() else found.functions
        spelled = {
            helper.upper() if name.isupper() else helper: helper for helper in helpers if helper[0] != "_"
        }
        for nearly in difflib.get_close_matches(name, spelled, n=1, cutoff=NEARLY):
            return f"defines {spelled[nearly]!r}, which nothing uses: is {name!r} meant? {_advice(declared)}"
    if issubclass(declared, ModelFile):
        foreign = {field.name for other in MODEL_FILES.values() for field in _fields(other)}
        for name in sorted(found.functions & foreign - {field.name for field in _fields(declared)}):
            return f"defines {name!r}, which is for another framework. {_advice(declared)}"
    # An imported NEEDS_FILES has no known value before the file runs.
    needs_files = "NEEDS_FILES" not in found.others and found.values.get("NEEDS_FILES", True)
    missing = [name for name in _required(declared, needs_files, has_mini) if name not in found]
    return f"defines no {missing[0]}. {_advice(declared)}" if missing else None


def _names_in(path: Path) -> _Found:
    functions: set[str] = set()
    values: dict[str, Any] = {}
    others: set[str] = set()
    # Parsed, not imported: a check of all families must not import their frameworks and data packages.
    todo = list(ast.parse(path.read_text(), path.name).body)
    for node in todo:  # The list grows in the loop: statements below an `if` or `try` are checked too.
        match node:
            case ast.FunctionDef(name=name):
                functions.add(name)
            case ast.ClassDef(name=name) | ast.AsyncFunctionDef(name=name):
                others.add(name)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                others |= {(alias.asname or alias.name).split(".")[0] for alias in aliases}
            case ast.Assign(targets=targets, value=value):
                inner = [part for target in targets for part in ast.walk(target)]
                values |= {part.id: _literal(value) for part in inner if isinstance(part, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name), value=value) if value is not None:
                values[name] = _literal(value)
            case ast.If() | ast.Try() | ast.With():
                parts = list(ast.iter_child_nodes(node))
                parts += [
                    child for part in parts if isinstance(part, ast.ExceptHandler) for child in part.body
                ]
                todo += [child for child in parts if isinstance(child, ast.stmt)]
    return _Found(frozenset(functions), values, frozenset(others))


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def _fields(declared: type) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(declared)


def _required(declared: type, needs_files: bool = False, has_mini: bool = False) -> list[str]:
    names = [field.name for field in _fields(declared) if _is_required(field)]
    if declared is DataFile and needs_files:
        names += ["prepare", "is_ready"] + ["synthesize"] * has_mini
    return names


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING


def _has_type_of(field: dataclasses.Field[Any], value: Any) -> bool:
    if field.name.isupper():
        return _is_required(field) or type(value) is type(field.default)
    return callable(value)


def _type_name(field: dataclasses.Field[Any]) -> str:
    return f"of type {type(field.default).__name__}" if field.name.isupper() else "a function"


def _advice(declared: type) -> str:
    required = _required(declared)
    optional = [field.name for field in _fields(declared) if not _is_required(field)]
    parts = [f"must define {', '.join(required)}"] * bool(required)
    parts += [f"may define {', '.join(optional)}"] * bool(optional)
    return f"It {' and '.join(parts)}: see docs/workload_fields.md."
