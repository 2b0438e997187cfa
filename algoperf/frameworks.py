"""Each framework as one record: names, files, packages. Imports no framework.

All code that lists frameworks reads `FRAMEWORKS` at run time. So a new framework needs one record here, its backend
(`algoperf/backends/`) and the models of the workloads. What needs an import of the framework belongs to its backend.
"""

import contextlib
import dataclasses
import importlib
import importlib.util
from collections.abc import Iterator

from algoperf.spec import UsageError, no_such


@dataclasses.dataclass(frozen=True, kw_only=True)
class Framework:
    """Facts about a framework that need no import of it."""

    name: str
    """Its name on the command line, in records, and at the end of result folders (`<workload>_<name>`)."""
    aliases: tuple[str, ...] = ()
    """Other names that the command line accepts."""
    suffix: str
    """Suffix of model files: `workloads/<family>/model_<suffix>.py`."""
    backend: str
    """Module whose `make()` returns the `algoperf.backends.base.Backend` of this process."""
    launch: str
    """Module that implements `algoperf.backends.base.Launch`."""
    older_names: str | None = None
    """Module with `put_back()`, which gives the framework names that it has dropped and submissions use."""
    packages: tuple[str, ...]
    """Packages it needs, by import name. A submission that imports one of them is written for this framework."""
    recorded: tuple[str, ...]
    """Distributions whose versions are stored in the records of every run."""
    extra: str
    """Name of the extra: `pip install algoperf[<extra>]` installs the framework."""
    submission_files: tuple[str, ...]
    """File names of submissions for this framework alone, the preferred one first."""
    per_device_names: frozenset[str] = frozenset()
    """A source that uses one of these names, of its packages, is written for the older layout with a device axis."""

    def missing_packages(self) -> list[str]:
        """Needed packages that are not installed; imports nothing."""
        return [package for package in self.packages if importlib.util.find_spec(package) is None]

    def check_installed(self) -> None:
        """Raises UsageError with the command that installs what is missing."""
        missing = self.missing_packages()
        if missing:
            others = [other.name for other in FRAMEWORKS if other != self and not other.missing_packages()]
            advice = f" or use --framework={others[0]}, which is installed" if others else ""
            raise UsageError(
                f"Framework {self.name!r} needs {', '.join(missing)}, not installed here: "
                f"run `pip install -e .[{self.extra}]`{advice}."
            )

    @contextlib.contextmanager
    def blamed(self) -> Iterator[None]:
        """Within, an error that this framework raises whenever it is imported is told as that, not as a submission's.

        Raises:
          UsageError: where the framework is installed and broken.
        """
        try:
            yield
        except Exception:
            for package in self.packages:
                try:
                    importlib.import_module(package)
                except Exception as error:  # Broken installations fail in many ways.
                    raise UsageError(
                        f"Framework {self.name!r} is installed and cannot be used: importing {package} fails with "
                        f"{type(error).__name__}: {error}. Mend it, for example with `pip install -e .[{self.extra}]`."
                    ) from error
            raise


# In order of preference where several frameworks are possible: AlgoPerf's public targets were set with JAX.
FRAMEWORKS: tuple[Framework, ...] = (
    Framework(
        name="jax",
        suffix="jax",
        backend="algoperf.backends.jax_backend",
        launch="algoperf.backends.jax_launch",
        older_names="algoperf.backends.jax_names",
        packages=("jax", "flax", "optax"),
        recorded=("jax", "jaxlib", "flax", "optax"),
        extra="jax",
        submission_files=("submission_jax.py",),
        # Submissions from before jit with sharding; see "Older submissions" in submissions/README.md.
        per_device_names=frozenset({"pmap"}),
    ),
    Framework(
        name="pytorch",
        aliases=("torch",),
        suffix="torch",
        backend="algoperf.backends.torch_backend",
        launch="algoperf.backends.torch_launch",
        packages=("torch",),
        recorded=("torch",),
        extra="torch",
        submission_files=("submission_torch.py", "submission_pytorch.py"),
    ),
)


def get(name: str) -> Framework:
    """The framework with this name or alias ('torch' for 'pytorch').

    Raises:
      UsageError: for an unknown name.
    """
    for framework in FRAMEWORKS:
        if name in (framework.name, *framework.aliases):
            return framework
    raise no_such("framework", name, names())


def names() -> tuple[str, ...]:
    """The names of all frameworks."""
    return tuple(framework.name for framework in FRAMEWORKS)


def preferred() -> Framework:
    """The first installed framework; if none is installed, the first of all."""
    return next((one for one in FRAMEWORKS if not one.missing_packages()), FRAMEWORKS[0])


def submission_files() -> tuple[str, ...]:
    """All file names that tell for which framework a submission is written."""
    return tuple(file for framework in FRAMEWORKS for file in framework.submission_files)


def choices(separator: str = " or ") -> str:
    """All names in one text, for help and messages.

    >>> choices()
    'jax or pytorch'
    """
    return separator.join(names())
