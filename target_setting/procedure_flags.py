"""The flags of `set_targets.py`: those that all procedures share, and their own, as their files declare them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from absl import flags
from absl.flags import FLAGS, FlagValues

from algoperf.files import expanded
from algoperf.spec import UsageError
from campaign import flags as campaign_flags
from target_setting.discovery import Flag, Kind, Procedure, read_flags

DEFINE: dict[Kind, Callable[..., object]] = {
    Kind.STRING: flags.DEFINE_string,
    Kind.INTEGER: flags.DEFINE_integer,
    Kind.FLOAT: flags.DEFINE_float,
    Kind.BOOLEAN: flags.DEFINE_bool,
    Kind.LIST: flags.DEFINE_list,
}


@dataclass(frozen=True, kw_only=True)
class Common:
    """The flags that every procedure has."""

    sweep_dir: str | None = None
    """The sweep folder, or an archive of one; run: target_setting_results/<workload>_<framework> by default."""
    output_dir: str | None = None
    """Write results here; <sweep_dir>/target_setting by default."""
    algorithms: tuple[str, ...] = ()
    """Algorithms to read; all by default. run: folders, or names of reference algorithms; adamw, nadamw, nesterov and
    heavy_ball by default."""
    workloads: tuple[str, ...] = ()
    """Workloads to read, in this order; all by default. variants: those to test."""
    framework: str | None = None
    """jax or pytorch, where the sweep has both. run: jax by default, if it is installed."""

    @property
    def output_path(self) -> Path | None:
        return expanded(self.output_dir) if self.output_dir else None


COMMON = read_flags(Path(__file__), "Common")


def define(found: Mapping[str, Procedure], into: FlagValues = FLAGS) -> None:
    """Defines the flags of all procedures, each once; those of trials if a procedure starts any.

    Raises:
      UsageError: if a procedure declares one of the flags that are declared for all.
    """
    taken = {*(flag.name for flag in COMMON), *campaign_flags.NAMES}
    for name in [flag.name for procedure in found.values() for flag in procedure.flags]:
        if name in taken:
            raise UsageError(
                f"--{name} is a flag for more than one procedure: declare yours under another name."
            )
    for flag in COMMON:
        _define(flag, flag.help, into)
    declared = {flag.name: flag for procedure in found.values() for flag in procedure.flags}
    for flag in declared.values():
        _define(flag, help_of(flag.name, found), into)
    starting = [name for name, procedure in found.items() if procedure.starts_trials]
    if starting:
        campaign_flags.define(needs="sweep_dir", prefix=f"{', '.join(starting)}: ", into=into)


def _define(flag: Flag, text: str, into: FlagValues) -> None:
    default = [str(one) for one in flag.default] if isinstance(flag.default, tuple) else flag.default
    DEFINE[flag.kind](flag.name, default, text, flag_values=into)


def help_of(name: str, found: Mapping[str, Procedure]) -> str:
    """The help of a flag after the names of its procedures, which may count different things with it."""
    having: dict[str, list[str]] = {}
    for procedure in found.values():
        for flag in procedure.flags:
            if flag.name == name:
                having.setdefault(flag.help, []).append(procedure.name)
    parts = [f"{', '.join(names)}: {as_phrase(text)}" for text, names in having.items()]
    return "; ".join(parts) + "."


def as_phrase(sentence: str) -> str:
    """A sentence for the middle of another.

    >>> as_phrase("Runs of the best point."), as_phrase("JSON file with a point.")
    ('runs of the best point', 'JSON file with a point')
    """
    sentence = sentence.removesuffix(".")
    is_acronym = sentence[1:2].isupper()
    return sentence if is_acronym else sentence[:1].lower() + sentence[1:]


def list_of(found: Mapping[str, Procedure]) -> str:
    """The procedures and what they do, a line each, for --help."""
    width = max(map(len, found)) + 3
    return "\n".join(f"  {name:{width}}{as_phrase(one.summary)}" for name, one in found.items())


def names_of(procedure: Procedure) -> list[str]:
    """The flags of a procedure beside those that all have."""
    return [flag.name for flag in procedure.flags] + list(campaign_flags.NAMES) * procedure.starts_trials


def refuse_others(procedure: Procedure, found: Mapping[str, Procedure], given: FlagValues = FLAGS) -> None:
    """Raises UsageError if a flag was given that only other procedures have."""
    own = names_of(procedure)
    for name in (name for other in found.values() for name in names_of(other)):
        if name not in own and given[name].present:
            having = ", ".join(f"--{one}" for one in (*(flag.name for flag in COMMON), *own))
            raise UsageError(f"--{name} means nothing to {procedure.name}; it has {having}.")


def values(declared: Iterable[Flag], given: FlagValues = FLAGS) -> dict[str, Any]:
    """What the flags were given, by name, as a class of options takes it."""
    found = {flag.name: given[flag.name].value for flag in declared}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}


def common(given: FlagValues = FLAGS) -> Common:
    """The flags that every procedure has, as given."""
    return Common(**values(COMMON, given))
