"""Each framework as one record: names, files, packages. Imports none of them, and nothing but the standard library.

Whatever lists frameworks reads `FRAMEWORKS` when it runs, so one more framework is one more record here, its backend
(`algoperf/backends/`) and the models of the workloads. What takes the framework itself to know is the backend's.
"""

import dataclasses
import importlib.util

from algoperf.spec import UsageError, no_such


@dataclasses.dataclass(frozen=True, kw_only=True)
class Framework:
    """What can be said of a framework without importing it."""

    name: str
    """On the command line, in records, and at the end of result folders (`<workload>_<name>`)."""
    aliases: tuple[str, ...] = ()
    """Other names that the command line takes for it."""
    suffix: str
    """Of a workload's model: `workloads/<family>/model_<suffix>.py`."""
    backend: str
    """Module with `make()`, which gives the `algoperf.backends.base.Backend` of this process."""
    launch: str
    """Module that is an `algoperf.backends.base.Launch`."""
    packages: tuple[str, ...]
    """What it needs, as it is imported: a source that imports one of them is written for this framework."""
    recorded: tuple[str, ...]
    """Distributions whose versions go into the records of every run."""
    extra: str
    """`pip install algoperf[<extra>]` installs it."""
    submission_files: tuple[str, ...]
    """Names of a submission's file for this framework alone, the preferred one first."""
    per_device_names: frozenset[str] = frozenset()
    """A source that uses one of these names is written for the older layout with a leading device axis."""

    def missing_packages(self) -> list[str]:
        """Packages that are not installed; imports nothing."""
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


# In the order of preference where several would do: the public targets were set with JAX.
FRAMEWORKS: tuple[Framework, ...] = (
    Framework(
        name="jax",
        suffix="jax",
        backend="algoperf.backends.jax_backend",
        launch="algoperf.backends.jax_launch",
        packages=("jax", "flax", "optax"),
        recorded=("jax", "jaxlib", "flax", "optax"),
        extra="jax",
        submission_files=("submission_jax.py",),
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
    """The framework of a name or of another name for it ('torch' for 'pytorch').

    Raises:
      UsageError: for any other name.
    """
    for framework in FRAMEWORKS:
        if name in (framework.name, *framework.aliases):
            return framework
    raise no_such("framework", name, names())


def names() -> tuple[str, ...]:
    """The names of all."""
    return tuple(framework.name for framework in FRAMEWORKS)


def preferred() -> Framework:
    """The first that is installed; the first of all where none is."""
    return next((one for one in FRAMEWORKS if not one.missing_packages()), FRAMEWORKS[0])


def submission_files() -> tuple[str, ...]:
    """File names that say for which framework a submission is."""
    return tuple(file for framework in FRAMEWORKS for file in framework.submission_files)


def choices(separator: str = " or ") -> str:
    """All names, for help and messages.

    >>> choices()
    'jax or pytorch'
    """
    return separator.join(names())
